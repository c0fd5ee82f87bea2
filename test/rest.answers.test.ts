import { Environment } from '../src/tenancy/environment';
import { errorOf, outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { ORIGIN, buildAction, buildKey, buildProject, buildServiceAccount } from './support/factories';
import { tracesOf } from './support/traces';
import { startUpstream, type Upstream } from './support/upstream';

// Answers and prices of actions that ran.

let app: TestApp;
let upstream: Upstream;

beforeAll(async () => {
  upstream = await startUpstream();
  app = await createTestApp();
});

beforeEach(() => {
  upstream.calls.length = 0;
  upstream.answer = (call) => call.succeed();
});

afterAll(() => app.close());

const COMMON_HEADERS = { 'cache-control': 'no-store', 'content-type': 'application/json; charset=utf-8' };

it('a success has its exact form and headers, is billed once and has one row in the log', async () => {
  const { key, secret, project } = await buildKey(app, { budget: 100_000 });
  const params = { text: 'ä🙂\u2028"\\', list: [1.5, null, true, { deep: {} }], empty: '' };
  const { status, headers, body } = await app.rest({ secret, body: { params } });
  expect(status).toBe(200);
  expect(body).toEqual({
    ok: true,
    success: true,
    requestId: headers.get('x-request-id'),
    action: 'demo.echo',
    data: params,
    errors: [],
    billing: { chargedMicroCredits: 1_000, budgetAvailableMicroCredits: 99_000 },
  });
  expect(Object.fromEntries(headers)).toMatchObject(COMMON_HEADERS);
  const { logs, ...traces } = await tracesOf(app, project.id);
  expect(traces).toMatchObject({ balance: 99_000, held: 0, holds: 0, bills: 1 });
  expect(logs).toMatchObject([
    {
      requestId: body.requestId,
      credentialId: key.id,
      service: 'demo',
      action: 'demo.echo',
      outcome: 'SUCCEEDED',
      errorCode: null,
      httpStatus: 200,
      chargedMicroCredits: 1_000,
    },
  ]);
  expect(logs[0]?.actionMs).toBeGreaterThanOrEqual(0);
  expect(logs[0]?.totalMs).toBeGreaterThanOrEqual(logs[0]?.actionMs ?? Infinity);
});

it('an action that says no has its exact form, is not billed, and has its code in the log', async () => {
  const { secret, project } = await buildKey(app, { budget: 100_000 });
  const { status, headers, body } = await app.rest({ secret, body: { action: 'demo.fail' } });
  expect(status).toBe(200);
  expect(body).toEqual({
    ok: false,
    success: false,
    requestId: headers.get('x-request-id'),
    action: 'demo.fail',
    data: null,
    errors: [{ code: 'DEMO_FAILURE', message: expect.any(String) }],
    billing: { chargedMicroCredits: 0, budgetAvailableMicroCredits: 100_000 },
  });
  expect(Object.fromEntries(headers)).toMatchObject(COMMON_HEADERS);
  const { logs, ...traces } = await tracesOf(app, project.id);
  expect(traces).toMatchObject({ balance: 100_000, held: 0, holds: 0, bills: 0 });
  expect(logs).toMatchObject([
    { outcome: 'FAILED', errorCode: 'DEMO_FAILURE', httpStatus: 200, chargedMicroCredits: 0, requestId: body.requestId },
  ]);
});

it('passes on all errors of an upstream: replaces an invalid code by ACTION_FAILED, and cuts a message at 1,000 characters', async () => {
  const action = await buildAction(app, { upstreamUrl: upstream.url });
  const { secret, project } = await buildKey(app, { permissions: ['face.*'] });
  upstream.answer = (call) => {
    const errors = [{ code: 'no such face', message: 'x'.repeat(1_001) }, { code: 'NO_FACE_DETECTED', message: '' }];
    call.reply(404, JSON.stringify({ ok: false, errors }));
  };
  const { status, body } = await app.rest({ secret, service: 'face', body: { action: action.name } });
  expect([status, body.errors]).toEqual([
    200,
    [
      { code: 'ACTION_FAILED', message: 'x'.repeat(1_000) },
      { code: 'NO_FACE_DETECTED', message: '' },
    ],
  ]);
  expect((await tracesOf(app, project.id)).logs).toMatchObject([{ outcome: 'FAILED', errorCode: 'ACTION_FAILED', httpStatus: 200 }]);
});

it('data reach the caller unchanged, including a key named __proto__', async () => {
  const action = await buildAction(app, { upstreamUrl: upstream.url });
  const { secret } = await buildKey(app, { permissions: ['face.*'] });
  const data = '{"__proto__":{"a":1},"constructor":null,"big":12345678901234567890,"text":"\\ud800"}';
  upstream.answer = (call) => call.reply(200, `{"ok":true,"data":${data}}`);
  const response = await fetch(`${app.url}/v1/face/execute`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': secret },
    body: JSON.stringify({ action: action.name, params: {} }),
  });
  expect(await response.text()).toContain(`"data":${data},`);
});

