import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache } from '@apollo/client';
import { relayStylePagination } from '@apollo/client/utilities';
import { Client, cacheExchange, fetchExchange, type OperationResult } from '@urql/core';
import { parse, separateOperations, type DocumentNode } from 'graphql';
import { Environment, Network, RecordSource, Store, fetchQuery, type ConcreteRequest } from 'relay-runtime';
import type { Workspace } from '../src/tenancy/workspace.entity';
import { createTestApp, type TestApp } from './support/app';
import { buildKey, buildProject, buildWorkspace } from './support/factories';
import { buildPerson } from './support/people';
import { compileRelay } from './support/relay';
import { until } from './support/until';

// Runs popular GraphQL clients in their default configuration against a listening server. Each client runs the same documents.

const DOCUMENTS = separateOperations(parse(readFileSync(join(__dirname, 'clients/dashboard.graphql'), 'utf8')));
const document = (name: string): DocumentNode => DOCUMENTS[`Dashboard${name}`] as DocumentNode;

/** The common interface of the client libraries. */
interface Library {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the form of its answer
  run(name: string, variables?: Record<string, unknown>): Promise<any>;
  /** Runs a document and returns the code of its error. */
  codeOf(name: string, variables: Record<string, unknown>): Promise<unknown>;
}

let app: TestApp;
let workspace: Workspace;
let projectId: string;
let reading: string;

beforeAll(async () => {
  app = await createTestApp();
  workspace = await buildWorkspace(app);
  const project = await buildProject(app, { workspace, budget: 1_500 });
  projectId = project.id;
  for (let turn = 0; turn < 5; turn += 1) await buildKey(app, { project });
  const { secret } = await buildKey(app, { project });
  for (let turn = 0; turn < 2; turn += 1) await app.rest({ secret }); // the budget pays only for the first call
  reading = (await buildKey(app, { workspace, budget: 0, permissions: ['read.logs', 'read.keys'] })).secret;
});

afterAll(() => app.close());

function apollo(secret: string): Library & { client: ApolloClient } {
  const client = new ApolloClient({
    link: new HttpLink({ uri: `${app.url}/graphql`, headers: { 'x-api-key': secret } }),
    cache: new InMemoryCache({ typePolicies: { Workspace: { fields: { keys: relayStylePagination(['filter']) } } } }),
  });
  const run = async (name: string, variables = {}) =>
    (name === 'Mint' || name === 'Revoke'
      ? await client.mutate({ mutation: document(name), variables })
      : await client.query({ query: document(name), variables })
    ).data;
  const codeOf = async (name: string, variables: Record<string, unknown>) => {
    const error: unknown = await run(name, variables).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    return CombinedGraphQLErrors.is(error) ? error.errors[0]?.extensions?.code : error;
  };
  return { client, run, codeOf };
}

function urql(secret: string): Library {
  const client = new Client({
    url: `${app.url}/graphql`,
    exchanges: [cacheExchange, fetchExchange],
    fetchOptions: { headers: { 'x-api-key': secret } },
    preferGetMethod: false,
  });
  const send = async (name: string, variables = {}): Promise<OperationResult> =>
    name === 'Mint' || name === 'Revoke'
      ? client.mutation(document(name), variables).toPromise()
      : client.query(document(name), variables).toPromise();
  return {
    run: async (name, variables) => {
      const { data, error } = await send(name, variables);
      if (error) throw error;
      return data as unknown;
    },
    codeOf: async (name, variables) => (await send(name, variables)).error?.graphQLErrors[0]?.extensions.code,
  };
}

describe.each([
  ['Apollo Client', apollo],
  ['urql', urql],
] as const)('with %s, a dashboard', (_name, library) => {
  it('shows the viewer, workspaces with their projects and budgets, and refused calls', async () => {
    const { run } = library(app.rootKey);
    expect((await run('Viewer')).viewer).toMatchObject({ kind: 'OPERATOR' });
    const { workspaces } = await run('Workspaces', { first: 10 });
    const shown = workspaces.edges.find(({ node }: { node: { id: string } }) => node.id === workspace.id).node;
    expect(shown.projects.nodes).toContainEqual(
      expect.objectContaining({ id: projectId, budget: expect.objectContaining({ available: 500, balance: 500, held: 0 }) }),
    );
    const { project } = await run('Calls', { projectId, filter: { outcome: ['REFUSED'] } });
    expect(project.requestLogs.nodes.slice(-1)).toEqual([
      expect.objectContaining({
        outcome: 'REFUSED',
        errorCode: 'PAYMENT_REQUIRED',
        httpStatus: 402,
        key: expect.objectContaining({ name: 'Key' }),
      }),
    ]);
  });

  it('pages through the keys forward and backward', async () => {
    const { run } = library(app.rootKey);
    const filter = { projectId: [projectId], name: 'Key' };
    const idsOf = ({ edges }: { edges: { node: { id: string } }[] }) => edges.map(({ node }) => node.id);
    const pageOf = async (page: object) => (await run('Keys', { workspaceId: workspace.id, filter, ...page })).workspace.keys;
    const all = await library(app.rootKey).run('Keys', { workspaceId: workspace.id, filter, first: 100 });
    const ids = idsOf(all.workspace.keys);
    expect(ids.length).toBe(all.workspace.keys.totalCount);
    const one = await pageOf({ first: 2 });
    expect([idsOf(one), one.pageInfo.hasNextPage]).toEqual([ids.slice(0, 2), true]);
    const fresh = library(app.rootKey);
    const two = (await fresh.run('Keys', { workspaceId: workspace.id, filter, first: 2, after: one.pageInfo.endCursor })).workspace.keys;
    expect(idsOf(two)).toEqual(ids.slice(2, 4));
    const back = (await library(app.rootKey).run('Keys', { workspaceId: workspace.id, filter, last: 2, before: two.pageInfo.startCursor }))
      .workspace.keys;
    expect(idsOf(back)).toEqual(ids.slice(0, 2));
  });

  it('mints a key, gets its secret, and revokes it', async () => {
    const { run } = library(app.rootKey);
    const { mintKey } = await run('Mint', { input: { projectId, name: 'From a dashboard', permissions: ['demo.echo'] } });
    expect((await app.rest({ secret: mintKey.secret })).status).toBe(402);
    expect((await run('Revoke', { input: { id: mintKey.key.id } })).revokeKey.key).toMatchObject({ id: mintKey.key.id, status: 'REVOKED' });
    expect((await app.rest({ secret: mintKey.secret })).status).toBe(401);
  });

  it('reads the code of an error', async () => {
    const operator = library(app.rootKey);
    expect(await operator.codeOf('Revoke', { input: { id: 'key_neverWasHere' } })).toBe('NOT_FOUND');
    expect(await operator.codeOf('Mint', { input: { projectId, name: '', permissions: [] } })).toBe('INVALID_REQUEST');
    expect(await library(reading).codeOf('Mint', { input: { projectId, name: 'x', permissions: [] } })).toBe('FORBIDDEN');
    expect(await library('nonsense').codeOf('Viewer', {})).toBe('UNAUTHENTICATED');
  });
});

