import { RequestLog, RequestOutcome } from '../src/requests/request-log.entity';
import { Environment } from '../src/tenancy/environment';
import { createTestApp, type TestApp } from './support/app';
import { buildKey, buildProject } from './support/factories';
import { insertRows, logRow } from './support/rows';

const START = Date.UTC(2026, 0, 1);

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp();
});

afterAll(() => app.close());

const LOG = `
  id requestId service action environment outcome errorCode httpStatus chargedMicroCredits actionMs totalMs ip
  userAgent createdAt
  key { id }
  project { id }
`;

/** Makes one call and returns its log, looked up by its id. */
async function logOf({ secret }: { secret: string }, body: Record<string, unknown> = {}, service = 'demo') {
  const answer = await app.rest({ secret, service, body, headers: { 'user-agent': `caller/1.0 ${'x'.repeat(300)}` } });
  const { requestId } = answer.body;
  const { data } = await app.graphql(
    'query ($id: ID) { workspaces(first: 100) { nodes { requestLogs(filter: { requestId: $id }) { nodes { id } } } } }',
    { id: requestId },
  );
  const ids = data.workspaces.nodes.flatMap(({ requestLogs }: { requestLogs: { nodes: { id: string }[] } }) =>
    requestLogs.nodes.map(({ id }) => id),
  );
  expect(ids).toHaveLength(1);
  const { requestLog } = (await app.graphql(`query ($id: ID!) { requestLog(id: $id) { ${LOG} } }`, { id: ids[0] })).data;
  expect(requestLog.requestId).toBe(requestId);
  return requestLog;
}

it('a log is found by its requestId, even if other tenants used the same requestId a thousand times later', async () => {
  const [own, stranger] = [await buildProject(app), await buildProject(app)];
  const requestId = '11111111-0000-4000-8000-000000000000';
  const row = logRow(own, START, { requestId });
  await insertRows(app, RequestLog, [
    row,
    ...Array.from({ length: 1_000 }, (_, index) => logRow(stranger, START + 1 + index, { requestId })),
  ]);
  const { data } = await app.graphql(
    `query ($workspaceId: ID!, $projectId: ID!, $requestId: ID) {
      workspace(id: $workspaceId) { requestLogs(filter: { requestId: $requestId }) { nodes { id } } }
      project(id: $projectId) { requestLogs(filter: { requestId: $requestId }) { nodes { id } } }
    }`,
    { workspaceId: own.workspaceId, projectId: own.id, requestId },
  );
  expect([data.workspace.requestLogs.nodes, data.project.requestLogs.nodes]).toEqual([[{ id: row.id }], [{ id: row.id }]]);
});

