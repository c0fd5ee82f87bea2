import { randomUUID } from 'node:crypto';
import { Claim, SingleHold, TickHolds } from '../src/gate/gate.entities';
import { openHolds } from '../src/gate/books';
import { Sweep } from '../src/gate/sweep';
import { DatabaseSweepStore, type SweepStore } from '../src/gate/sweep-store';
import { processTime } from '../src/lib/time';
import { RequestLog } from '../src/requests/request-log.entity';
import { createTestApp, SECRETS, type TestApp } from './support/app';
import { accountOf, faultsOf, outcomesOf } from './support/books';
import { buildKey } from './support/factories';
import { startProcess } from './support/process';
import { buildRoute, send, startApi, type Api } from './support/routes';
import { until } from './support/until';
import { buildVisionAction, post, VISION } from './support/verify';

// Calls that last longer than their first hold. A renewal moves the hold to a row of its own.

jest.setTimeout(60_000);

/** The hold of a route lasts 90 s from its admission, and from each renewal. */
const HOLD_MS = 90_000;
const FLAT = 100;
const MOST = 500;

let app: TestApp;
let api: Api;
/** Ends the answers that the API has begun. */
let endings: (() => void)[];

beforeAll(async () => {
  app = await createTestApp();
  api = await startApi();
});

beforeEach(() => {
  api.requests.length = 0;
  endings = [];
  api.handle = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).write('{"usage":');
    endings.push(() => response.end('{"tokens":7}}'));
  };
});

afterEach(() => {
  app.database.clock.offsetMs = 0;
});

afterAll(() => app.close());

/** A call of a route that has reached its API, and waits there. It costs 100, and 10 for each token, at most 500. */
async function begin(path: string, { url = app.url, budget = 1_000 } = {}) {
  const action = { priceMicroCredits: FLAT, unitPrices: [{ unit: 'tokens', microCredits: 10, per: 1 }], maxChargeMicroCredits: MOST };
  const usage = [{ unit: 'tokens', pointer: '/usage/tokens' }];
  const { permission } = await buildRoute(app, { action, route: { path, upstreamUrl: api.url, replayable: true, usage } });
  const { secret, project } = await buildKey(app, { permissions: [permission], budget });
  const requestId = randomUUID();
  const ask = (node = url) => {
    const headers = { 'x-api-key': secret, 'idempotency-key': requestId };
    return send(node + path, { method: 'POST', headers }).catch(() => undefined); // undefined: the connection broke
  };
  return { ask, project, requestId, account: () => accountOf(app, project.id) };
}

async function arrived(calls: number): Promise<void> {
  await until(() => endings.length === calls, 'the call at its API');
}

/** Renews the holds of all calls in flight, as if their next renewal were due. */
async function renew(): Promise<void> {
  const calls = [...app.gate['renewals']['open']];
  for (const call of calls) Object.assign(call['renewal'] ?? {}, { dueAt: 0 });
  await Promise.all(calls.map((call) => call.renewIfDue()));
}

/** How many open holds of a project stand in packed rows, and how many in rows of their own. */
async function places(projectId: string): Promise<{ packed: number; single: number }> {
  const all = await openHolds(app.database.reader, projectId);
  const single = await app.database.reader.countBy(SingleHold, { projectId });
  return { packed: all.length - single, single };
}

const log = { warn: () => undefined, error: () => undefined };

/** A sweep that reads the holds as they are, and thinks that it is `aheadMs` later. `afterRead` runs between its read and its locks. */
function sweepAhead(aheadMs: number, afterRead: () => Promise<unknown> = async () => undefined): Sweep {
  const real = new DatabaseSweepStore(app.database);
  const then = async <T>(found: Promise<T>): Promise<T> => {
    const holds = await found;
    await afterRead();
    return holds;
  };
  const store: SweepStore = {
    now: async () => (await real.now()) + aheadMs,
    findExpiredHolds: (now, after) => then(real.findExpiredHolds(now, after)),
    findExpiredSingleHolds: (now, after) => then(real.findExpiredSingleHolds(now, after)),
    findOldClaims: async () => [],
    forgetClaims: async () => undefined,
  };
  return new Sweep({ store, ticker: app.gate.ticker, time: processTime, log });
}

