import { systemAuthority } from '../src/access/authority';
import { randomUUID } from 'node:crypto';
import type { TestApp } from './support/app';
import { accountOf, faultsOf, outcomesOf } from './support/books';
import { startCallers, tally, type CallAnswer, type Callers } from './support/callers';
import { buildAction, buildKey, buildProject } from './support/factories';
import { closeNodes, createNodes } from './support/nodes';
import { until } from './support/until';
import { startUpstream } from './support/upstream';

jest.setTimeout(90_000); // other test files share the processors

// The guarantees across the servers of one installation. SQLite allows one server, which then plays both parts.

const ORIGIN = systemAuthority('tests');

let a: TestApp;
let b: TestApp;
let callers: Callers;

beforeAll(async () => {
  [a, b] = await createNodes({ busy: true });
  callers = startCallers(32);
});
afterAll(async () => {
  await callers.close();
  await closeNodes(b, a);
});

const urlOf = (index: number): string => (index % 2 === 0 ? a : b).url;

/** Runs `count` callers at node B with this secret until `stop`. Collects the answers to calls sent before and after `ended` was called. */
function keepBusy(secret: string, count: number) {
  const before: CallAnswer[] = [];
  const after: CallAnswer[] = [];
  const busy = { on: true };
  let over = false;
  const running = Array.from({ length: count }, async () => {
    while (busy.on) {
      const answers = over ? after : before; // decided when the call is sent
      answers.push(await callers.call({ url: b.url, secret }));
    }
  });
  return {
    before,
    after,
    ended: () => (over = true),
    stop: async () => {
      busy.on = false;
      await Promise.all(running);
    },
  };
}

describe('after a change has answered at one node, every later call at another busy node sees it:', () => {
  it.each([
    ['a revoked key', '401 REVOKED_API_KEY', (keyId: string) => a.services.keys.revoke(ORIGIN, { id: keyId })],
    [
      'a secret rotated without grace',
      '401 REVOKED_API_KEY',
      (keyId: string) => a.services.keys.rotate(ORIGIN, { id: keyId, graceSeconds: 0 }),
    ],
    ['a disabled key', '401 DISABLED_API_KEY', (keyId: string) => a.services.keys.update(ORIGIN, { id: keyId, enabled: false })],
    [
      'a key of an archived project',
      '401 DISABLED_API_KEY',
      (_keyId: string, projectId: string) => a.services.projects.archive(ORIGIN, { id: projectId }),
    ],
    [
      'a key that lost the permission',
      '403 FORBIDDEN',
      (keyId: string) => a.services.keys.update(ORIGIN, { id: keyId, permissions: ['demo.fail'] }),
    ],
  ])('%s is refused', async (_title, refusal, end) => {
    const { key, secret, project } = await buildKey(a, { budget: 100_000_000 });
    const load = keepBusy(secret, 16);
    await until(() => load.before.length >= 50, '50 answers');
    await end(key.id, project.id);
    load.ended();
    await until(() => load.after.length >= 50, '50 answers more');
    await load.stop();
    expect(load.before.slice(0, 50).every(({ status }) => status === 200)).toBe(true);
    expect(tally(load.after)).toEqual({ [refusal]: load.after.length });
    expect(await faultsOf(a)).toEqual([]);
  });

  it('a reduced budget cannot be overspent', async () => {
    const { secret, project } = await buildKey(a, { budget: 1_000_000 });
    expect(tally(await callers.calls(10, () => ({ url: b.url, secret })))).toEqual({ 200: 10 });
    await a.services.wallets.allocate(ORIGIN, { projectId: project.id, amount: -987_000 });
    expect(tally(await callers.calls(10, () => ({ url: b.url, secret })))).toEqual({ 200: 3, '402 PAYMENT_REQUIRED': 7 });
  });

  it('a lower rate limit counts from the next call', async () => {
    const { secret, project } = await buildKey(a, { rateLimit: { sustainedRps: 0.001, burst: 1_000 } });
    expect(tally(await callers.calls(40, (index) => ({ url: urlOf(index), secret })))).toEqual({ 200: 40 });
    await a.services.projects.update(ORIGIN, { id: project.id, rateLimit: { sustainedRps: 0.001, burst: 50 } });
    expect(tally(await callers.calls(40, () => ({ url: b.url, secret })))).toEqual({ 200: 10, '429 RATE_LIMITED': 30 });
  });
});

it('admits exactly one burst over all nodes together', async () => {
  const { secret, project } = await buildKey(a, { rateLimit: { sustainedRps: 0.001, burst: 60 } });
  const answers = await callers.calls(400, (index) => ({ url: urlOf(index), secret }));
  expect(tally(answers)).toEqual({ 200: 60, '429 RATE_LIMITED': 340 });
  expect((await accountOf(a, project.id)).bills).toBe(60);
});