describe('a request log', () => {
  it('shows the action, caller, address, price and duration of a successful call', async () => {
    const caller = await buildKey(app);
    const log = await logOf(caller);
    expect(log).toMatchObject({
      service: 'demo',
      action: 'demo.echo',
      environment: 'LIVE',
      outcome: 'SUCCEEDED',
      errorCode: null,
      httpStatus: 200,
      chargedMicroCredits: 1_000,
    });
    expect(log).toMatchObject({
      ip: '127.0.0.1',
      userAgent: `caller/1.0 ${'x'.repeat(300)}`.slice(0, 255),
      key: { id: caller.key.id },
      project: { id: caller.project.id },
    });
    expect(log.actionMs).toBeGreaterThanOrEqual(0);
    expect(log.totalMs).toBeGreaterThanOrEqual(log.actionMs);
    expect(log.createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it('shows a successful call by a TEST key as free', async () => {
    const log = await logOf(await buildKey(app, { environment: Environment.TEST }));
    expect(log).toMatchObject({ environment: 'TEST', outcome: 'SUCCEEDED', chargedMicroCredits: 0 });
  });

  it("shows the action's own code if the action returned a failure", async () => {
    const log = await logOf(await buildKey(app), { action: 'demo.fail' });
    expect(log).toMatchObject({
      action: 'demo.fail',
      outcome: 'FAILED',
      errorCode: 'DEMO_FAILURE',
      httpStatus: 200,
      chargedMicroCredits: 0,
      actionMs: expect.any(Number),
    });
  });

  it('shows the code of the error table if the action did not run', async () => {
    const unknown = await logOf(await buildKey(app), { action: 'Demo.Nope' }, 'nowhere');
    expect(unknown).toMatchObject({
      service: 'nowhere',
      action: 'Demo.Nope',
      outcome: 'REFUSED',
      errorCode: 'UNKNOWN_ACTION',
      httpStatus: 404,
      chargedMicroCredits: 0,
      actionMs: null,
    });
    const poor = await logOf(await buildKey(app, { budget: 999 }));
    expect(poor).toMatchObject({
      outcome: 'REFUSED',
      errorCode: 'PAYMENT_REQUIRED',
      httpStatus: 402,
      actionMs: null,
      totalMs: expect.any(Number),
    });
  });

  it('shows a call with an unknown outcome, by another kind of credential', async () => {
    const { project } = await buildKey(app);
    const at = await app.database.now();
    const values = {
      requestId: '00000000-0000-4000-8000-000000000000',
      workspaceId: project.workspaceId,
      projectId: project.id,
      environment: Environment.LIVE,
      service: 'demo',
      action: 'demo.echo',
      ip: null,
      userAgent: null,
    };
    const end = {
      outcome: RequestOutcome.EXPIRED,
      errorCode: 'OUTCOME_UNKNOWN',
      httpStatus: null,
      chargedMicroCredits: 0,
      actionMs: null,
      totalMs: null,
      createdAt: at,
    };
    await app.database.transaction((tx) =>
      tx.insert(RequestLog, { ...values, ...end, id: 'log_expired', credentialKind: 'OAUTH_CLIENT', credentialId: 'client_1' }),
    );
    const { data } = await app.graphql(`{ requestLog(id: "log_expired") { ${LOG} } }`);
    const shown = {
      outcome: 'EXPIRED',
      errorCode: 'OUTCOME_UNKNOWN',
      httpStatus: null,
      actionMs: null,
      totalMs: null,
      ip: null,
      userAgent: null,
      key: null,
      project: { id: project.id },
    };
    expect(data.requestLog).toMatchObject({ ...shown, createdAt: at.toISOString() });
  });

  it('is billed by one entry, which remains after the log is deleted at the end of its retention', async () => {
    const caller = await buildKey(app);
    const log = await logOf(caller);
    const ledger = async () =>
      (
        await app.graphql(
          'query ($id: ID!) { project(id: $id) { ledger(filter: { kind: [USAGE] }) { nodes { delta requestLog { id } } } } }',
          { id: caller.project.id },
        )
      ).data.project.ledger.nodes;
    expect(await ledger()).toEqual([{ delta: -1_000, requestLog: { id: log.id } }]);
    await app.database.transaction((tx) => tx.delete(RequestLog, { id: log.id }));
    expect(await ledger()).toEqual([{ delta: -1_000, requestLog: null }]);
  });

  it('is listed only by its key, its project and its workspace', async () => {
    const [one, other] = [await buildKey(app), await buildKey(app)];
    const sibling = await buildKey(app, { project: one.project });
    const log = await logOf(one);
    const lists = async ({ key }: typeof one) => {
      const nodes = 'requestLogs { nodes { id } }';
      const { data } = await app.graphql(`query ($id: ID!) { key(id: $id) { ${nodes} project { ${nodes} workspace { ${nodes} } } } }`, {
        id: key.id,
      });
      return [data.key, data.key.project, data.key.project.workspace].map(({ requestLogs }) =>
        requestLogs.nodes.map(({ id }: { id: string }) => id),
      );
    };
    expect(await lists(one)).toEqual([[log.id], [log.id], [log.id]]);
    expect(await lists(sibling)).toEqual([[], [log.id], [log.id]]);
    expect(await lists(other)).toEqual([[], [], []]);
  });
});