describe('a call that lasts longer than its hold', () => {
  it('is billed once after many renewals, and the books balance all the time', async () => {
    const { ask, project, requestId, account } = await begin('/long');
    const answer = ask();
    await arrived(1);
    expect(await places(project.id)).toEqual({ packed: 1, single: 0 });
    for (let renewals = 0; renewals < 3; renewals += 1) {
      app.travel(HOLD_MS - 5_000);
      await renew();
      await app.sweep.once();
      expect(await places(project.id)).toEqual({ packed: 0, single: 1 });
      expect(await account()).toMatchObject({ balance: 1_000, held: MOST, holds: 1, bills: 0 });
      expect(await faultsOf(app)).toEqual([]);
      expect(JSON.parse((await ask())?.text ?? '').error.code).toBe('REQUEST_IN_PROGRESS'); // its claim is renewed too
    }
    endings[0]?.();
    expect((await answer)?.text).toBe('{"usage":{"tokens":7}}');
    expect(await account()).toEqual({ balance: 830, held: 0, holds: 0, bills: 1, billed: 170, succeeded: 1 });
    expect(await app.database.reader.countBy(SingleHold, { projectId: project.id })).toBe(0);
    expect(await ask()).toMatchObject({ text: '{"usage":{"tokens":7}}', headers: { 'idempotency-replayed': 'true' } });
    expect(await outcomesOf(app, requestId)).toContain('SUCCEEDED');
    expect(await account()).toMatchObject({ balance: 830, bills: 1 });
    expect(await faultsOf(app)).toEqual([]);
  });

  it('is billed once if it ends while its hold is being renewed', async () => {
    const { ask, account } = await begin('/both');
    const answer = ask();
    await arrived(1);
    const renewing = renew();
    endings[0]?.();
    await renewing;
    expect((await answer)?.isComplete).toBe(true);
    expect(await account()).toEqual({ balance: 830, held: 0, holds: 0, bills: 1, billed: 170, succeeded: 1 });
    expect(await faultsOf(app)).toEqual([]);
  });

  it('gives its credits back if its renewal comes too late, and its caller gets no end of the answer', async () => {
    const { ask, project, requestId, account } = await begin('/late');
    const answer = ask();
    await arrived(1);
    app.travel(HOLD_MS + 1);
    await renew();
    expect((await answer)?.isComplete ?? false).toBe(false);
    expect(await account()).toEqual({ balance: 1_000, held: 0, holds: 0, bills: 0, billed: 0, succeeded: 0 });
    expect(await outcomesOf(app, requestId)).toEqual(['EXPIRED OUTCOME_UNKNOWN']);
    expect(await places(project.id)).toEqual({ packed: 0, single: 0 });
    expect(await faultsOf(app)).toEqual([]);
  });

  it.each(['packed', 'single'] as const)('is not swept if it is renewed after the sweep has read its hold, which was %s', async (place) => {
    const { ask, project, account } = await begin(`/read-${place}`);
    const answer = ask();
    await arrived(1);
    if (place === 'single') await renew();
    app.travel(1_000);
    const read = { packed: 0, single: 1 }[place]; // without packed holds, the second read finds the others
    let reads = 0;
    await sweepAhead(HOLD_MS - 500, async () => (reads++ === read ? renew() : undefined)).once();
    expect(reads).toBeGreaterThan(read);
    expect(await places(project.id)).toEqual({ packed: 0, single: 1 });
    expect(await account()).toMatchObject({ held: MOST, holds: 1 });
    endings[0]?.();
    expect((await answer)?.isComplete).toBe(true);
    expect(await account()).toMatchObject({ balance: 830, held: 0, holds: 0, bills: 1 });
    expect(await faultsOf(app)).toEqual([]);
  });

  it('gives its credits and its Idempotency-Key back when its process has died: at the end of the renewed hold, not before', async () => {
    const { ask, project, requestId, account } = await begin('/dead', { budget: MOST });
    const other = await startProcess({ env: { DATABASE_URL: app.databaseUrl, ...SECRETS } });
    const lost = ask(await other.listening);
    await arrived(1);
    // The process dies after a renewal, which its ticker would write like this one
    const [hold] = await openHolds(app.database.reader, project.id);
    app.travel(60_000);
    const renewal = { kind: 'renewal', hold: hold as NonNullable<typeof hold>, lastsMs: HOLD_MS, atMostMs: 3_600_000 } as const;
    expect((await app.gate.ticker.renew(renewal)).kind).toBe('renewed');
    other.kill('SIGKILL');
    expect((await lost)?.isComplete ?? false).toBe(false);
    app.travel(HOLD_MS - 10_000);
    await app.sweep.once();
    expect(await account()).toMatchObject({ balance: MOST, held: MOST, holds: 1 });
    expect(await faultsOf(app)).toEqual([]);
    app.travel(10_000);
    await app.sweep.once();
    expect(await account()).toMatchObject({ balance: MOST, held: 0, holds: 0, bills: 0 });
    expect(await outcomesOf(app, requestId)).toContain('EXPIRED OUTCOME_UNKNOWN');
    expect(await app.database.reader.countBy(Claim, { requestId })).toBe(0);
    const again = ask(app.url);
    await arrived(2);
    endings[1]?.();
    expect((await again)?.status).toBe(200);
    expect(await account()).toMatchObject({ balance: MOST - 170, held: 0, holds: 0, bills: 1 });
    expect(await faultsOf(app)).toEqual([]);
  });
});