interface Shown {
  workspace: { keys: { edges: { node: { id: string } }[]; pageInfo: { endCursor: string; hasNextPage: boolean }; totalCount: number } };
}

it('Apollo Client joins the pages of a connection with its relayStylePagination', async () => {
  const { client } = apollo(app.rootKey);
  const keys = client.watchQuery<Shown>({
    query: document('Keys'),
    variables: { workspaceId: workspace.id, filter: { projectId: [projectId] }, first: 2 },
  });
  const subscription = keys.subscribe({});
  await until(() => keys.getCurrentResult().dataState === 'complete', 'the first page');
  const shown = () => (keys.getCurrentResult().data as Shown).workspace.keys;
  expect(shown().edges).toHaveLength(2);
  while (shown().pageInfo.hasNextPage) {
    const { length } = shown().edges;
    await keys.fetchMore({ variables: { after: shown().pageInfo.endCursor } });
    await until(() => shown().edges.length > length, 'the next page');
  }
  expect(new Set(shown().edges.map(({ node }) => node.id)).size).toBe(shown().totalCount);
  expect(shown().edges).toHaveLength(shown().totalCount);
  subscription.unsubscribe();
  client.stop();
});

describe('a client that stores objects by their ids', () => {
  /** The caller, with the same person as a member and the same key in a list. */
  const ME = `query DashboardMeQuery($id: ID!) {
    viewer { id kind name permissions }
    workspace(id: $id) { id members { nodes { user { id name } } } keys { nodes { id name permissions } } }
  }`;
  const permissionsOfKey = ['read.keys', 'read.members', 'demo.echo'];
  let callers: { headers: Record<string, string>; id: string; permissions: string[] }[];
  let of: Workspace;

  beforeAll(async () => {
    const person = await buildPerson(app, { roleId: 'rol_viewer' });
    of = person.workspace;
    const { key, secret } = await buildKey(app, { workspace: of, permissions: permissionsOfKey });
    callers = [
      { headers: person.cookie, id: person.person.id, permissions: ['read.keys', 'read.logs', 'read.wallet', 'read.members'] },
      { headers: { 'x-api-key': secret }, id: key.id, permissions: permissionsOfKey },
    ];
  });

  it('keeps the viewer apart from the person or key that it is, with Apollo Client', async () => {
    for (const { headers, id, permissions } of callers) {
      const client = new ApolloClient({ link: new HttpLink({ uri: `${app.url}/graphql`, headers }), cache: new InMemoryCache() });
      await client.query({ query: parse(ME), variables: { id: of.id } });
      const stored = client.cache.extract() as Record<string, { __typename: string; id?: string; permissions?: string[] }>;
      const viewer = Object.values(stored).find(({ __typename }) => __typename === 'Viewer');
      const others = Object.values(stored).filter(({ __typename }) => __typename !== 'Viewer');
      expect(viewer?.permissions).toEqual(permissions);
      expect(others.filter((object) => object.id === id)).toHaveLength(1);
      expect(others.filter((object) => object.id === viewer?.id)).toEqual([]);
      client.stop();
    }
  });

  it('keeps them apart with Relay, whose store has one record for each id, whatever its type', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tollgate-relay-'));
    const { failed, output } = await compileRelay(folder, ME, 'javascript');
    expect([failed, failed ? output : '']).toEqual([false, '']);
    const query = require(join(folder, '__generated__/DashboardMeQuery.graphql.js')) as ConcreteRequest;
    for (const { headers, id, permissions } of callers) {
      const network = Network.create(async ({ text }, variables) => {
        const body = JSON.stringify({ query: text, variables });
        const answer = await fetch(`${app.url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', ...headers },
          body,
        });
        return answer.json() as never;
      });
      const store = new Store(new RecordSource());
      await fetchQuery(new Environment({ network, store }), query, { id: of.id }).toPromise();
      const records = store.getSource();
      expect(records.get(`viewer_${id}`)).toMatchObject({ __typename: 'Viewer', permissions });
      expect(records.get(id)?.__typename).toMatch(/^(User|ApiKey)$/);
    }
    await rm(folder, { recursive: true });
  });
});
