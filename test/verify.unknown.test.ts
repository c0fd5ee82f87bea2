import { randomUUID } from 'node:crypto';
import { TickFailure, type TickStore } from '../src/gate/tick/tick-store';
import { errorOf, outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { accountOf, faultsOf } from './support/books';
import { buildKey } from './support/factories';
import { buildRoute } from './support/routes';
import { until } from './support/until';
import { VISION, buildVisionAction, post } from './support/verify';

// A verification whose COMMIT was sent and not answered: on a real database, with a store that loses the answer.

jest.setTimeout(60_000);

let app: TestApp;
let store: TickStore;
let transact: TickStore['transact'];

beforeAll(async () => {
  app = await createTestApp();
  await buildVisionAction(app);
  store = app.gate['deps'].store;
  transact = store.transact.bind(store);
});
afterEach(() => {
  store.transact = transact;
});
afterAll(() => app.close());

/** Loses the answer to the next commit. With `commits`, the transaction is committed nevertheless. */
function loseNextAnswer(commits: boolean): void {
  store.transact = async (needs, options, decide) => {
    store.transact = transact;
    if (commits) await transact(needs, options, decide);
    else await transact(needs, options, (state) => (decide(state), NO_WRITES));
    throw new TickFailure(true, new Error('The answer to the commit is lost.'));
  };
}

const NO_WRITES = {
  tick: '',
  process: '',
  budgets: [],
  holds: [],
  endedHolds: [],
  singleHolds: [],
  endedSingleHolds: [],
  logs: [],
  entries: [],
  claims: [],
  endedClaims: [],
  refusalCounts: [],
};

const verify = (body: object) => post(app.url, '/v1/keys/verify', app.rootKey, { ...VISION, ...body });

/** Sends a verification and waits until the answer to its commit is lost. */
async function sendAndLose(body: object, commits: boolean): Promise<{ answer: ReturnType<typeof verify> }> {
  loseNextAnswer(commits);
  const answer = verify(body);
  await until(() => store.transact === transact, 'the commit to be sent');
  return { answer };
}

/** Creates a key that this process has verified before. */
async function buildCaller() {
  const caller = await buildKey(app, { permissions: ['vision.*'] });
  await verify({ key: caller.secret, mode: 'peek' });
  return caller;
}

it.each(['charge', 'hold'])('a %s that has committed is answered as VALID, and a repeat gets the same answer', async (mode) => {
  const { secret, project } = await buildCaller();
  const body = { key: secret, mode, requestId: randomUUID() };
  loseNextAnswer(true);
  const answer = await verify(body);
  expect(answer.body).toMatchObject({ valid: true, code: 'VALID' });
  expect((await verify(body)).body).toEqual(answer.body);
  if (mode === 'charge') expect(await accountOf(app, project.id)).toMatchObject({ bills: 1, billed: 100, held: 0 });
  else expect(await accountOf(app, project.id)).toMatchObject({ bills: 0, held: 500, holds: 1 });
  expect(await faultsOf(app)).toEqual([]);
});

it.each([true, false])('a request of a proxy passes if its bill is found (%s); its next question is the same call', async (commits) => {
  const values = { path: `/unknown-${String(commits)}`, upstreamUrl: 'https://api.internal.example' };
  const { permission } = await buildRoute(app, { route: values });
  const { secret, project } = await buildKey(app, { permissions: [permission] });
  const ask = async (attempt: string) => {
    const headers = { 'x-original-method': 'GET', 'x-original-uri': values.path, 'x-api-key': secret, 'tollgate-attempt': attempt };
    const { status, headers: answered } = await fetch(`${app.url}/v1/forward-auth/nginx`, { headers });
    return [status, answered.get('tollgate-code')];
  };
  await ask('known-before');
  loseNextAnswer(commits);
  expect(await ask('asked-twice')).toEqual(commits ? [200, null] : [403, 'OUTCOME_UNKNOWN']);
  expect(await ask('asked-twice')).toEqual([200, null]);
  expect(await accountOf(app, project.id)).toMatchObject({ bills: 2, billed: 20 });
  expect(await faultsOf(app)).toEqual([]);
});

it('a commit that is not found is OUTCOME_UNKNOWN. A repeat is safe, and a hold without a requestId is voided', async () => {
  const callers = { charge: await buildCaller(), hold: await buildCaller(), lost: await buildCaller() };
  const charge = { key: callers.charge.secret, mode: 'charge', requestId: randomUUID() };
  const hold = { key: callers.hold.secret, mode: 'hold', requestId: randomUUID() };
  const { holdStore } = app.gate['deps'];
  const finding = jest.spyOn(holdStore, 'isCommitted').mockResolvedValue(false); // the commit of the third is noticed too late
  const unknown = [
    await sendAndLose(charge, false),
    await sendAndLose(hold, false),
    await sendAndLose({ key: callers.lost.secret, mode: 'hold' }, true),
  ];
  for (const { answer } of unknown) expect(errorOf(await answer)).toMatchObject({ http: 503, code: 'OUTCOME_UNKNOWN' });
  finding.mockRestore();

  for (const repeat of [charge, hold]) expect((await verify(repeat)).body.valid).toBe(true);
  expect(await accountOf(app, callers.charge.project.id)).toMatchObject({ bills: 1 });
  expect(await accountOf(app, callers.hold.project.id)).toMatchObject({ holds: 1 });
  await until(async () => (await accountOf(app, callers.lost.project.id)).holds === 0, 'the hold to be voided');
  expect(await accountOf(app, callers.lost.project.id)).toMatchObject({ held: 0, bills: 0, balance: 1_000_000 });
  expect(await faultsOf(app)).toEqual([]);
});

it('a peek needs no commit, so it is only unavailable', async () => {
  const { secret } = await buildCaller();
  loseNextAnswer(true);
  expect(outcomeOf(await verify({ key: secret, mode: 'peek' }))).toBe('503 SERVICE_UNAVAILABLE');
});

it('a settlement whose answer is lost is asked again, and answers what it has charged', async () => {
  const { secret, project } = await buildCaller();
  const { body } = await verify({ key: secret, mode: 'hold' });
  loseNextAnswer(true);
  const settled = await post(app.url, `/v1/holds/${body.hold.id}/settle`, app.rootKey, { usage: { faces: 1 } });
  expect(settled.body).toMatchObject({ outcome: 'SUCCEEDED', billing: { chargedMicroCredits: 110 } });
  loseNextAnswer(true);
  const second = await verify({ key: secret, mode: 'hold' });
  loseNextAnswer(true);
  const extended = await post(app.url, `/v1/holds/${second.body.hold.id}/extend`, app.rootKey, { seconds: 100 });
  expect(outcomeOf(extended)).toBe('503 SERVICE_UNAVAILABLE'); // a repeat extends it
  expect((await post(app.url, `/v1/holds/${second.body.hold.id}/void`, app.rootKey, {})).body).toEqual({ outcome: 'FAILED' });
  expect(await accountOf(app, project.id)).toMatchObject({ bills: 1, billed: 110, held: 0 });
});
