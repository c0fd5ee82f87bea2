import { request } from 'node:http';
import type { Action } from '../src/actions/action.entity';
import { errorOf, outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { buildAction, buildKey, buildProject } from './support/factories';
import { ODD_JSON, json, startRawUpstream } from './support/raw-upstream';
import { SLOW_LIMIT, tracesOf } from './support/traces';
import { until } from './support/until';
import { startUpstream, type Upstream, type UpstreamCall } from './support/upstream';

// Calls that were admitted and then failed. They are never billed, and the request log tells the reason.

const HOLD_MARGIN_MS = 30_000;

let app: TestApp;
let upstream: Upstream;
let action: Action;

beforeAll(async () => {
  upstream = await startUpstream();
  app = await createTestApp();
  action = await buildAction(app, { upstreamUrl: upstream.url, timeoutMs: 20_000 });
});

beforeEach(() => {
  upstream.calls.length = 0;
  upstream.answer = () => undefined;
});

afterAll(() => app.close());

async function caller(name = action.name) {
  const project = await buildProject(app, { rateLimit: SLOW_LIMIT });
  const { key, secret } = await buildKey(app, { project, permissions: ['face.*'] });
  const body = { action: name, params: {} };
  return { project, key, secret, body, detect: () => app.rest({ secret, service: 'face', body }), traces: () => tracesOf(app, project.id) };
}

const NOT_BILLED = { balance: 1_000_000, held: 0, holds: 0, bills: 0, rateUsed: 1 };
const RATE_HEADERS = { policy: '"project";q=50;w=50000', standing: '"project";r=49;t=1000' };
const rateHeadersOf = ({ headers }: { headers: Headers }) => ({
  policy: headers.get('ratelimit-policy'),
  standing: headers.get('ratelimit'),
});

it.each<[string, (call: UpstreamCall) => void]>([
  ['breaks the connection', (call) => call.breakOff()],
  ['answers 500', (call) => call.reply(500, '{"ok":true,"data":{}}')],
  ['answers 503 with `ok: false`', (call) => call.reply(503, '{"ok":false,"errors":[{"code":"BUSY","message":""}]}')],
  ['answers text that is not JSON', (call) => call.reply(200, '<html>', { 'content-type': 'text/html' })],
  ['answers JSON in another form', (call) => call.reply(200, '{"data":{}}')],
  ['answers data that is not an object', (call) => call.reply(200, '{"ok":true,"data":[]}')],
  ['refuses without an error', (call) => call.reply(200, '{"ok":false,"errors":[]}')],
  ['answers its own 404', (call) => call.reply(404, '{"error":"not found"}')],
  ['answers its own 429', (call) => call.reply(429, '', { 'retry-after': '7' })],
  ['answers its own 401', (call) => call.reply(401, '{"ok":true,"data":{}}')],
  ['answers two members of the same name', (call) => call.reply(200, '{"ok":true,"data":{"a":1,"a":2}}')],
  ['redirects', (call) => call.reply(307, '', { location: upstream.url })],
])('answers 502 UPSTREAM_FAILED and bills nothing if the upstream %s', async (_case, answer) => {
  upstream.answer = answer;
  const { detect, traces, key } = await caller();
  const refused = await detect();
  expect(errorOf(refused)).toEqual({ http: 502, status: 'UPSTREAM_FAILED', code: 'UPSTREAM_FAILED', details: {} });
  expect(rateHeadersOf(refused)).toEqual(RATE_HEADERS);
  expect(upstream.calls).toHaveLength(1);
  expect(await traces()).toMatchObject({
    ...NOT_BILLED,
    logs: [
      {
        requestId: refused.body.requestId,
        credentialId: key.id,
        outcome: 'FAILED',
        errorCode: 'UPSTREAM_FAILED',
        httpStatus: 502,
        chargedMicroCredits: 0,
        actionMs: expect.any(Number),
      },
    ],
  });
});

it('passes the text of params to the upstream, and of its data to the caller and to repeats, unchanged', async () => {
  const upstream = await startRawUpstream(json(200, `{"ok":true,"data":${ODD_JSON}}`));
  const { name } = await buildAction(app, { upstreamUrl: upstream.url });
  const { secret } = await caller(name);
  const headers = { 'content-type': 'application/json', 'x-api-key': secret, 'idempotency-key': 'odd' };
  const body = `{"action":"${name}","params":${ODD_JSON}}`;
  const once = async () => (await fetch(`${app.url}/v1/face/execute`, { method: 'POST', headers, body })).text();
  const first = await once();
  expect(upstream.received[0]?.body).toContain(`"params":${ODD_JSON},"debug"`);
  expect(first).toContain(`"data":${ODD_JSON},"errors"`);
  expect(await once()).toBe(`${first.slice(0, -1)},"meta":{"idempotencyReplay":true}}`);
  expect(upstream.received).toHaveLength(1);
});

describe('an action that passes on 404 and 429', () => {
  const NO = '{"ok":false,"errors":[{"code":"NO_SUCH_FACE","message":"m"}]}';
  let name: string;

  beforeAll(async () => {
    ({ name } = await buildAction(app, { upstreamUrl: upstream.url, passStatuses: [404, 429] }));
  });

  it.each([
    [404, 404],
    [429, 429],
    [410, 200],
    [200, 200],
  ])('answers a refusal with %i as %i, logs that status, bills nothing, and runs a repeat as a new attempt', async (status, answered) => {
    upstream.answer = (call) => call.reply(status, NO);
    const { secret, body, traces } = await caller(name);
    const once = () => app.rest({ secret, service: 'face', body: { ...body, requestId: '6f1d7f0a-5d8e-4c37-9d0a-0c2a3b4c5d6f' } });
    const refused = await once();
    const billing = { chargedMicroCredits: 0, budgetAvailableMicroCredits: 1_000_000 };
    const errors = [{ code: 'NO_SUCH_FACE', message: 'm' }];
    expect(refused).toMatchObject({ status: answered, body: { ok: false, action: name, data: null, errors, billing } });
    expect(rateHeadersOf(refused)).toEqual(RATE_HEADERS);
    expect(await traces()).toMatchObject({ ...NOT_BILLED, logs: [{ outcome: 'FAILED', errorCode: 'NO_SUCH_FACE', httpStatus: answered }] });
    upstream.answer = (call) => call.succeed();
    expect(outcomeOf(await once())).toBe('200 ok');
  });

  it.each([
    ['another form', '{"error":"not found"}'],
    ['no body', ''],
    ['`ok: true`', '{"ok":true,"data":{}}'],
  ])('is UPSTREAM_FAILED if the 404 has %s, because a proxy may have answered', async (_case, text) => {
    upstream.answer = (call) => call.reply(404, text);
    const { detect, traces } = await caller(name);
    expect(errorOf(await detect())).toMatchObject({ http: 502, code: 'UPSTREAM_FAILED' });
    expect(await traces()).toMatchObject({ ...NOT_BILLED, logs: [{ errorCode: 'UPSTREAM_FAILED', httpStatus: 502 }] });
  });
});

it('answers 502 UPSTREAM_FAILED if no server listens at the URL', async () => {
  const { name } = await buildAction(app, { upstreamUrl: 'http://127.0.0.1:1/' });
  const { detect, traces } = await caller(name);
  expect(errorOf(await detect())).toMatchObject({ http: 502, code: 'UPSTREAM_FAILED' });
  expect(await traces()).toMatchObject({ ...NOT_BILLED, logs: [{ outcome: 'FAILED', errorCode: 'UPSTREAM_FAILED' }] });
});

it('answers 504 UPSTREAM_TIMEOUT if the upstream does not answer within timeoutMs', async () => {
  const { name } = await buildAction(app, { upstreamUrl: upstream.url, timeoutMs: 100 });
  const { detect, traces } = await caller(name);
  const refused = await detect();
  expect(errorOf(refused)).toEqual({ http: 504, status: 'UPSTREAM_FAILED', code: 'UPSTREAM_TIMEOUT', details: {} });
  expect(rateHeadersOf(refused)).toEqual(RATE_HEADERS);
  const { logs, ...rest } = await traces();
  expect(rest).toEqual(NOT_BILLED);
  expect(logs).toMatchObject([{ outcome: 'FAILED', errorCode: 'UPSTREAM_TIMEOUT', httpStatus: 504 }]);
  expect(logs[0]?.actionMs).toBeGreaterThanOrEqual(99);
});

describe('503 OUTCOME_UNKNOWN', () => {
  /** Starts a call. Its hold expires and is swept while its action still runs. */
  async function sweptCall() {
    const sender = await caller();
    const running = sender.detect();
    const call = await upstream.arrived(1);
    app.travel(action.timeoutMs + HOLD_MARGIN_MS);
    await app.sweep.once();
    return { ...sender, running, call };
  }

  it('is the answer if the hold expires before the action answers: nothing is billed, and the log says EXPIRED', async () => {
    const { running, call, traces } = await sweptCall();
    const expired = {
      outcome: 'EXPIRED',
      errorCode: 'OUTCOME_UNKNOWN',
      httpStatus: null,
      chargedMicroCredits: 0,
      actionMs: null,
      totalMs: null,
    };
    expect(await traces()).toMatchObject({ balance: 1_000_000, held: 0, holds: 0, bills: 0, logs: [expired] });
    call.succeed();
    const answer = await running;
    expect(errorOf(answer)).toEqual({
      http: 503,
      status: 'SERVICE_UNAVAILABLE',
      code: 'OUTCOME_UNKNOWN',
      details: {},
      retryAfter: expect.stringMatching(/^[1-9]\d*$/),
    });
    const logs = [{ ...expired, requestId: answer.body.requestId }];
    expect(await traces()).toMatchObject({ balance: 1_000_000, held: 0, holds: 0, bills: 0, logs });
  });

  it('has the rate limit headers, as every answer to an admitted call has', async () => {
    const { running, call } = await sweptCall();
    call.succeed();
    expect(rateHeadersOf(await running)).toEqual(RATE_HEADERS);
  });
});

describe('500 INTERNAL', () => {
  /** Makes every bill of a project fail in the database. Returns a function that undoes it. */
  async function breakBilling(projectId: string): Promise<() => Promise<unknown>> {
    const trigger = `CREATE TRIGGER no_bill BEFORE INSERT ON ledger_entries`;
    const message = 'secret inside of the database';
    await app.database.transaction((tx) =>
      tx.query(
        TEST_DATABASE === 'sqlite'
          ? `${trigger} WHEN NEW.account_id = '${projectId}' BEGIN SELECT RAISE(ABORT, '${message}'); END`
          : `${trigger} FOR EACH ROW
             IF NEW.account_id = '${projectId}' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '${message}'; END IF`,
      ),
    );
    return () => app.database.transaction((tx) => tx.query('DROP TRIGGER no_bill'));
  }

  it('shows no internals, bills nothing, and frees the requestId', async () => {
    upstream.answer = (call) => call.succeed();
    const { secret, body, project, traces } = await caller();
    const call = { secret, service: 'face', body: { ...body, requestId: '6f1d7f0a-5d8e-4c37-9d0a-0c2a3b4c5d6e' } };
    const mend = await breakBilling(project.id);
    const failed = await app.rest(call).finally(mend);
    expect(errorOf(failed)).toEqual({ http: 500, status: 'INTERNAL', code: 'INTERNAL', details: {} });
    expect(failed.body.error.message).toBe('An internal error occurred. If it happens again, report the request id to the operator.');
    const log = { outcome: 'FAILED', errorCode: 'INTERNAL', httpStatus: 500, chargedMicroCredits: 0 };
    expect(await traces()).toMatchObject({ ...NOT_BILLED, logs: [log] });
    expect(outcomeOf(await app.rest(call))).toBe('200 ok');
    expect(await traces()).toMatchObject({ balance: 999_000, held: 0, bills: 1 });
  });

  it('for one call does not affect other calls that are settled in the same tick', async () => {
    const [broken, fine] = [await caller(), await caller()];
    const answers = [broken.detect(), fine.detect(), fine.detect()];
    await upstream.arrived(3);
    const mend = await breakBilling(broken.project.id);
    for (const call of upstream.calls) call.succeed();
    const outcomes = (await Promise.all(answers).finally(mend)).map(outcomeOf);
    expect(outcomes).toEqual(['500 INTERNAL', '200 ok', '200 ok']);
  });
});

describe('a call with a caller that disconnects after the admission', () => {
  /** Sends a call and closes its connection once the upstream has the call. */
  async function hangUp(secret: string, body: object): Promise<UpstreamCall> {
    const { hostname, port } = new URL(app.url);
    const headers = { 'x-api-key': secret, 'content-type': 'application/json' };
    const outgoing = request({ hostname, port, method: 'POST', path: '/v1/face/execute', headers });
    const closed = new Promise((resolve) => outgoing.on('close', resolve));
    outgoing.on('error', () => undefined).end(JSON.stringify(body));
    const call = await upstream.arrived(1);
    outgoing.destroy();
    await closed;
    return call;
  }

  it('is still billed and logged, and a repeat of its requestId gets the answer', async () => {
    const { secret, body, traces } = await caller();
    const repeated = { ...body, requestId: 'd9c1a7be-3b1f-4ad5-8a55-2f6f5a1b7c3d' };
    const call = await hangUp(secret, repeated);
    expect(await traces()).toMatchObject({ held: 1_000, holds: 1, bills: 0, logs: [] });
    call.succeed({ face: 1 });
    await until(async () => (await traces()).logs.length === 1, 'the row in the log');
    const logs = [{ outcome: 'SUCCEEDED', httpStatus: 200, chargedMicroCredits: 1_000 }];
    expect(await traces()).toMatchObject({ balance: 999_000, held: 0, holds: 0, bills: 1, logs });
    const again = await app.rest({ secret, service: 'face', raw: JSON.stringify(repeated) });
    expect([outcomeOf(again), again.body.data]).toEqual(['200 replay', { face: 1 }]);
    expect(upstream.calls).toHaveLength(1);
  });

  it('is logged if its action fails', async () => {
    const { secret, body, traces } = await caller();
    (await hangUp(secret, body)).breakOff();
    await until(async () => (await traces()).logs.length === 1, 'the row in the log');
    expect(await traces()).toMatchObject({ ...NOT_BILLED, logs: [{ outcome: 'FAILED', errorCode: 'UPSTREAM_FAILED', httpStatus: 502 }] });
  });

  it('is finished before the server stops', async () => {
    const other = await createTestApp({ databaseUrl: app.databaseUrl });
    const { secret, body, traces } = await caller();
    const { hostname, port } = new URL(other.url);
    const headers = { 'x-api-key': secret, 'content-type': 'application/json' };
    const outgoing = request({ hostname, port, method: 'POST', path: '/v1/face/execute', headers });
    outgoing.on('error', () => undefined).end(JSON.stringify(body));
    const call = await upstream.arrived(1);
    outgoing.destroy();
    const closed = other.close();
    call.succeed();
    await closed;
    expect(await traces()).toMatchObject({ bills: 1, held: 0, logs: [{ outcome: 'SUCCEEDED' }] });
  });
});
