import { randomUUID } from 'node:crypto';
import { Claim } from '../src/gate/gate.entities';
import { errorOf, outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { freshDatabaseUrl } from './support/database';
import { ORIGIN, buildAction, buildKey, buildProject, buildWorkspace } from './support/factories';
import { send } from './support/http';
import { prepareOutage, type Outage } from './support/outage';
import { tracesOf } from './support/traces';
import { until } from './support/until';
import { startUpstream, type Upstream } from './support/upstream';

// 503 SERVICE_UNAVAILABLE: the database cannot be reached, or there are too many calls. Nothing is admitted or billed.

const UNAVAILABLE = { http: 503, status: 'SERVICE_UNAVAILABLE', code: 'SERVICE_UNAVAILABLE', details: {}, retryAfter: '1' };

let upstream: Upstream;
const closings: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  upstream = await startUpstream();
});

afterAll(async () => {
  for (const close of closings) await close(); // also after a failed test
});

describe('while the database cannot be reached', () => {
  let app: TestApp;
  let outage: Outage;

  beforeAll(async () => {
    outage = await prepareOutage(await freshDatabaseUrl());
    app = await createTestApp({ databaseUrl: outage.url });
    closings.push(app.close);
  });

  it('a call gets 503 and is not admitted; afterwards the same process accepts calls again', async () => {
    const { secret, project } = await buildKey(app);
    expect(outcomeOf(await app.rest({ secret }))).toBe('200 ok');
    const requestId = randomUUID();
    await outage.begin();
    try {
      const refused = await app.rest({ secret, body: { requestId } });
      expect(errorOf(refused)).toEqual(UNAVAILABLE);
      expect(refused.body.requestId).toBe(requestId);
      // Refusals that need no database are unchanged
      expect(outcomeOf(await app.rest({ secret: 'nonsense' }))).toBe('401 INVALID_API_KEY');
      expect((await send(app.url, { path: '/healthz' })).status).toBe(200);
    } finally {
      await outage.end();
    }
    await until(async () => (await app.rest({ secret, body: { requestId } })).status === 200, 'the database to be back');
    expect(outcomeOf(await app.rest({ secret, body: { requestId } }))).toBe('200 replay');
    expect(await tracesOf(app, project.id)).toMatchObject({ balance: 998_000, held: 0, holds: 0, bills: 2 });
    const outcomes = (await tracesOf(app, project.id)).logs.map(({ outcome }) => outcome);
    expect(outcomes).toEqual(['SUCCEEDED', 'SUCCEEDED']);
  });

  it('an action that succeeds meanwhile is billed once and answered when the database is back', async () => {
    const action = await buildAction(app, { upstreamUrl: upstream.url, timeoutMs: 20_000 });
    const { secret, project } = await buildKey(app, { permissions: ['face.*'] });
    const running = app.rest({ secret, service: 'face', body: { action: action.name } });
    const call = await upstream.arrived(upstream.calls.length + 1);
    await outage.begin();
    call.succeed();
    const refused = await app.rest({ secret, service: 'face', body: { action: action.name } }).finally(() => outage.end());
    expect(errorOf(refused)).toEqual(UNAVAILABLE);
    expect(outcomeOf(await running)).toBe('200 ok');
    expect(await tracesOf(app, project.id)).toMatchObject({ balance: 999_000, held: 0, holds: 0, bills: 1 });
  });

  it('many requests without a known credential do not fill the log', async () => {
    const lost = Object.assign(new Error('Connection lost'), { code: 'PROTOCOL_CONNECTION_LOST' });
    const find = jest.spyOn(app.gate.lookUps, 'find').mockRejectedValue(lost);
    const before = app.logLines.length;
    const { secret } = await buildKey(app);
    const ask = () => send(app.url, { path: '/v1/audit/export', headers: { 'x-api-key': secret } });
    const answers = await Promise.all(Array.from({ length: 60 }, ask)).finally(() => find.mockRestore());
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]));
    const lines = app.logLines.slice(before).filter((line) => line.includes('request failed'));
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThanOrEqual(12);
    const told = () => app.logLines.slice(before).find((line) => line.includes('"leftOut":'));
    await until(() => Promise.resolve(told() !== undefined), 'a line with the number of those left out');
    expect(told()).toMatch(/"leftOut":\d+,"msg":"request failed"/);
  });

  it('a replay that cannot be read from the database is 503 and not 500', async () => {
    const { secret } = await buildKey(app);
    const call = { secret, body: { requestId: randomUUID() } };
    expect(outcomeOf(await app.rest(call))).toBe('200 ok');
    const lost = Object.assign(new Error('Connection lost'), { code: 'PROTOCOL_CONNECTION_LOST' });
    const read = jest
      .spyOn(app.database.lookups, 'findBy')
      .mockImplementation((entity) => Promise.reject(entity === Claim ? lost : new Error('not expected')));
    const answer = await app.rest(call).finally(() => read.mockRestore());
    expect(errorOf(answer)).toEqual(expect.objectContaining({ http: 503, code: 'SERVICE_UNAVAILABLE' }));
    expect(outcomeOf(await app.rest(call))).toBe('200 replay');
  });
});

