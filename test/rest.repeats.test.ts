import { randomUUID } from 'node:crypto';
import { MAX_ANSWER_BYTES } from '../src/actions/http-runner';
import type { Action } from '../src/actions/action.entity';
import { errorOf, outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { ORIGIN, buildAction, buildKey, buildProject } from './support/factories';
import { SLOW_LIMIT, tracesOf, type Traces } from './support/traces';
import { startUpstream, type Upstream } from './support/upstream';

// Calls with a repeated requestId: they never run twice, are never billed twice, and never get another caller's answer.

const DAY_MS = 24 * 60 * 60 * 1000;
const MIB = 1024 * 1024;

let app: TestApp;
let upstream: Upstream;
let action: Action;

beforeAll(async () => {
  upstream = await startUpstream();
  app = await createTestApp();
  action = await buildAction(app, { upstreamUrl: upstream.url, timeoutMs: 20_000 });
  const namesake = { service: 'face', name: 'demo.echo', permission: 'face.echo', priceMicroCredits: 1_000, upstreamUrl: upstream.url };
  await app.services.actions.create(ORIGIN, namesake);
});

beforeEach(() => {
  upstream.calls.length = 0;
  upstream.answer = () => undefined;
});

afterAll(() => app.close());

/** Builds a key in a new project, and a call with a requestId. */
async function caller() {
  const project = await buildProject(app, { rateLimit: SLOW_LIMIT });
  const { key, secret } = await buildKey(app, { project, permissions: ['demo.*', 'face.*'] });
  const requestId = randomUUID();
  const echo = (params: object = {}) => app.rest({ secret, body: { requestId, params } });
  const detect = (params: object = {}) => app.rest({ secret, service: 'face', body: { action: action.name, requestId, params } });
  return { project, key, secret, requestId, echo, detect, traces: () => tracesOf(app, project.id) };
}

const outcomes = ({ logs }: Traces) => logs.map(({ outcome, errorCode }) => [outcome, errorCode].filter(Boolean).join(' '));

describe('after a success', () => {
  it('the same call gets the same body, and nothing runs, is billed or is logged', async () => {
    const { echo, traces, requestId } = await caller();
    const first = await echo({ a: [1, { b: null }], ä: '🙂' });
    const before = await traces();
    const again = await echo({ a: [1, { b: null }], ä: '🙂' });
    expect(again.status).toBe(200);
    expect(again.body).toEqual({ ...first.body, meta: { idempotencyReplay: true } });
    expect(again.headers.get('x-request-id')).toBe(requestId);
    expect(again.headers.get('cache-control')).toBe('no-store');
    expect(await traces()).toEqual({ ...before, rateUsed: before.rateUsed + 1 });
  });

  it('many different calls that are repeated at once each get their own answer', async () => {
    const { secret } = await buildKey(app, {
      project: await buildProject(app, { rateLimit: { sustainedRps: 100, burst: 100 } }),
      permissions: ['demo.*'],
    });
    const bodies = Array.from({ length: 50 }, (_, index) => ({ requestId: randomUUID(), params: { index } }));
    const all = () => Promise.all(bodies.map((body) => app.rest({ secret, body })));
    const [firsts, agains] = [await all(), await all()];
    expect(firsts.map(({ body }) => (body as { data: unknown }).data)).toEqual(bodies.map(({ params }) => params));
    expect(agains.map(({ body }) => body)).toEqual(firsts.map(({ body }) => ({ ...body, meta: { idempotencyReplay: true } })));
  });

  it('keeps every character of an answer and of a user agent, including special characters of SQL', async () => {
    const { echo, secret, traces } = await caller();
    const params = { text: `it's "quoted" back\\slash \0 \x1a \x7f \u2028 %_ -- /* ; '' \\' 😀`, "k'ey\\": "'); DROP TABLE claims; --" };
    const first = await echo(params);
    expect(first.body.data).toEqual(params);
    expect((await echo(params)).body).toEqual({ ...first.body, meta: { idempotencyReplay: true } });
    const userAgent = `O'Brien "x" \\ '); DROP TABLE tick_holds; --`;
    expect(outcomeOf(await app.rest({ secret, headers: { 'user-agent': userAgent } }))).toBe('200 ok');
    expect((await traces()).logs.at(-1)?.userAgent).toBe(userAgent);
  });

  it('an answer is replayed for 24 hours; then the call is a new one', async () => {
    const { echo, traces } = await caller();
    await echo();
    app.travel(DAY_MS - 60_000);
    expect(outcomeOf(await echo())).toBe('200 replay');
    app.travel(60_000);
    expect(outcomeOf(await echo({ changed: true }))).toBe('200 ok');
    expect(outcomeOf(await echo({ changed: true }))).toBe('200 replay');
    expect(outcomes(await traces())).toEqual(['SUCCEEDED', 'SUCCEEDED']);
  });

  it('the sweep deletes older answers and no others', async () => {
    const [old, young] = [await caller(), await caller()];
    await old.echo();
    app.travel(DAY_MS / 2);
    await young.echo();
    app.travel(DAY_MS / 2);
    await app.sweep.once();
    expect(outcomeOf(await young.echo())).toBe('200 replay');
    expect(outcomeOf(await old.echo())).toBe('200 ok');
  });

  it.each<[string, (again: Awaited<ReturnType<typeof caller>>) => Promise<{ status: number }>]>([
    ['another body', ({ echo }) => echo({ another: true })],
    [
      'the same body with one blank more',
      ({ secret, requestId }) =>
        app.rest({ secret, raw: JSON.stringify({ action: 'demo.echo', params: {}, requestId }).replace(':', ': ') }),
    ],
    ['the same body to another service', ({ secret, requestId }) => app.rest({ secret, service: 'face', body: { requestId, params: {} } })],
  ])('422 REQUEST_ID_REUSED for %s, which costs a call of the rate limit and is logged', async (_case, repeat) => {
    upstream.answer = (call) => call.succeed();
    const again = await caller();
    await app.rest({ secret: again.secret, body: { requestId: again.requestId, params: {} } });
    const before = await again.traces();
    const error = errorOf((await repeat(again)) as Parameters<typeof errorOf>[0]);
    expect(error).toEqual({ http: 422, status: 'CONFLICT', code: 'REQUEST_ID_REUSED', details: {} });
    const after = await again.traces();
    expect(after).toEqual({ ...before, rateUsed: before.rateUsed + 1, logs: [...before.logs, expect.anything()] });
    expect(after.logs.at(-1)).toMatchObject({
      outcome: 'REFUSED',
      errorCode: 'REQUEST_ID_REUSED',
      httpStatus: 422,
      requestId: again.requestId,
      chargedMicroCredits: 0,
    });
    expect(upstream.calls).toHaveLength(0);
  });

  it('an answer of 1 MiB is replayed; one byte more is REPLAY_UNAVAILABLE, with the price', async () => {
    const { secret, project } = await buildKey(app);
    const bodyOf = (bytes: number) => ({ requestId: randomUUID(), params: { text: 'a'.repeat(bytes) } });
    const empty = await app.rest({ secret, body: bodyOf(0) });
    const room = MIB - JSON.stringify(empty.body).length;
    const [fits, exceeds] = [bodyOf(room), bodyOf(room + 1)];
    const first = await app.rest({ secret, body: fits });
    expect(Buffer.byteLength(JSON.stringify(first.body))).toBe(MIB);
    expect((await app.rest({ secret, body: exceeds })).body.data).toEqual(exceeds.params);

    expect(await app.rest({ secret, body: fits })).toMatchObject({
      status: 200,
      body: { ...first.body, meta: { idempotencyReplay: true } },
    });
    const before = await tracesOf(app, project.id);
    expect(errorOf(await app.rest({ secret, body: exceeds }))).toEqual({
      http: 409,
      status: 'CONFLICT',
      code: 'REPLAY_UNAVAILABLE',
      details: { charged_micro_credits: 1_000 },
    });
    expect(await tracesOf(app, project.id)).toMatchObject({ balance: before.balance, bills: before.bills });
  });

  it('an answer of 10 MiB is sent completely, once', async () => {
    const [head, tail] = ['{"ok":true,"data":{"text":"', '"}}'];
    const text = 'a'.repeat(MAX_ANSWER_BYTES - head.length - tail.length);
    upstream.answer = (call) => call.reply(200, head + text + tail);
    const { detect, traces } = await caller();
    const { status, body } = await detect();
    expect([status, body.data.text === text, body.billing.chargedMicroCredits]).toEqual([200, true, 1_000]);
    expect(outcomeOf(await detect())).toBe('409 REPLAY_UNAVAILABLE');
    expect(upstream.calls).toHaveLength(1);
    expect(await traces()).toMatchObject({ bills: 1, balance: 999_000, held: 0 });
  });
});

describe('while a call runs', () => {
  it('a repeat is 409 REQUEST_IN_PROGRESS with Retry-After, and another body is 422', async () => {
    const { detect, traces } = await caller();
    const first = detect();
    const call = await upstream.arrived(1);
    const answer = await detect();
    const { retryAfter, ...error } = errorOf(answer);
    expect(error).toEqual({ http: 409, status: 'CONFLICT', code: 'REQUEST_IN_PROGRESS', details: {} });
    const secondsUntilNext = Number(/;t=(\d+)$/.exec(answer.headers.get('ratelimit') ?? '')?.[1] ?? 0);
    expect(Number(retryAfter)).toBeGreaterThanOrEqual(Math.max(1, secondsUntilNext));
    expect(outcomeOf(await detect({ another: true }))).toBe('422 REQUEST_ID_REUSED');
    call.succeed({ face: 1 });
    expect(outcomeOf(await first)).toBe('200 ok');
    expect(outcomeOf(await detect())).toBe('200 replay');
    expect(upstream.calls).toHaveLength(1);
    expect(await traces()).toMatchObject({ bills: 1, rateUsed: 4 });
    expect(outcomes(await traces()).sort()).toEqual(['REFUSED REQUEST_ID_REUSED', 'REFUSED REQUEST_IN_PROGRESS', 'SUCCEEDED']);
  });

  it('of many concurrent calls with one requestId exactly one runs and is billed', async () => {
    upstream.answer = (call) => call.succeed();
    const { detect, echo, traces } = await caller();
    const answers = (await Promise.all(Array.from({ length: 8 }, () => detect()))).map(outcomeOf);
    expect(answers.filter((outcome) => outcome === '200 ok')).toHaveLength(1);
    expect(answers.filter((outcome) => !['200 ok', '200 replay', '409 REQUEST_IN_PROGRESS'].includes(outcome))).toEqual([]);
    expect(upstream.calls).toHaveLength(1);
    expect(await traces()).toMatchObject({ bills: 1, balance: 999_000, held: 0, rateUsed: 8 });
    expect(outcomeOf(await echo())).toBe('422 REQUEST_ID_REUSED');
  });
});

describe('after any other result than a success a retry is a new attempt with a new row in the log:', () => {
  it('the upstream failed', async () => {
    upstream.answer = (call) => call.reply(500, '');
    const { detect, traces, requestId } = await caller();
    expect(outcomeOf(await detect())).toBe('502 UPSTREAM_FAILED');
    upstream.answer = (call) => call.succeed();
    expect(outcomeOf(await detect())).toBe('200 ok');
    expect(outcomes(await traces())).toEqual(['FAILED UPSTREAM_FAILED', 'SUCCEEDED']);
    const { logs } = await traces();
    expect(upstream.calls.map(({ headers, body }) => [headers['webhook-id'], body.requestId])).toEqual(
      logs.map(({ id }) => [id, requestId]),
    );
  });

  it('the action said no, and the retry may have another body', async () => {
    upstream.answer = (call) => (call.body.params.face ? call.succeed() : call.sayNo('NO_FACE_DETECTED', 'There is no face.'));
    const { detect, traces } = await caller();
    expect([await detect(), await detect(), await detect({ face: 1 })].map(outcomeOf)).toEqual([
      '200 NO_FACE_DETECTED',
      '200 NO_FACE_DETECTED',
      '200 ok',
    ]);
    expect(outcomes(await traces())).toEqual(['FAILED NO_FACE_DETECTED', 'FAILED NO_FACE_DETECTED', 'SUCCEEDED']);
  });

  it('the call was refused', async () => {
    const { echo, key, traces } = await caller();
    await app.services.keys.update(ORIGIN, { id: key.id, enabled: false });
    expect(outcomeOf(await echo())).toBe('401 DISABLED_API_KEY');
    await app.services.keys.update(ORIGIN, { id: key.id, enabled: true });
    expect(outcomeOf(await echo({ another: true }))).toBe('200 ok');
    expect(outcomes(await traces())).toEqual(['REFUSED DISABLED_API_KEY', 'SUCCEEDED']);
  });

  it('the call expired, even before a sweep: the late answer of the first attempt is not billed', async () => {
    const { detect, traces } = await caller();
    const first = detect();
    const call = await upstream.arrived(1);
    app.travel(action.timeoutMs + 30_000);
    upstream.answer = (next) => next.succeed();
    expect(outcomeOf(await detect())).toBe('200 ok');
    call.succeed();
    expect(outcomeOf(await first)).toBe('503 OUTCOME_UNKNOWN');
    expect(outcomeOf(await detect())).toBe('200 replay');
    expect(await traces()).toMatchObject({ bills: 1, balance: 999_000, held: 0, holds: 0 });
    expect(outcomes(await traces())).toEqual(['EXPIRED OUTCOME_UNKNOWN', 'SUCCEEDED']);
  });
});

describe('a requestId belongs to one key', () => {
  it('two keys with the same requestId are independent, in one project and in two tenants', async () => {
    const requestId = randomUUID();
    const project = await buildProject(app);
    const secrets = [await buildKey(app, { project }), await buildKey(app, { project }), await buildKey(app)].map(({ secret }) => secret);
    const answers = await Promise.all(secrets.map((secret, whose) => app.rest({ secret, body: { requestId, params: { whose } } })));
    expect(answers.map(outcomeOf)).toEqual(['200 ok', '200 ok', '200 ok']);
    const repeats = await Promise.all(secrets.map((secret, whose) => app.rest({ secret, body: { requestId, params: { whose } } })));
    expect(repeats.map(outcomeOf)).toEqual(['200 replay', '200 replay', '200 replay']);
    expect(repeats.map(({ body }) => body.data)).toEqual([{ whose: 0 }, { whose: 1 }, { whose: 2 }]);
  });

  it('it is still known after each rotation of the key', async () => {
    const { key, echo, requestId } = await caller();
    expect(outcomeOf(await echo())).toBe('200 ok');
    const { secret } = await app.services.keys.rotate(ORIGIN, { id: key.id, graceSeconds: 60 });
    expect(outcomeOf(await app.rest({ secret, body: { requestId } }))).toBe('200 replay');
    expect(outcomeOf(await echo())).toBe('200 replay');
  });
});
