import { createTestApp, type TestApp } from './support/app';
import { buildKey } from './support/factories';

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp();
});

afterAll(() => app.close());

it('bills a success once, and shows it in the log and in the ledger', async () => {
  const { key, secret } = await buildKey(app);
  const { status, body } = await app.rest({ secret, body: { params: { hello: 'world' } } });
  expect(status).toBe(200);
  const billing = { chargedMicroCredits: 1000, budgetAvailableMicroCredits: 999_000 };
  expect(body).toMatchObject({ ok: true, data: { hello: 'world' }, billing });
  const { data } = await app.graphql(
    `query ($id: ID!) { key(id: $id) {
      requestLogs { nodes { id requestId outcome chargedMicroCredits } }
      project { budget { balance held available } ledger { nodes { kind delta balanceAfter requestLog { id } } } } } }`,
    { id: key.id },
  );
  const [log] = data.key.requestLogs.nodes;
  expect(log).toMatchObject({ requestId: body.requestId, outcome: 'SUCCEEDED', chargedMicroCredits: 1000 });
  expect(data.key.project.budget).toEqual({ balance: 999_000, held: 0, available: 999_000 });
  expect(data.key.project.ledger.nodes[0]).toEqual({ kind: 'USAGE', delta: -1000, balanceAfter: 999_000, requestLog: { id: log.id } });
});