it('/readyz answers 503 without a database, /healthz 200', async () => {
  const app = await createTestApp();
  closings.push(() => app.server.close());
  await app.database.close();
  expect(errorOf(await send(app.url, { path: '/readyz' }))).toEqual(UNAVAILABLE);
  expect((await send(app.url, { path: '/healthz' })).status).toBe(200);
});

describe('while the maximum number of calls runs', () => {
  async function busyApp(config: { maxCallsInFlight?: number; maxBytesInFlight?: number }) {
    const app = await createTestApp({ config });
    closings.push(app.close);
    const { name } = await buildAction(app, { upstreamUrl: upstream.url, timeoutMs: 20_000 });
    return { app, name };
  }

  it('in the whole process, the next call gets 503 before authentication, without a row in the log', async () => {
    const { app, name } = await busyApp({ maxCallsInFlight: 1 });
    const [first, second] = [await buildKey(app, { permissions: ['face.*'] }), await buildKey(app)];
    const running = app.rest({ secret: first.secret, service: 'face', body: { action: name } });
    const call = await upstream.arrived(upstream.calls.length + 1);
    expect(errorOf(await app.rest({ secret: second.secret }))).toEqual(UNAVAILABLE);
    call.succeed();
    expect(outcomeOf(await running)).toBe('200 ok');
    expect(outcomeOf(await app.rest({ secret: second.secret }))).toBe('200 ok');
    expect(await tracesOf(app, second.project.id)).toMatchObject({ bills: 1, logs: [{ outcome: 'SUCCEEDED' }] });
  });

  it('in one project (a quarter of all places), other projects are unaffected', async () => {
    const { app, name } = await busyApp({ maxCallsInFlight: 8 });
    const [busy, other] = [await buildKey(app, { permissions: ['face.*', 'demo.*'] }), await buildKey(app)];
    const before = upstream.calls.length;
    const running = [1, 2].map(() => app.rest({ secret: busy.secret, service: 'face', body: { action: name } }));
    await upstream.arrived(before + 2);
    expect(errorOf(await app.rest({ secret: busy.secret }))).toEqual(UNAVAILABLE);
    expect(outcomeOf(await app.rest({ secret: other.secret }))).toBe('200 ok');
    for (const call of upstream.calls.slice(before)) call.succeed();
    expect((await Promise.all(running)).map(outcomeOf)).toEqual(['200 ok', '200 ok']);
    expect(outcomeOf(await app.rest({ secret: busy.secret }))).toBe('200 ok');
    expect(await tracesOf(app, busy.project.id)).toMatchObject({ balance: 997_000, held: 0, bills: 3 });
  });

  it('in one workspace (three quarters of all places), other tenants are unaffected', async () => {
    const { app, name } = await busyApp({ maxCallsInFlight: 8 });
    const workspace = await buildWorkspace(app);
    const busy = await Promise.all([1, 2, 3, 4].map(() => buildKey(app, { workspace, permissions: ['face.*', 'demo.*'] })));
    const other = await buildKey(app);
    const before = upstream.calls.length;
    const running = busy
      .slice(0, 3)
      .flatMap(({ secret }) => [1, 2].map(() => app.rest({ secret, service: 'face', body: { action: name } })));
    await upstream.arrived(before + 6);
    const [, , , last] = busy;
    expect(errorOf(await app.rest({ secret: last?.secret }))).toEqual(UNAVAILABLE);
    expect(outcomeOf(await app.rest({ secret: other.secret }))).toBe('200 ok');
    for (const call of upstream.calls.slice(before)) call.succeed();
    expect((await Promise.all(running)).map(outcomeOf)).toEqual(running.map(() => '200 ok'));
    expect(outcomeOf(await app.rest({ secret: last?.secret }))).toBe('200 ok');
  });

  it('a flood of calls with a disabled key does not affect other keys of its project, and the key works when enabled again', async () => {
    const { app } = await busyApp({ maxCallsInFlight: 8 });
    const project = await buildProject(app);
    const [dead, good] = [await buildKey(app, { project }), await buildKey(app, { project })];
    await app.services.keys.update(ORIGIN, { id: dead.key.id, enabled: false });
    expect(errorOf(await app.rest({ secret: dead.secret }))).toMatchObject({ http: 401, code: 'DISABLED_API_KEY' });
    const flood = { on: true };
    const flooding = Array.from({ length: 5 }, async () => {
      while (flood.on) expect(errorOf(await app.rest({ secret: dead.secret }))).toMatchObject({ http: 401, code: 'DISABLED_API_KEY' });
    });
    for (let call = 0; call < 40; call += 1) expect(outcomeOf(await app.rest({ secret: good.secret }))).toBe('200 ok');
    flood.on = false;
    await Promise.all(flooding);
    await app.services.keys.update(ORIGIN, { id: dead.key.id, enabled: true });
    expect(outcomeOf(await app.rest({ secret: dead.secret }))).toBe('200 ok');
    expect(outcomeOf(await app.rest({ secret: dead.secret }))).toBe('200 ok');
  });
});
