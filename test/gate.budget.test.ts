import { systemAuthority } from '../src/access/authority';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Environment } from '../src/tenancy/environment';
import { createTestApp, PEPPER, ROOT_KEY, type TestApp } from './support/app';
import { accountOf, faultsOf } from './support/books';
import { startCallers, tally, type Callers } from './support/callers';
import { buildKey, buildProject, buildWorkspace } from './support/factories';
import { freshDatabaseUrl } from './support/database';
import { startProcess } from './support/process';

jest.setTimeout(90_000); // other test files share the processors

// 60 concurrent callers make 2,000 calls of 1,000 micro-credits each, on a budget for 500 calls.
const CALLERS = 60;
const CALLS = 2_000;
const CREDITS = 500;
const PRICE = 1_000;

let databaseUrl: string;
/** Two servers on one MySQL database, or one server on SQLite. */
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

/** Spends a budget through all servers at once, and checks that it is spent exactly to its end. */
async function expectSpentExactly(urls: string[]): Promise<void> {
  const [app] = nodes;
  const { secret, project } = await buildKey(app, { budget: CREDITS * PRICE });
  const answers = await callers.calls(CALLS, (index) => ({ url: urls[index % urls.length] as string, secret }));
  expect(tally(answers)).toEqual({ 200: CREDITS, '402 PAYMENT_REQUIRED': CALLS - CREDITS });
  expect(await accountOf(app, project.id)).toEqual({
    balance: 0,
    held: 0,
    holds: 0,
    bills: CREDITS,
    billed: CREDITS * PRICE,
    succeeded: CREDITS,
  });
  expect(await faultsOf(app)).toEqual([]);
  const rests = answers.filter(({ status }) => status === 200).map(({ body }) => body.billing.budgetAvailableMicroCredits as number);
  expect(Math.max(...rests)).toBeLessThanOrEqual((CREDITS - 1) * PRICE);
  expect(Math.min(...rests)).toBe(0);
}

it('lets exactly 500 of 2,000 calls succeed on a budget for 500, over all nodes, and answers 402 to the others', () =>
  expectSpentExactly(nodes.map(({ url }) => url)));

it('lets exactly 500 of 2,000 calls succeed on a budget for 500, through real processes', async () => {
  const env = { DATABASE_URL: databaseUrl, KEY_PEPPER: PEPPER, ROOT_KEY };
  const processes = await Promise.all(nodes.map(() => startProcess({ env })));
  await expectSpentExactly(await Promise.all(processes.map(({ listening }) => listening)));
});

it('neither loses nor creates credits while administrators change the budget during calls', async () => {
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
      await nextTurn(); // SQLite's transactions are synchronous and would block the event loop
      const amount = (round % 3 === 2 ? -20 : 15) * PRICE;
      try {
        await services.wallets.allocate(origin, { projectId: project.id, amount });
        moved += amount;
      } catch (error) {
        expect(error).toMatchObject({ code: 'PAYMENT_REQUIRED' }); // the budget or the wallet is empty
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

it('does not charge the budget for a failed call or a TEST key', async () => {
  const [app] = nodes;
  const project = await buildProject(app, { budget: PRICE });
  const live = await buildKey(app, { project });
  const test = await buildKey(app, { project, environment: Environment.TEST });
  const answers = await callers.calls(40, () => ({ url: app.url, secret: live.secret, body: { action: 'demo.fail' } }));
  // Each call holds the only credit for a moment, so the others may get a 402.
  expect(Object.keys(tally(answers)).filter((kind) => !['200', '402 PAYMENT_REQUIRED'].includes(kind))).toEqual([]);
  expect(answers.filter(({ body }) => body.ok)).toEqual([]);
  expect(tally(await callers.calls(40, () => ({ url: app.url, secret: test.secret })))).toEqual({ 200: 40 });
  expect(await accountOf(app, project.id)).toMatchObject({ balance: PRICE, held: 0, bills: 0, succeeded: 40 });
  expect(tally(await callers.calls(2, () => ({ url: app.url, secret: live.secret })))).toEqual({ 200: 1, '402 PAYMENT_REQUIRED': 1 });
  expect(await faultsOf(app)).toEqual([]);
});