it('admits at most burst + sustained x time over all nodes during a flood', async () => {
  const limit = { sustainedRps: 100, burst: 20 };
  const { secret } = await buildKey(a, { budget: 10_000_000, rateLimit: limit });
  const started = performance.now();
  const answers = await callers.calls(1_500, (index) => ({ url: urlOf(index), secret }));
  const seconds = (performance.now() - started) / 1000;
  const { 200: admitted = 0, '429 RATE_LIMITED': refused = 0 } = tally(answers);
  expect(admitted + refused).toBe(1_500);
  expect(admitted).toBeLessThanOrEqual(limit.burst + limit.sustainedRps * seconds);
  expect(admitted).toBeGreaterThanOrEqual(limit.burst);
});

it('runs and bills a requestId once when it is sent to every node at the same time', async () => {
  const upstream = await startUpstream();
  const action = await buildAction(a, { upstreamUrl: upstream.url });
  const { secret, project } = await buildKey(a, { permissions: ['face.*'] });
  const requestId = randomUUID();
  const call = (index: number) => ({ url: urlOf(index), secret, service: 'face', body: { action: action.name, requestId } });
  const first = callers.calls(20, call);
  await upstream.arrived(1);
  // One call runs. All others get an answer without another run.
  const late = callers.calls(10, call);
  expect(tally(await late)).toEqual({ '409 REQUEST_IN_PROGRESS': 10 });
  upstream.release();
  const { 200: answered = 0, '409 REQUEST_IN_PROGRESS': waiting = 0, ...others } = tally(await first);
  expect([answered >= 1, answered + waiting, others]).toEqual([true, 20, {}]);
  const repeats = await callers.calls(20, call);
  expect(tally(repeats)).toEqual({ 200: 20 });
  const [original] = repeats.map(({ body: { meta: _meta, ...answer } }) => answer);
  for (const { body } of repeats) expect(body).toEqual({ ...original, meta: { idempotencyReplay: true } });
  expect(upstream.calls).toHaveLength(1);
  expect(await accountOf(a, project.id)).toMatchObject({ bills: 1, succeeded: 1, holds: 0 });
  expect(await outcomesOf(a, requestId)).toEqual(expect.arrayContaining(['SUCCEEDED']));
  expect(await faultsOf(a)).toEqual([]);
});

it('refuses a requestId with another body on every node, during the first call and after it', async () => {
  const upstream = await startUpstream();
  const action = await buildAction(a, { upstreamUrl: upstream.url });
  const { secret } = await buildKey(a, { permissions: ['face.*'] });
  const body = { action: action.name, requestId: randomUUID() };
  const other = { ...body, params: { other: true } };
  const running = callers.call({ url: a.url, secret, service: 'face', body });
  await upstream.arrived(1);
  expect(await callers.call({ url: b.url, secret, service: 'face', body: other })).toMatchObject({
    status: 422,
    body: { error: { code: 'REQUEST_ID_REUSED' } },
  });
  upstream.release();
  expect((await running).status).toBe(200);
  expect(await callers.call({ url: b.url, secret, service: 'face', body: other })).toMatchObject({
    status: 422,
    body: { error: { code: 'REQUEST_ID_REUSED' } },
  });
});

it('reserves the price of a call in flight on every node, and releases it if the action says no', async () => {
  const upstream = await startUpstream();
  const action = await buildAction(a, { upstreamUrl: upstream.url });
  const project = await buildProject(a, { budget: 1_000 });
  const { secret } = await buildKey(a, { project, permissions: ['face.*', 'demo.*'] });
  const running = callers.call({ url: a.url, secret, service: 'face', body: { action: action.name } });
  const call = await upstream.arrived(1);
  expect(await accountOf(b, project.id)).toMatchObject({ balance: 1_000, held: 1_000, holds: 1, bills: 0 });
  expect(await callers.call({ url: b.url, secret })).toMatchObject({
    status: 402,
    body: { error: { details: { available_micro_credits: 0 } } },
  });
  await expect(b.services.wallets.allocate(ORIGIN, { projectId: project.id, amount: -1 })).rejects.toMatchObject({
    code: 'PAYMENT_REQUIRED',
  });
  call.sayNo('NO_FACE', 'None.');
  expect(await running).toMatchObject({
    status: 200,
    body: { ok: false, billing: { chargedMicroCredits: 0, budgetAvailableMicroCredits: 1_000 } },
  });
  expect((await callers.call({ url: b.url, secret })).status).toBe(200);
  expect(await faultsOf(a)).toEqual([]);
});
