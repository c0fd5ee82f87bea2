import { systemAuthority } from '../src/access/authority';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Environment } from '../src/tenancy/environment';
import { createTestApp, PEPPER, ROOT_KEY, type TestApp } from './support/app';
import { accountOf, faultsOf } from './support/books';
import { startCallers, tally, type Callers } from './support/callers';
import { buildKey, buildProject, buildWorkspace } from './support/factories';
import { freshDatabaseUrl } from './support/database';
import { startProcess } from './support/process';

jest.setTimeout(90_000); // other test files take the processors too

// 2,000 calls of 1,000 micro-credits each, from 60 callers at once, on a budget of 500.
const CALLERS = 60;
const CALLS = 2_000;
const CREDITS = 500;
const PRICE = 1_000;

let databaseUrl: string;
/** Two servers on one database where that can have two. */
let nodes: [TestApp, ...TestApp[]];
let callers: Callers;

beforeAll(async () => {
  databaseUrl = await freshDatabaseUrl();
  const first = await createTestApp({ databaseUrl });
  nodes = TEST_DATABASE === 'mysql' ? [first, await createTestApp({ databaseUrl })] : [first];
  callers = startCallers(CALLERS);
});
afterAll(async () => {
  await callers.close();
  await Promise.all(nodes.map((node) => node.close()));
});

/** Spends a budget from all sides, and sees that it is spent to the last credit and not one further. */
async function expectSpentExactly(urls: string[]): Promise<void> {
  const [app] = nodes;
  const { secret, project } = await buildKey(app, { budget: CREDITS * PRICE });
  const answers = await callers.calls(CALLS, (index) => ({ url: urls[index % urls.length] as string, secret }));
  expect(tally(answers)).toEqual({ 200: CREDITS, '402 PAYMENT_REQUIRED': CALLS - CREDITS });
  expect(await accountOf(app, project.id)).toEqual({ balance: 0, held: 0, holds: 0, bills: CREDITS, billed: CREDITS * PRICE, succeeded: CREDITS });
  expect(await faultsOf(app)).toEqual([]);
  const rests = answers.filter(({ status }) => status === 200).map(({ body }) => body.billing.budgetAvailableMicroCredits as number);
  expect(Math.max(...rests)).toBeLessThanOrEqual((CREDITS - 1) * PRICE);
  expect(Math.min(...rests)).toBe(0);
}

it('of 2,000 calls on 500 credits exactly 500 succeed and 1,500 are told 402, on every node that the database has', () => expectSpentExactly(nodes.map(({ url }) => url)));

it('and through real processes too', async () => {
  const env = { DATABASE_URL: databaseUrl, KEY_PEPPER: PEPPER, ROOT_KEY };
  const processes = await Promise.all(nodes.map(() => startProcess({ env })));
  await expectSpentExactly(await Promise.all(processes.map(({ listening }) => listening)));
});

it('neither loses nor invents a credit while budgets are filled and emptied beside the calls', async () => {
  const [app, other = app] = nodes;
  const origin = systemAuthority('tests');
  const workspace = await buildWorkspace(app);
  const project = await buildProject(app, { workspace, budget: 50 * PRICE });
  const { secret } = await buildKey(app, { project });
  await app.services.wallets.topUp(origin, { workspaceId: workspace.id, amount: 1_000 * PRICE, reference: 'stock' });
  let moved = 50 * PRICE;
  const calling = { on: true };
  const administrators = [app, other].map(async ({ services }) => {
    for (let round = 0; calling.on; round++) {
      await nextTurn(); // SQLite's transactions have no turn of their own, and would let nobody else in
      const amount = (round % 3 === 2 ? -20 : 15) * PRICE;
      try {
        await services.wallets.allocate(origin, { projectId: project.id, amount });
        moved += amount;
      } catch (error) {
        expect(error).toMatchObject({ code: 'PAYMENT_REQUIRED' }); // nothing left to take, or to give
      }
    }
  });
  const answers = await callers.calls(1_000, (index) => ({ url: (index % 2 ? app : other).url, secret }));
  calling.on = false;
  await Promise.all(administrators);
  const { 200: succeeded = 0, '402 PAYMENT_REQUIRED': refused = 0 } = tally(answers);
  expect(succeeded + refused).toBe(1_000);
  expect(succeeded).toBeGreaterThan(50);
  expect(await accountOf(app, project.id)).toEqual({
    balance: moved - succeeded * PRICE,
    held: 0,
    holds: 0,
    bills: succeeded,
    billed: succeeded * PRICE,
    succeeded,
  });
  expect(await faultsOf(app)).toEqual([]);
});

it('a call that fails, and a TEST key, leave the budget as it was', async () => {
  const [app] = nodes;
  const project = await buildProject(app, { budget: PRICE });
  const live = await buildKey(app, { project });
  const test = await buildKey(app, { project, environment: Environment.TEST });
  const answers = await callers.calls(40, () => ({ url: app.url, secret: live.secret, body: { action: 'demo.fail' } }));
  // Each holds the only credit for its moment
  expect(Object.keys(tally(answers)).filter((kind) => !['200', '402 PAYMENT_REQUIRED'].includes(kind))).toEqual([]);
  expect(answers.filter(({ body }) => body.ok)).toEqual([]);
  expect(tally(await callers.calls(40, () => ({ url: app.url, secret: test.secret })))).toEqual({ 200: 40 });
  expect(await accountOf(app, project.id)).toMatchObject({ balance: PRICE, held: 0, bills: 0, succeeded: 40 });
  expect(tally(await callers.calls(2, () => ({ url: app.url, secret: live.secret })))).toEqual({ 200: 1, '402 PAYMENT_REQUIRED': 1 });
  expect(await faultsOf(app)).toEqual([]);
});
