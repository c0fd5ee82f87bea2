import {
  buildClientSchema,
  getIntrospectionQuery,
  getNamedType,
  isInterfaceType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLSchema,
} from 'graphql';
import { Membership } from '../src/access/people/membership.entity';
import { AuditEvent } from '../src/audit/event.entity';
import { newId } from '../src/lib/id';
import { OAuthClient } from '../src/oauth/client.entity';
import { Consent } from '../src/oauth/consent.entity';
import { Route } from '../src/routes/route.entity';
import { ServiceAccount, ServiceAccountProject } from '../src/service-accounts/service-account.entity';
import { createTestApp, type TestApp } from './support/app';
import { buildPerson } from './support/people';
import {
  ApiKey,
  Budget,
  LedgerEntry,
  Project,
  RequestLog,
  Wallet,
  Workspace,
  budgetRow,
  entryRow,
  insertRows,
  keyRow,
  logRow,
  projectRow,
  walletRow,
  workspaceRow,
} from './support/rows';
import { statementsOf } from './support/statements';

// Counts the SQL statements of a page. The number must not depend on the size of the page.

const START = Date.parse('2026-11-01T00:00:00.000Z');
const ROWS = 101;

let app: TestApp;
let schema: GraphQLSchema;
let workspace: Workspace;

beforeAll(async () => {
  app = await createTestApp();
  schema = buildClientSchema((await app.graphql(getIntrospectionQuery(), {}, null)).data);
  workspace = await furnish();
}, 60_000);

afterAll(() => app.close());

/** A route to one of the built-in actions, which are alike in the number of statements. */
function routeRow(index: number): Partial<Route> {
  const where = { host: null, methods: [], path: `/made/${index}`, upstreamUrl: 'http://127.0.0.1:9', upstreamPath: null };
  const times = { idleTimeoutMs: 1_000, maxDurationMs: 1_000, createdAt: new Date(START + index) };
  const flags = { replayable: false, passCredential: false, passPreflight: false, enabled: true, version: 1 };
  const actionId = 'act_demo_echo';
  return { id: newId('rte', START + index), actionId, billedStatuses: ['2xx'], usage: [], maxBodyBytes: 0, ...where, ...times, ...flags };
}

/** Makes many objects of each type, each with objects of every type below it. Returns the newest workspace, which has the most. */
async function furnish(): Promise<Workspace> {
  const workspaces = Array.from({ length: ROWS }, (_, index) => workspaceRow(START + index));
  const main = workspaces.at(-1) as Workspace;
  const projects = [
    ...workspaces.map(({ id }) => projectRow(id, START)),
    ...Array.from({ length: ROWS }, (_, index) => projectRow(main.id, START + index)),
  ];
  const keys = [
    ...projects.map((project) => keyRow(project, START)),
    ...Array.from({ length: ROWS }, (_, index) =>
      keyRow(projects[index % projects.length] as Project, START + index, { workspaceId: main.id, roleId: 'rol_viewer' }),
    ),
  ];
  const logs = keys.flatMap((key, index) =>
    [0, 1, 2].map((step) => logRow({ id: key.projectId, workspaceId: key.workspaceId }, START + index + step, { credentialId: key.id })),
  );
  const wallets = workspaces.map(({ id }) => walletRow(id));
  const accounts = [...wallets.map(({ id }) => id), ...projects.map(({ id }) => id)];
  await insertRows(app, Route, Array.from({ length: ROWS }, (_, index) => routeRow(index)));
  await insertRows(app, Workspace, workspaces);
  await insertRows(app, Project, projects);
  await insertRows(
    app,
    Budget,
    projects.map(({ id }) => budgetRow(id)),
  );
  await insertRows(app, Wallet, wallets);
  await insertRows(app, ApiKey, keys);
  await insertRows(app, RequestLog, logs);
  await insertRows(
    app,
    LedgerEntry,
    accounts.flatMap((account) => [1, 2].map((seq) => entryRow(account, seq, START + seq, { requestLogId: logs[seq]?.id ?? null }))),
  );
  const { person } = await buildPerson(app, { workspace: main });
  await insertRows(
    app,
    Membership,
    workspaces.slice(0, -1).map(({ id }) => ({ userId: person.id, workspaceId: id, roleId: 'rol_owner', createdAt: new Date(START) })),
  );
  const accountsAtWork = Array.from({ length: ROWS }, (_, index) => accountRow(main.id, START + index));
  await insertRows(app, ServiceAccount, accountsAtWork);
  await insertRows(
    app,
    ServiceAccountProject,
    accountsAtWork.flatMap(({ id: accountId }) => projects.slice(-2).map(({ id: projectId }) => ({ accountId, projectId }))),
  );
  const clients = Array.from({ length: ROWS }, (_, index) => clientRow(main.id, START + index));
  await insertRows(app, OAuthClient, clients);
  await insertRows(
    app,
    Consent,
    clients.map(({ id: clientId }, index) => consentRow(projects.at(-1 - index) as Project, { clientId, userId: person.id })),
  );
  await insertRows(
    app,
    AuditEvent,
    [...workspaces, ...keys].map((subject) => eventRow('workspaceId' in subject ? subject.workspaceId : subject.id, subject.id)),
  );
  return main;
}

