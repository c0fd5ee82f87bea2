import { randomUUID } from 'node:crypto';
import { DatabaseSweepStore } from '../src/gate/sweep-store';
import { Sweep } from '../src/gate/sweep';
import { processTime } from '../src/lib/time';
import { createTestApp, PEPPER, ROOT_KEY, type TestApp } from './support/app';
import { accountOf, faultsOf, outcomesOf } from './support/books';
import { startCallers, type Callers } from './support/callers';
import { buildProject } from './support/factories';
import { startProcess } from './support/process';
import { buildSlowAction } from './support/slow-action';

jest.setTimeout(90_000); // other test files share the processors

/** Longer than the life of a hold for an action with a timeout of 30 s. */
const PAST_EXPIRY_MS = 61_000;
const DAY_MS = 86_400_000;

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

describe('a call of a dead process', () => {
  it('is voided by the sweep of another process, is logged as EXPIRED, and frees its requestId', async () => {
    const { upstream, project, call } = await buildSlowAction(app, callers);
    const requestId = randomUUID();
    const other = await startProcess({ env: { DATABASE_URL: app.databaseUrl, KEY_PEPPER: PEPPER, ROOT_KEY } });
    const lost = call(await other.listening, { requestId });
    await upstream.arrived(1);
    other.kill('SIGKILL');
    expect(await lost).toMatchObject({ status: 0 });
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_000_000, held: 1_000, holds: 1 });
    expect(await call(app.url, { requestId })).toMatchObject({ status: 409 });
    await app.sweep.once();
    expect(await accountOf(app, project.id)).toMatchObject({ held: 1_000, holds: 1 }); // the sweep ends no hold before its expiry

    app.travel(PAST_EXPIRY_MS);
    await app.sweep.once();
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_000_000, held: 0, holds: 0, bills: 0 });
    expect(await outcomesOf(app, requestId)).toContain('EXPIRED OUTCOME_UNKNOWN');
    upstream.release();
    expect(await call(app.url, { requestId })).toMatchObject({ status: 200, body: { billing: { chargedMicroCredits: 1_000 } } });
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 999_000, held: 0, holds: 0, bills: 1, succeeded: 1 });
    expect(await faultsOf(app)).toEqual([]);
  });

  it('is voided by a repeat of its requestId without a sweep, and the repeat runs', async () => {
    const { upstream, project, call } = await buildSlowAction(app, callers, { budget: 1_000 }); // the dead call holds the whole budget
    const requestId = randomUUID();
    const late = call(app.url, { requestId });
    await upstream.arrived(1);
    app.travel(PAST_EXPIRY_MS);
    const again = call(app.url, { requestId });
    const second = await upstream.arrived(2);
    expect(await outcomesOf(app, requestId)).toEqual(['EXPIRED OUTCOME_UNKNOWN']);
    second.succeed();
    expect((await again).status).toBe(200);
    upstream.release(); // lets the first call succeed, too late
    expect(await late).toMatchObject({ status: 503, body: { error: { code: 'OUTCOME_UNKNOWN' } } });
    expect((await outcomesOf(app, requestId)).sort()).toEqual(['EXPIRED OUTCOME_UNKNOWN', 'SUCCEEDED']);
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 0, held: 0, holds: 0, bills: 1, succeeded: 1 });
    expect(await call(app.url, { requestId })).toMatchObject({ status: 200, body: { meta: { idempotencyReplay: true } } });
    expect(await faultsOf(app)).toEqual([]);
  });

  it('that was admitted by a clock a day ahead is voided after its time limit has passed on the sweeping process', async () => {
    const { upstream, project, call } = await buildSlowAction(app, callers);
    app.travel(DAY_MS);
    const late = call(app.url);
    await upstream.arrived(1);
    app.travel(-DAY_MS);
    let passedMs = 0;
    const time = { ...processTime, now: () => processTime.now() + passedMs };
    const log = { warn: () => undefined, error: () => undefined };
    const sweep = new Sweep({ store: new DatabaseSweepStore(app.database), ticker: app.gate.ticker, time, log });
    await sweep.once();
    passedMs += PAST_EXPIRY_MS - 2_000;
    await sweep.once();
    expect(await accountOf(app, project.id)).toMatchObject({ held: 1_000, holds: 1 });
    passedMs += 2_000;
    await sweep.once();
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_000_000, held: 0, holds: 0, bills: 0 });
    upstream.release();
    expect(await late).toMatchObject({ status: 503, body: { error: { code: 'OUTCOME_UNKNOWN' } } });
    expect(await faultsOf(app)).toEqual([]);
  });

  it('is not billed and gets a 503 if its process still lives and it succeeds after the sweep', async () => {
    const { upstream, project, call } = await buildSlowAction(app, callers);
    const late = call(app.url);
    await upstream.arrived(1);
    app.travel(PAST_EXPIRY_MS);
    await app.sweep.once();
    upstream.release();
    expect(await late).toMatchObject({ status: 503, body: { error: { code: 'OUTCOME_UNKNOWN' } } });
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_000_000, held: 0, holds: 0, bills: 0, succeeded: 0 });
    expect(await faultsOf(app)).toEqual([]);
  });
});

it('leaves the books of all projects in order', async () => {
  await buildProject(app);
  expect(await faultsOf(app)).toEqual([]);
});