describe('a hold of a verification', () => {
  it('ends once, and every answer is true, while it is settled, voided, extended and swept at the same time', async () => {
    await buildVisionAction(app);
    const { secret, project } = await buildKey(app, { permissions: ['vision.*'] });
    const question = { ...VISION, key: secret, mode: 'hold', holdSeconds: 60 };
    const { body } = await post(app.url, '/v1/keys/verify', app.rootKey, { verifications: Array(12).fill(question) });
    const ids = (body.verifications as { hold: { id: string } }[]).map(({ hold }) => hold.id);
    const on = (id: string, what: string, values: object) => post(app.url, `/v1/holds/${id}/${what}`, app.rootKey, values);
    const requests = [['settle', { amountMicroCredits: 42 }], ['void', {}], ['extend', { seconds: 600 }]] as const;
    const asked = ids.map((id, index) => {
      const turned = [...requests.slice(index % 3), ...requests.slice(0, index % 3)];
      return Promise.all(turned.map(([what, values]) => on(id, what, values)));
    });
    await Promise.all([0, 1, 2].map(() => sweepAhead(61_000, () => Promise.race(asked)).once()));
    const answers = (await Promise.all(asked)).map((told, index) => ({
      id: ids[index] as string,
      told: told.filter(({ status }) => status === 200).map(({ body: answer }) => answer.outcome as string | undefined),
    }));
    expect(answers[0]?.told).not.toEqual([]);
    app.travel(601_000);
    await app.sweep.once();
    let billed = 0;
    for (const { id, told } of answers) {
      const { outcome, chargedMicroCredits } = await app.database.reader.findOneByOrFail(RequestLog, { id });
      billed += chargedMicroCredits;
      expect(chargedMicroCredits).toBe(outcome === 'SUCCEEDED' ? 42 : 0);
      expect(told.filter((each) => each !== undefined)).toEqual(outcome === 'EXPIRED' ? [] : [outcome]);
    }
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_000_000 - billed, held: 0, holds: 0, billed });
    expect(await faultsOf(app)).toEqual([]);
  });
});

it('leaves no hold behind', async () => {
  expect(await app.database.reader.countBy(SingleHold, {})).toBe(0);
  expect(await app.database.reader.countBy(TickHolds, {})).toBe(0);
});