const accountRow = (workspaceId: string, at: number) => {
  const state = {
    permissions: [],
    roleId: 'rol_viewer',
    enabled: true,
    rotationDays: 90,
    rotationDueAt: new Date('2099-01-01'),
    rotationDueToldAt: null,
    rotatedAt: null,
    version: 1,
  };
  return { id: newId('svc', at), workspaceId, name: 'Account', hint: 'acme_svc_...abcd', ...state, createdAt: new Date(at) };
};

const clientRow = (workspaceId: string, at: number) => ({
  id: newId('app', at),
  workspaceId,
  name: 'App',
  redirectUris: ['https://app.example/back'],
  secretDigest: null,
  hint: null,
  version: 1,
  deletedAt: null,
  createdAt: new Date(at),
});

const consentRow = ({ id: projectId, workspaceId }: Pick<Project, 'id' | 'workspaceId'>, of: { clientId: string; userId: string }) => ({
  id: newId('con', START),
  workspaceId,
  projectId,
  ...of,
  scopes: ['openid'],
  expiresAt: new Date('2099-01-01'),
  endedAt: null,
  createdAt: new Date(START),
});

const eventRow = (workspaceId: string, subjectId: string): Partial<AuditEvent> => ({
  id: newId('evt', START),
  workspaceId,
  actorKind: 'SYSTEM',
  actorId: 'tests',
  action: 'thing.done',
  subjectId,
  ip: null,
  userAgent: null,
  before: null,
  after: null,
  createdAt: new Date(START),
});

let nowMs = performance.now();
beforeEach(() => void jest.spyOn(performance, 'now').mockImplementation(() => nowMs));

async function countOf(query: string, variables: Record<string, unknown> = {}): Promise<{ statements: number; rows: number }> {
  let rows = 0;
  nowMs += 20_000; // lets the caller's points for queries refill
  const { length: statements } = await statementsOf(app, async () => {
    const { data, errors } = await app.graphql(query, variables);
    expect(errors).toBeUndefined();
    rows = JSON.stringify(data).length;
  });
  expect(statements).toBeGreaterThan(0);
  return { statements, rows };
}

it('reads a page of keys with project, workspace, wallet, budget and last call in the same number of statements for any size', async () => {
  const key = `id name status lastUsedAt previousSecretValidUntil role { name } requestLogs(first: 1) { totalCount nodes { id outcome } }
    project { name budget { available } workspace { name wallet { balance } roles { name } } }`;
  const counts = [];
  for (const first of [1, 10, 50]) {
    const { data } = await app.graphql(`query ($id: ID!) { workspace(id: $id) { keys(first: ${first}) { nodes { ${key} } } } }`, {
      id: workspace.id,
    });
    expect(data.workspace.keys.nodes).toHaveLength(first);
    expect(
      data.workspace.keys.nodes.every(
        (node: { lastUsedAt: string; requestLogs: { nodes: unknown[] } }) => node.lastUsedAt && node.requestLogs.nodes.length === 1,
      ),
    ).toBe(true);
    counts.push(
      (await countOf(`query ($id: ID!) { workspace(id: $id) { keys(first: ${first}) { nodes { ${key} } } } }`, { id: workspace.id }))
        .statements,
    );
  }
  expect(new Set(counts).size).toBe(1);
  expect(counts[0]).toBe(12);
});

it('reads projects with their keys, the calls of each key, and all counts in the same number of statements for any size', async () => {
  const keys = 'totalCount nodes { id requestLogs(last: 2) { totalCountIsExact nodes { id } } }';
  const query = (first: number) =>
    `query ($id: ID!) { workspace(id: $id) { projects(first: ${first}) { totalCount nodes { id keys(first: 5) { ${keys} } } } } }`;
  const counts = [];
  for (const first of [1, 10, 100]) counts.push((await countOf(query(first), { id: workspace.id })).statements);
  expect(new Set(counts).size).toBe(1);
});

it('reads objects by their ids in the same number of statements for one and for a hundred', async () => {
  const { data } = await app.graphql('query ($id: ID!) { workspace(id: $id) { keys(first: 100) { nodes { id } } } }', { id: workspace.id });
  const ids: string[] = data.workspace.keys.nodes.map(({ id }: { id: string }) => id);
  const counts = [];
  for (const size of [1, 10, 100])
    counts.push(
      (
        await countOf('query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on ApiKey { status project { name } } } }', {
          ids: ids.slice(0, size),
        })
      ).statements,
    );
  expect(new Set(counts).size).toBe(1);
});

// Tests every field of every type that a list leads to, so that a new field is tested too.

