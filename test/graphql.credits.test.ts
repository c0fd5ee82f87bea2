import { Environment } from '../src/tenancy/environment';
import { createTestApp, type TestApp } from './support/app';
import { faultsOf } from './support/books';
import { buildAction, buildKey, buildProject, buildWorkspace, ghostOf } from './support/factories';
import { mutations } from './support/mutate';
import { startUpstream } from './support/upstream';

let app: TestApp;
let mutate: ReturnType<typeof mutations>['mutate'];
let refusal: ReturnType<typeof mutations>['refusal'];
let issuePaths: ReturnType<typeof mutations>['issuePaths'];

beforeAll(async () => {
  app = await createTestApp();
  ({ mutate, refusal, issuePaths } = mutations(app));
});

afterAll(() => app.close());

const ENTRY = 'entry { id kind delta balanceAfter reference reason workspace { id } project { id } linkedEntry { id } requestLog { id } }';
const NO_WORKSPACE = ghostOf('ws');
const NO_PROJECT = ghostOf('prj');

async function balancesOf(workspaceId: string, projectId?: string): Promise<{ wallet: number; budget?: number; entries: number }> {
  const { data } = await app.graphql(
    `query ($workspaceId: ID!, $projectId: ID!) {
      workspace(id: $workspaceId) { wallet { balance ledger(first: 100) { nodes { id } } } }
      project(id: $projectId) { budget { balance } }
    }`,
    { workspaceId, projectId: projectId ?? '' },
  );
  const { balance, ledger } = data.workspace.wallet;
  return { wallet: balance, ...(projectId && { budget: data.project.budget.balance }), entries: ledger.nodes.length };
}

