import { openHolds } from '../src/gate/books';
import { RefusalCount } from '../src/gate/gate.entities';
import { REFUSALS_LOGGED_PER_SECOND } from '../src/gate/load/refusals';
import { SqlTickStore } from '../src/gate/tick/tick-store.sql';
import { RequestLog } from '../src/requests/request-log.entity';
import { createTestApp, type TestApp } from './support/app';
import { accountOf, faultsOf } from './support/books';
import { startCallers, tally, type Callers } from './support/callers';
import { buildAction, buildKey, buildProject } from './support/factories';
import { until } from './support/until';
import { startUpstream } from './support/upstream';
import { post } from './support/verify';

jest.setTimeout(90_000); // other test files share the processors

let app: TestApp;
let callers: Callers;

beforeAll(async () => {
  app = await createTestApp();
  callers = startCallers(40);
});
afterAll(async () => {
  await callers.close();
  await app.close();
});

describe('above its limits', () => {
  it('answers 503 at once to a project with a quarter of all calls in flight, and to every project when all places are taken', async () => {
    const upstream = await startUpstream();
    const node = await createTestApp({ config: { maxCallsInFlight: 4 } });
    try {
      const { name } = await buildAction(node, { upstreamUrl: upstream.url });
      const keys = await Promise.all(Array.from({ length: 5 }, () => buildKey(node, { permissions: ['face.*'] })));
      const call = (index: number) =>
        callers.call({ url: node.url, secret: keys[index]?.secret as string, service: 'face', body: { action: name } });
      const running = [call(0)];
      await upstream.arrived(1);
      expect(await call(0)).toMatchObject({ status: 503, body: { error: { code: 'SERVICE_UNAVAILABLE' } } });
      running.push(call(1), call(2), call(3));
      await upstream.arrived(4);
      const full = await node.rest({ secret: keys[4]?.secret as string });
      expect([full.status, full.body.error.code]).toEqual([503, 'SERVICE_UNAVAILABLE']);
      expect(Number(full.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(await openHolds(node.database.reader)).toHaveLength(4);
      upstream.release();
      expect(tally(await Promise.all(running))).toEqual({ 200: 4 });
      expect((await call(4)).status).toBe(200);
      expect(await faultsOf(node)).toEqual([]);
    } finally {
      await node.close();
    }
  });

  it('gives an asker a quarter of all places, so that its questions do not keep other tenants out', async () => {
    const node = await createTestApp({ config: { maxCallsInFlight: 8 } });
    try {
      const { secret } = await buildKey(node, { permissions: ['verify.keys'] });
      for (const key of ['not a secret', secret]) {
        const { body } = await post(node.url, '/v1/keys/verify', secret, { verifications: Array.from({ length: 8 }, () => ({ key })) });
        const codes = (body as { verifications: { code: string }[] }).verifications.map(({ code }) => code);
        expect(codes.filter((code) => code === 'SERVICE_UNAVAILABLE')).toHaveLength(6);
      }
    } finally {
      await node.close();
    }
  });

  it('a flood above the rate limit causes few transactions and few rows, and every refusal is counted', async () => {
    const { secret, key, project } = await buildKey(app, { rateLimit: { sustainedRps: 0.001, burst: 1 } });
    const ticks = jest.spyOn(SqlTickStore.prototype, 'transact');
    const started = performance.now();
    const answers = await callers.calls(1_500, () => ({ url: app.url, secret }));
    const seconds = Math.ceil((performance.now() - started) / 1000);
    const transactions = ticks.mock.calls.length;
    ticks.mockRestore();
    expect(tally(answers)).toEqual({ 200: 1, '429 RATE_LIMITED': 1_499 });
    const rows = await app.database.reader.countBy(RequestLog, { credentialId: key.id, errorCode: 'RATE_LIMITED' });
    expect(rows).toBeLessThanOrEqual(REFUSALS_LOGGED_PER_SECOND * (seconds + 1));
    // Four times a second a call asks the database again, and the counts are written.
    expect(transactions).toBeLessThanOrEqual(20 * (seconds + 1));
    const counted = async () => (await app.database.reader.sum(RefusalCount, 'calls', { credentialId: key.id, code: 'RATE_LIMITED' })) ?? 0;
    await until(async () => Number(await counted()) + rows === 1_499, 'every refusal to be a row or counted');
    expect(await accountOf(app, project.id)).toMatchObject({ bills: 1, held: 0 });
  });
});

it('leaves the books of all projects in order', async () => {
  await buildProject(app);
  expect(await faultsOf(app)).toEqual([]);
});