/** For each type, the query around a list with many rows. LIST stands for the arguments of the list. */
const LISTS: Record<string, (list: string) => string> = {
  Workspace: (list) => `{ workspaces(LIST) { nodes { ${list} } } }`,
  Project: (list) => `query ($id: ID!) { workspace(id: $id) { projects(LIST) { nodes { ${list} } } } }`,
  ApiKey: (list) => `query ($id: ID!) { workspace(id: $id) { keys(LIST) { nodes { ${list} } } } }`,
  Creator: (list) => `query ($id: ID!) { workspace(id: $id) { keys(LIST) { nodes { createdBy { ${list} } } } } }`,
  RequestLog: (list) => `query ($id: ID!) { workspace(id: $id) { requestLogs(LIST) { nodes { ${list} } } } }`,
  AuditEvent: (list) => `{ auditEvents(LIST) { nodes { ${list} } } }`,
  Route: (list) => `{ routes(LIST) { nodes { ${list} } } }`,
  Action: (list) => `{ actions(LIST) { nodes { ${list} } } }`,
  Wallet: (list) => `{ workspaces(LIST) { nodes { wallet { ${list} } } } }`,
  LedgerEntry: (list) => `{ workspaces(LIST) { nodes { wallet { ledger(first: 5) { nodes { ${list} } } } } } }`,
  Membership: (list) => `{ workspaces(LIST) { nodes { members(first: 1) { nodes { ${list} } } } } }`,
  Budget: (list) => `query ($id: ID!) { workspace(id: $id) { projects(LIST) { nodes { budget { ${list} } } } } }`,
  User: (list) => `{ workspaces(LIST) { nodes { members { nodes { user { ${list} } } } } } }`,
  ServiceAccount: (list) => `query ($id: ID!) { workspace(id: $id) { serviceAccounts(LIST) { nodes { ${list} } } } }`,
  OAuthClient: (list) => `query ($id: ID!) { workspace(id: $id) { oauthClients(LIST) { nodes { ${list} } } } }`,
  Consent: (list) => `query ($id: ID!) { workspace(id: $id) { oauthClients(LIST) { nodes { consents { nodes { ${list} } } } } } }`,
  Role: (list) => `query ($id: ID!) { workspace(id: $id) { keys(LIST) { nodes { role { ${list} } } } } }`,
};

/** Types that are no rows of a list: read once in a request, part of a row, or without rows in this test. */
const APART = new Set([
  'AuditChain',
  'AuditVerification',
  'BrokenAuditLink',
  'Viewer',
  'Session',
  'Invitation',
  'Permission',
  'RateLimit',
  'UnitPrice',
  'UnitQuantity',
  'UsageSource',
  'PageInfo',
]);

/** Returns the selection of a field with all its leaf fields, and with its nodes if it is a list. */
function selectionOf(field: GraphQLField<unknown, unknown>, depth = 2): string {
  const type = getNamedType(field.type);
  if (isLeafType(type)) return field.name;
  if (!isObjectType(type)) return isInterfaceType(type) ? `${field.name} { id }` : '';
  const shown = Object.values(type.getFields()).flatMap((inner) =>
    isLeafType(getNamedType(inner.type)) || (depth > 0 && inner.name === 'nodes') ? [selectionOf(inner, depth - 1)] : [],
  );
  const few = field.args.some(({ name }) => name === 'first') ? '(first: 5)' : '';
  return `${field.name}${few} { ${shown.join(' ')} }`;
}

describe('every field', () => {
  it('belongs to a type with a query in the table LISTS', () => {
    const types = Object.values(schema.getTypeMap())
      .filter(isObjectType)
      .map(({ name }) => name)
      .filter(
        (name) =>
          !/^(Query|Mutation|Subscription|AuditEventAdded|KeyChanged|RequestLogged|BudgetChanged|__.*|.*(Connection|Edge|Payload))$/.test(
            name,
          ),
      );
    expect(types.filter((name) => !APART.has(name) && !LISTS[name])).toEqual([]);
  });

  it.each(Object.keys(LISTS))('of %s costs the same number of statements for a hundred rows as for one', async (name) => {
    const type = schema.getType(name) as GraphQLObjectType;
    for (const field of Object.values(type.getFields())) {
      const query = (LISTS[name] as (list: string) => string)(selectionOf(field));
      const isList = isListType(isNonNullType(field.type) ? field.type.ofType : field.type);
      const many = isList ? 25 : 100; // a list without pages is priced at its maximum
      const [one, more] = [
        await countOf(query.replace('LIST', 'first: 1'), { id: workspace.id }),
        await countOf(query.replace('LIST', `first: ${many}`), { id: workspace.id }),
      ];
      expect([field.name, more.statements]).toEqual([field.name, one.statements]);
      // Proves that more rows were read.
      if (name !== 'Action' && !isList) expect([field.name, more.rows > one.rows]).toEqual([field.name, true]);
    }
  });
});