describe('topUpWallet', () => {
  it('credits the wallet and writes an entry for it', async () => {
    const { id } = await buildWorkspace(app);
    const bought = await mutate('topUpWallet', { workspaceId: id, amount: 500, reference: 'pay-1' }, `wallet { balance } ${ENTRY}`);
    const given = await mutate(
      'topUpWallet',
      { workspaceId: id, amount: 70, kind: 'BONUS', reference: 'gift-1' },
      `wallet { balance } ${ENTRY}`,
    );
    const common = {
      id: expect.stringMatching(/^led_[0-9A-Za-z_-]{1,60}$/),
      reason: null,
      workspace: { id },
      project: null,
      linkedEntry: null,
      requestLog: null,
    };
    expect(bought).toEqual({
      wallet: { balance: 500 },
      entry: { ...common, kind: 'TOPUP', delta: 500, balanceAfter: 500, reference: 'pay-1' },
    });
    expect(given).toEqual({
      wallet: { balance: 570 },
      entry: { ...common, kind: 'BONUS', delta: 70, balanceAfter: 570, reference: 'gift-1' },
    });
  });

  it('returns the first entry for a repeated reference and credits nothing again', async () => {
    const { id } = await buildWorkspace(app);
    const input = { workspaceId: id, amount: 500, reference: 'pay-1' };
    const first = await mutate('topUpWallet', input, ENTRY);
    await mutate('topUpWallet', { ...input, amount: 20, reference: 'pay-2' }, ENTRY);
    expect(await mutate('topUpWallet', input, `wallet { balance } ${ENTRY}`)).toEqual({ ...first, wallet: { balance: 520 } });
    expect(await balancesOf(id)).toEqual({ wallet: 520, entries: 2 });
  });

  it('returns CONFLICT for a reference that was used with another amount or kind', async () => {
    const { id } = await buildWorkspace(app);
    const input = { workspaceId: id, amount: 500, reference: 'pay-1' };
    await mutate('topUpWallet', input, ENTRY);
    for (const other of [{ amount: 501 }, { kind: 'BONUS' }])
      expect(await refusal('topUpWallet', { ...input, ...other })).toMatchObject({ code: 'CONFLICT' });
    expect(await balancesOf(id)).toEqual({ wallet: 500, entries: 1 });
  });

  it('compares references byte by byte, separately for each workspace', async () => {
    const [one, other] = [await buildWorkspace(app), await buildWorkspace(app)];
    for (const reference of ['pay-1', 'PAY-1', 'pay-1é', 'pay-1é'.normalize('NFD'), '💶'.repeat(200)])
      await mutate('topUpWallet', { workspaceId: one.id, amount: 1, reference }, ENTRY);
    await mutate('topUpWallet', { workspaceId: other.id, amount: 9, reference: 'pay-1' }, ENTRY);
    expect(await balancesOf(one.id)).toEqual({ wallet: 5, entries: 5 });
    expect(await balancesOf(other.id)).toEqual({ wallet: 9, entries: 1 });
    for (const reference of ['pay-1 ', ' pay-1', 'pay-1\n', '', 'x'.repeat(201)]) {
      expect(await issuePaths('topUpWallet', { workspaceId: one.id, amount: 1, reference })).toEqual(['input.reference']);
    }
  });

  it('credits once if one reference arrives twenty times at the same time', async () => {
    const { id } = await buildWorkspace(app);
    const input = { workspaceId: id, amount: 500, reference: 'pay-1' };
    const answers = await Promise.all(Array.from({ length: 20 }, () => mutate('topUpWallet', input, `wallet { balance } ${ENTRY}`)));
    expect(new Set(answers.map(({ entry }) => entry.id)).size).toBe(1);
    expect(await balancesOf(id)).toEqual({ wallet: 500, entries: 1 });
  });

  it('refuses an amount that is not above zero, and a workspace that does not exist', async () => {
    const { id } = await buildWorkspace(app);
    for (const amount of [0, -1])
      expect(await issuePaths('topUpWallet', { workspaceId: id, amount, reference: 'x' })).toEqual(['input.amount']);
    expect(await refusal('topUpWallet', { workspaceId: NO_WORKSPACE, amount: 1, reference: 'x' })).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('allocateBudget', () => {
  it("moves credits as two linked entries and returns the project's entry", async () => {
    const workspace = await buildWorkspace(app);
    const project = await buildProject(app, { workspace, budget: 0 });
    await mutate('topUpWallet', { workspaceId: workspace.id, amount: 500, reference: 'pay' }, ENTRY);
    const selection = `
      wallet {
        balance
        ledger(filter: { kind: [ALLOCATION] }) { nodes { id delta balanceAfter project { id } linkedEntry { id } } }
      }
      project { budget { balance } }
      ${ENTRY}
    `;
    const {
      wallet,
      project: funded,
      entry,
    } = await mutate('allocateBudget', { projectId: project.id, amount: 300, reference: 'q1' }, selection);
    const [out] = wallet.ledger.nodes;
    expect(entry).toMatchObject({
      kind: 'ALLOCATION',
      delta: 300,
      balanceAfter: 300,
      reference: 'q1',
      project: { id: project.id },
      workspace: { id: workspace.id },
    });
    expect(out).toEqual({ id: entry.linkedEntry.id, delta: -300, balanceAfter: 200, project: null, linkedEntry: { id: entry.id } });
    expect([wallet.balance, funded.budget.balance]).toEqual([200, 300]);
    const back = await mutate('allocateBudget', { projectId: project.id, amount: -100 }, selection);
    expect([back.wallet.balance, back.project.budget.balance, back.entry.delta, back.entry.balanceAfter]).toEqual([300, 200, -100, 200]);
  });

  it('returns INSUFFICIENT_FUNDS if the wallet, or for a negative amount the budget, has too little', async () => {
    const workspace = await buildWorkspace(app);
    const project = await buildProject(app, { workspace, budget: 500 });
    expect(await refusal('allocateBudget', { projectId: project.id, amount: 1 })).toMatchObject({ code: 'INSUFFICIENT_FUNDS' });
    expect(await refusal('allocateBudget', { projectId: project.id, amount: -501 })).toMatchObject({ code: 'INSUFFICIENT_FUNDS' });
    expect(await balancesOf(workspace.id, project.id)).toMatchObject({ wallet: 0, budget: 500 });
    expect(await issuePaths('allocateBudget', { projectId: project.id, amount: 0 })).toEqual(['input.amount']);
    expect(await refusal('allocateBudget', { projectId: NO_PROJECT, amount: 1 })).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('has separate references: a repeat moves nothing, another amount or project is CONFLICT', async () => {
    const workspace = await buildWorkspace(app);
    const [one, other] = [await buildProject(app, { workspace, budget: 0 }), await buildProject(app, { workspace, budget: 0 })];
    await mutate('topUpWallet', { workspaceId: workspace.id, amount: 1_000, reference: 'same' }, ENTRY);
    const input = { projectId: one.id, amount: 10, reference: 'same' };
    const first = await mutate('allocateBudget', input, ENTRY);
    expect(await mutate('allocateBudget', input, ENTRY)).toEqual(first);
    for (const change of [{ amount: 11 }, { amount: -10 }, { projectId: other.id }])
      expect(await refusal('allocateBudget', { ...input, ...change })).toMatchObject({ code: 'CONFLICT' });
    await mutate('adjustBalance', { workspaceId: workspace.id, delta: 5, reason: 'r', reference: 'same' }, ENTRY);
    // Without a reference, each mutation moves credits.
    for (let times = 0; times < 2; times += 1) await mutate('allocateBudget', { projectId: one.id, amount: 1 }, ENTRY);
    expect(await balancesOf(workspace.id, one.id)).toMatchObject({ wallet: 993, budget: 12 });
  });

  it('takes back only credits that are not reserved for calls in flight', async () => {
    const upstream = await startUpstream();
    const action = await buildAction(app, { upstreamUrl: upstream.url, priceMicroCredits: 700 });
    const { secret, project } = await buildKey(app, { budget: 1_000, permissions: [action.permission] });
    const budget = async () =>
      (await app.graphql('query ($id: ID!) { project(id: $id) { budget { balance held available } } }', { id: project.id })).data.project
        .budget;
    const call = app.rest({ secret, service: action.service, body: { action: action.name } });
    await upstream.arrived(1);
    expect(await budget()).toEqual({ balance: 1_000, held: 700, available: 300 });
    expect(await refusal('allocateBudget', { projectId: project.id, amount: -301 })).toMatchObject({ code: 'INSUFFICIENT_FUNDS' });
    expect(await refusal('adjustBalance', { projectId: project.id, delta: -301, reason: 'r' })).toMatchObject({
      code: 'INSUFFICIENT_FUNDS',
    });
    await mutate('allocateBudget', { projectId: project.id, amount: -300 }, ENTRY);
    expect(await budget()).toEqual({ balance: 700, held: 700, available: 0 });
    upstream.release();
    expect((await call).body.billing).toEqual({ chargedMicroCredits: 700, budgetAvailableMicroCredits: 0 });
    expect(await budget()).toEqual({ balance: 0, held: 0, available: 0 });
  });

  it('keeps all balances correct while calls are billed from the same budget', async () => {
    const { secret, project } = await buildKey(app, { budget: 20_000 });
    await mutate('topUpWallet', { workspaceId: project.workspaceId, amount: 100_000, reference: 'more' }, ENTRY);
    const amounts = Array.from({ length: 20 }, (_, index) => (index % 4 === 3 ? -900 : 1_500));
    const moves = amounts.map((amount) =>
      app.graphql('mutation ($input: AllocateBudgetInput!) { allocateBudget(input: $input) { entry { id } } }', {
        input: { projectId: project.id, amount },
      }),
    );
    const calls = Array.from({ length: 40 }, () => app.rest({ secret }));
    const moved = (await Promise.all(moves))
      .map(({ errors }, index) => (errors ? 0 : (amounts[index] as number)))
      .reduce((sum, amount) => sum + amount, 0);
    const billed = (await Promise.all(calls)).filter(({ status }) => status === 200).length * 1_000;
    expect(await balancesOf(project.workspaceId, project.id)).toMatchObject({ wallet: 100_000 - moved, budget: 20_000 + moved - billed });
    expect(await faultsOf(app)).toEqual([]);
  });
});

describe('refundRequest', () => {
  /** Makes a call and returns the id of its log. */
  const logOf = async ({ key, secret }: Awaited<ReturnType<typeof buildKey>>): Promise<string> => {
    await app.rest({ secret });
    const { data } = await app.graphql('query ($id: ID!) { key(id: $id) { requestLogs(first: 1) { nodes { id } } } }', { id: key.id });
    return data.key.requestLogs.nodes[0].id;
  };

  it("returns the price of a billed call to its project's budget, once", async () => {
    const caller = await buildKey(app, { budget: 5_000 });
    const { project } = caller;
    const requestLogId = await logOf(caller);
    const { project: refunded, entry } = await mutate(
      'refundRequest',
      { requestLogId, reason: 'Wrong face.' },
      `project { id budget { balance } } ${ENTRY}`,
    );
    expect(refunded).toEqual({ id: project.id, budget: { balance: 5_000 } });
    expect(entry).toMatchObject({
      kind: 'REFUND',
      delta: 1_000,
      balanceAfter: 5_000,
      reason: 'Wrong face.',
      project: { id: project.id },
      requestLog: { id: requestLogId },
    });
    expect(await refusal('refundRequest', { requestLogId, reason: 'Again.' })).toMatchObject({ code: 'CONFLICT' });
    expect(await balancesOf(project.workspaceId, project.id)).toMatchObject({ budget: 5_000 });
  });

  it('returns the price once if many mutations run at the same time', async () => {
    const caller = await buildKey(app, { budget: 5_000 });
    const { project } = caller;
    const requestLogId = await logOf(caller);
    const asked = Array.from({ length: 10 }, () =>
      app.graphql('mutation ($id: ID!) { refundRequest(input: { requestLogId: $id, reason: "r" }) { entry { id } } }', {
        id: requestLogId,
      }),
    );
    const codes = (await Promise.all(asked)).map(({ errors }) => errors?.[0]?.extensions.code ?? 'refunded').sort();
    expect(codes).toEqual([...Array.from({ length: 9 }, () => 'CONFLICT'), 'refunded']);
    expect(await balancesOf(project.workspaceId, project.id)).toMatchObject({ budget: 5_000 });
  });

  it('returns CONFLICT for a free call, and NOT_FOUND for a call that does not exist', async () => {
    const free = await buildKey(app, { environment: Environment.TEST });
    expect(await refusal('refundRequest', { requestLogId: await logOf(free), reason: 'r' })).toMatchObject({ code: 'CONFLICT' });
    const unlucky = await buildKey(app);
    await app.rest({ secret: unlucky.secret, body: { action: 'demo.fail' } });
    const { data } = await app.graphql('query ($id: ID!) { key(id: $id) { requestLogs { nodes { id chargedMicroCredits } } } }', {
      id: unlucky.key.id,
    });
    const [failed] = data.key.requestLogs.nodes;
    expect(failed.chargedMicroCredits).toBe(0);
    expect(await refusal('refundRequest', { requestLogId: failed.id, reason: 'r' })).toMatchObject({ code: 'CONFLICT' });
    expect(await refusal('refundRequest', { requestLogId: ghostOf('log'), reason: 'r' })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await issuePaths('refundRequest', { requestLogId: failed.id, reason: '' })).toEqual(['input.reason']);
  });

  it('needs no reference, and does not collide with references of other mutations', async () => {
    const caller = await buildKey(app, { budget: 5_000 });
    const { project } = caller;
    const requestLogId = await logOf(caller);
    await mutate('topUpWallet', { workspaceId: project.workspaceId, amount: 1, reference: requestLogId }, ENTRY);
    await mutate('adjustBalance', { projectId: project.id, delta: 1, reason: 'r', reference: requestLogId }, ENTRY);
    const { entry } = await mutate('refundRequest', { requestLogId, reason: 'r' }, ENTRY);
    expect(entry).toMatchObject({ delta: 1_000, balanceAfter: 5_001, reference: null });
  });
});

describe('adjustBalance', () => {
  it('corrects a wallet or a budget up or down, with a reason', async () => {
    const workspace = await buildWorkspace(app);
    const project = await buildProject(app, { workspace, budget: 500 });
    const up = await mutate('adjustBalance', { workspaceId: workspace.id, delta: 30, reason: 'Goodwill.' }, ENTRY);
    expect(up.entry).toMatchObject({
      kind: 'ADJUSTMENT',
      delta: 30,
      balanceAfter: 30,
      reason: 'Goodwill.',
      reference: null,
      project: null,
      workspace: { id: workspace.id },
    });
    const down = await mutate('adjustBalance', { projectId: project.id, delta: -500, reason: 'Mistake.' }, ENTRY);
    expect(down.entry).toMatchObject({ kind: 'ADJUSTMENT', delta: -500, balanceAfter: 0, reason: 'Mistake.', project: { id: project.id } });
    expect(await refusal('adjustBalance', { projectId: project.id, delta: -1, reason: 'r' })).toMatchObject({ code: 'INSUFFICIENT_FUNDS' });
    expect(await refusal('adjustBalance', { workspaceId: workspace.id, delta: -31, reason: 'r' })).toMatchObject({
      code: 'INSUFFICIENT_FUNDS',
    });
    expect(await balancesOf(workspace.id, project.id)).toMatchObject({ wallet: 30, budget: 0 });
  });

  it('returns the first entry for a repeated reference; another amount or account is CONFLICT', async () => {
    const workspace = await buildWorkspace(app);
    const project = await buildProject(app, { workspace, budget: 0 });
    const input = { workspaceId: workspace.id, delta: 30, reason: 'Goodwill.', reference: 'ticket-7' };
    const first = await mutate('adjustBalance', input, ENTRY);
    expect(await mutate('adjustBalance', input, ENTRY)).toEqual(first);
    expect(await refusal('adjustBalance', { ...input, delta: 31 })).toMatchObject({ code: 'CONFLICT' });
    expect(await refusal('adjustBalance', { ...input, workspaceId: null, projectId: project.id })).toMatchObject({ code: 'CONFLICT' });
    expect(await balancesOf(workspace.id, project.id)).toMatchObject({ wallet: 30, budget: 0 });
  });

  it('requires exactly one of workspaceId and projectId, a delta other than zero, and an existing account', async () => {
    const { id: workspaceId } = await buildWorkspace(app);
    const { id: projectId } = await buildProject(app, { budget: 0 });
    const rest = { delta: 1, reason: 'r' };
    for (const ids of [{}, { workspaceId, projectId }, { workspaceId: null, projectId: null }])
      expect(await issuePaths('adjustBalance', { ...rest, ...ids })).toEqual(['input']);
    expect(await issuePaths('adjustBalance', { workspaceId, delta: 0, reason: ' ' })).toEqual(['input.delta', 'input.reason']);
    for (const ids of [{ workspaceId: NO_WORKSPACE }, { projectId: NO_PROJECT }])
      expect(await refusal('adjustBalance', { ...rest, ...ids })).toMatchObject({ code: 'NOT_FOUND' });
  });
});

it('leaves all balances correct after all these tests', async () => {
  expect(await faultsOf(app)).toEqual([]);
});
