import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { RequestLog, RequestOutcome } from '../src/requests/request-log.entity';
import { createTestApp, ROOT_KEY, SECRETS, type TestApp } from './support/app';
import { accountOf, faultsOf } from './support/books';
import { startCallers, tally, type Callers } from './support/callers';
import { graphqlClient } from './support/clients';
import { freshDatabaseUrl } from './support/database';
import { buildAction, buildKey } from './support/factories';
import { runCli, startProcess } from './support/process';
import { until } from './support/until';
import { startUpstream } from './support/upstream';

const CALLERS = 20;
const KILLS = 5;
const BUDGET = 100_000_000;

let app: TestApp;
let callers: Callers;

beforeAll(async () => {
  app = await createTestApp();
  callers = startCallers(CALLERS);
});
afterAll(async () => {
  await callers.close();
  await app.close();
});

/** Pseudo-random numbers that depend only on `seed` (mulberry32), so that a failure can be repeated. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

it('bills every answered success exactly once, and nothing else, when it is killed five times under load', async () => {
  const seed = Number(process.env.KILL_SEED ?? randomInt(2 ** 31));
  const next = random(seed);
  const told = `KILL_SEED=${seed}`;
  const upstream = await startUpstream();
  upstream.release();
  const { name } = await buildAction(app, { upstreamUrl: upstream.url, timeoutMs: 1_000 });
  const { secret, project } = await buildKey(app, { permissions: ['face.*', 'demo.*'], budget: BUDGET });
  const bodies = [{ action: name }, { action: 'demo.echo' }, { action: 'demo.echo' }, { action: 'demo.fail' }];
  const sent = new Map<string, { service: string; action: string }>();
  const succeeded: string[] = [];
  const statuses = new Set<number>();

  for (let kill = 0; kill < KILLS; kill++) {
    const server = await startProcess({ env: { DATABASE_URL: app.databaseUrl, ...SECRETS } });
    const url = await server.listening;
    const alive = { on: true };
    const before = succeeded.length;
    const load = Array.from({ length: CALLERS }, async () => {
      while (alive.on) {
        const requestId = randomUUID();
        const { action } = bodies[Math.floor(next() * bodies.length)] as { action: string };
        const service = action === name ? 'face' : 'demo';
        sent.set(requestId, { service, action });
        const { status, body } = await callers.call({ url, secret, service, body: { action, requestId } });
        statuses.add(status);
        if (status === 200 && body.ok) succeeded.push(requestId);
      }
    });
    await until(() => succeeded.length >= before + 20, `successes before a kill (${told})`);
    await wait(next() * 150);
    server.kill('SIGKILL');
    await server.ended;
    alive.on = false;
    await Promise.all(load);
  }
  expect([told, [...statuses].filter((status) => ![0, 200].includes(status))]).toEqual([told, []]);

  app.travel(61_000); // after the expiry of every hold that a kill has left
  await app.sweep.once();
  expect(await accountOf(app, project.id)).toMatchObject({ held: 0, holds: 0 });
  const logs = await app.database.reader.findBy(RequestLog, { projectId: project.id });
  const outcomes = new Map<string, string[]>();
  for (const { requestId, outcome } of logs) outcomes.set(requestId, [...(outcomes.get(requestId) ?? []), outcome]);
  expect(succeeded.filter((requestId) => outcomes.get(requestId)?.join() !== 'SUCCEEDED')).toEqual([]);
  for (const log of logs) expect([told, log.chargedMicroCredits]).toEqual([told, log.outcome === RequestOutcome.SUCCEEDED ? 1_000 : 0]);
  expect(await faultsOf(app)).toEqual([]);

  // Each caller without an answer repeats its call, and gets the result
  const open = [...sent].filter(([requestId, { action }]) => action !== 'demo.fail' && !succeeded.includes(requestId));
  const repeats = await callers.calls(open.length, (index) => {
    const [requestId, { service, action }] = open[index] as (typeof open)[number];
    return { url: app.url, secret, service, body: { action, requestId } };
  });
  expect([told, tally(repeats)]).toEqual([told, open.length === 0 ? {} : { 200: open.length }]);
  const account = await accountOf(app, project.id);
  const wanted = [...sent.values()].filter(({ action }) => action !== 'demo.fail').length;
  expect([told, account]).toEqual([
    told,
    { balance: BUDGET - wanted * 1_000, held: 0, holds: 0, bills: wanted, billed: wanted * 1_000, succeeded: wanted },
  ]);
  expect(await faultsOf(app)).toEqual([]);
}, 120_000);

describe('a migration that is killed', () => {
  it('at any moment is finished by the next start', async () => {
    const env = { DATABASE_URL: await freshDatabaseUrl(), ...SECRETS };
    const started = performance.now();
    const first = await runCli(['migrate'], { env: { ...env, DATABASE_URL: await freshDatabaseUrl() } });
    expect(first).toMatchObject({ code: 0 });
    const wholeMs = performance.now() - started;
    // Kills at moments from before it connects until it is done, each time on the state that the previous kill left
    for (const share of [0.6, 0.7, 0.75, 0.8, 0.85, 0.9]) {
      const killed = await startProcess({ env });
      const timer = setTimeout(() => killed.kill('SIGKILL'), wholeMs * share);
      killed.listening.then(() => killed.kill('SIGKILL'), () => undefined);
      await killed.ended;
      clearTimeout(timer);
    }
    const last = await startProcess({ env });
    const url = await last.listening;
    expect((await graphqlClient(url, ROOT_KEY)('{ workspaces { nodes { id } } }')).errors).toBeUndefined();
    expect(await runCli(['audit'], { env })).toMatchObject({ code: 0 });
  }, 90_000);
});