it('an upstream gets the caller and the call, and the id of the log row of each attempt', async () => {
  const action = await buildAction(app, { upstreamUrl: upstream.url });
  const { key, secret, project } = await buildKey(app, { permissions: ['face.*'] });
  const { body } = await app.rest({ secret, service: 'face', body: { action: action.name, params: { a: 1 }, debug: true } });
  const call = await upstream.arrived(1);
  expect(call.body).toEqual({
    action: action.name,
    requestId: body.requestId,
    params: { a: 1 },
    debug: true,
    context: {
      workspaceId: project.workspaceId,
      projectId: project.id,
      credentialId: key.id,
      keyId: key.id,
      environment: 'LIVE',
      galleryId: expect.any(String),
    },
  });
  const { logs } = await tracesOf(app, project.id);
  expect(call.headers['webhook-id']).toBe(logs[0]?.id);
});

it('an upstream gets the id of a calling service account, because it has no key', async () => {
  const action = await buildAction(app, { upstreamUrl: upstream.url });
  const { account, secret } = await buildServiceAccount(app, { permissions: ['face.*'] });
  await app.rest({ secret, service: 'face', body: { action: action.name, params: {} } });
  expect((await upstream.arrived(1)).body).toMatchObject({ context: { credentialId: account.id, keyId: null } });
});

it('debug is false by default', async () => {
  const action = await buildAction(app, { upstreamUrl: upstream.url });
  const { secret } = await buildKey(app, { permissions: ['face.*'] });
  await app.rest({ secret, service: 'face', body: { action: action.name } });
  expect((await upstream.arrived(1)).body.debug).toBe(false);
});

describe('billing', () => {
  it('reserves the full price of running calls: it is not available to other calls', async () => {
    const action = await buildAction(app, { upstreamUrl: upstream.url, priceMicroCredits: 2_500 });
    const { secret } = await buildKey(app, { budget: 4_000, permissions: ['face.*', 'demo.*'] });
    upstream.answer = () => undefined;
    const running = app.rest({ secret, service: 'face', body: { action: action.name } });
    const call = await upstream.arrived(1);
    expect((await app.rest({ secret })).body.billing).toEqual({ chargedMicroCredits: 1_000, budgetAvailableMicroCredits: 500 });
    expect(errorOf(await app.rest({ secret }))).toMatchObject({
      code: 'PAYMENT_REQUIRED',
      details: { price_micro_credits: 1_000, available_micro_credits: 500 },
    });
    call.sayNo('NO_FACE_DETECTED', '');
    expect((await running).body.billing).toEqual({ chargedMicroCredits: 0, budgetAvailableMicroCredits: 3_000 });
    expect((await app.rest({ secret })).body.billing).toEqual({ chargedMicroCredits: 1_000, budgetAvailableMicroCredits: 2_000 });
  });

  it('a budget can be spent to its last credit', async () => {
    const { secret } = await buildKey(app, { budget: 2_000 });
    const answers = [await app.rest({ secret }), await app.rest({ secret }), await app.rest({ secret })];
    expect(answers.map(outcomeOf)).toEqual(['200 ok', '200 ok', '402 PAYMENT_REQUIRED']);
    expect(answers[1]?.body.billing.budgetAvailableMicroCredits).toBe(0);
  });

  it('TEST keys are free: they need and change no budget, write no ledger entry, and are logged as TEST', async () => {
    const project = await buildProject(app, { budget: 0 });
    const { secret } = await buildKey(app, { project, environment: Environment.TEST });
    const live = await buildKey(app, { project });
    const { status, body } = await app.rest({ secret, body: { params: { a: 1 } } });
    expect([status, body.data, body.billing]).toEqual([200, { a: 1 }, { chargedMicroCredits: 0, budgetAvailableMicroCredits: 0 }]);
    expect(outcomeOf(await app.rest({ secret: live.secret }))).toBe('402 PAYMENT_REQUIRED');
    const { logs, ...traces } = await tracesOf(app, project.id);
    expect(traces).toMatchObject({ balance: 0, held: 0, holds: 0, bills: 0 });
    expect(logs[0]).toMatchObject({ outcome: 'SUCCEEDED', environment: 'TEST', chargedMicroCredits: 0 });
  });

  it('a free action needs no budget and writes no ledger entry', async () => {
    const action = await buildAction(app, { upstreamUrl: upstream.url, priceMicroCredits: 0 });
    const { secret, project } = await buildKey(app, { budget: 0, permissions: ['face.*'] });
    const { body } = await app.rest({ secret, service: 'face', body: { action: action.name } });
    expect(body).toMatchObject({ ok: true, billing: { chargedMicroCredits: 0, budgetAvailableMicroCredits: 0 } });
    expect(await tracesOf(app, project.id)).toMatchObject({ bills: 0, logs: [{ outcome: 'SUCCEEDED', chargedMicroCredits: 0 }] });
  });

  it('a new price counts from the next call, and not for a running one', async () => {
    const action = await buildAction(app, { upstreamUrl: upstream.url, priceMicroCredits: 10 });
    const { secret } = await buildKey(app, { budget: 10_000, permissions: ['face.*'] });
    const detect = () => app.rest({ secret, service: 'face', body: { action: action.name } });
    upstream.answer = () => undefined;
    const running = detect();
    const call = await upstream.arrived(1);
    await app.services.actions.update(ORIGIN, { id: action.id, priceMicroCredits: 7_000 });
    call.succeed();
    expect((await running).body.billing.chargedMicroCredits).toBe(10);
    upstream.answer = (next) => next.succeed();
    expect((await detect()).body.billing).toEqual({ chargedMicroCredits: 7_000, budgetAvailableMicroCredits: 2_990 });
  });
});
