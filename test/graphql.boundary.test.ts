import { buildClientSchema, getIntrospectionQuery, type GraphQLSchema } from 'graphql';
import { PUBLIC_MUTATIONS } from '../src/graphql-server/public-mutations';
import { MemoryThrottles } from '../src/lib/memory-throttles';
import { createTestApp, type TestApp } from './support/app';
import { buildKey, ghostOf } from './support/factories';
import { lotsOf, operationsOf, requestOf, withoutClock, type Operation, type RootType } from './support/operations';

let app: TestApp;
let schema: GraphQLSchema;
let secret: string;
/** The ids of the key, of its tenant's objects and of its call. */
let own: Record<string, string>;
/** The same ids of another tenant. */
let others: Record<string, string>;

beforeAll(async () => {
  app = await createTestApp();
  const { data } = await app.graphql(getIntrospectionQuery(), {}, null);
  schema = buildClientSchema(data);
  const mine = await buildTenant();
  ({ secret } = mine);
  own = mine.ids;
  others = (await buildTenant()).ids;
});

/** Points never run out: each test asks every operation. */
beforeEach(() => void jest.spyOn(MemoryThrottles.prototype, 'take').mockReturnValue(0));

afterAll(() => app.close());

/** Creates a tenant with one object of every type, and a key with all permissions of actions. */
async function buildTenant(): Promise<{ secret: string; ids: Record<string, string> }> {
  const { permissions } = (await app.graphql('{ permissions { name description } }')).data;
  const { key, secret: keySecret } = await buildKey(app, {
    permissions: permissions
      .filter(({ description }: { description: string }) => !description.startsWith('Administration'))
      .map(({ name }: { name: string }) => name),
  });
  await app.rest({ secret: keySecret });
  const { data } = await app.graphql(
    `query ($id: ID!) {
      key(id: $id) {
        requestLogs { nodes { id } }
        project { id ledger { nodes { id } } workspace { id wallet { id ledger { nodes { id } } } } }
      }
    }`,
    { id: key.id },
  );
  const { requestLogs, project } = data.key;
  const { wallet } = project.workspace;
  const ids = {
    ws: project.workspace.id,
    prj: project.id,
    key: key.id,
    log: requestLogs.nodes[0].id,
    usage: project.ledger.nodes[0].id,
    wal: wallet.id,
    topUp: wallet.ledger.nodes[0].id,
  };
  return { secret: keySecret, ids };
}

const TYPES = ['query', 'mutation'] as const;

const withIds = (type: RootType, ids: string[], text?: string): Operation[] =>
  ids.flatMap((id) => operationsOf(schema, id, text).filter((operation) => operation.takesId && operation.type === type));

/** Runs operations, as many in one request as allowed. Returns the data of each, and the extensions of its error. */
async function ask(operations: Operation[], credential?: string): Promise<{ name: string; data: unknown; error: unknown }[]> {
  const answers: { name: string; data: unknown; error: unknown }[] = [];
  for (const lot of lotsOf(operations)) {
    const { query, variables } = requestOf(lot);
    const { status, data, errors } = await app.graphql(query, variables, credential);
    expect(status).toBe(200);
    // `nodes` asks for one id and so returns a list of one.
    const dataOf = (index: number): unknown => (lot[index]?.field === 'nodes' ? data[`o${index}`][0] : data[`o${index}`]);
    answers.push(
      ...lot.map(({ name }, index) => ({
        name,
        data: dataOf(index),
        error: errors?.find(({ path }) => path?.[0] === `o${index}`)?.extensions,
      })),
    );
  }
  return answers;
}

/** The complete answers, without the number of points that the key has left. */
async function bytesOf(operations: Operation[]): Promise<string> {
  const answers: string[] = [];
  for (const lot of lotsOf(operations)) {
    const { statusCode, body, headers } = await app.server.inject({
      method: 'POST',
      url: '/graphql',
      headers: { 'x-api-key': secret },
      payload: requestOf(lot),
    });
    expect(headers['content-length']).toBe(String(Buffer.byteLength(body)));
    answers.push(`${statusCode} ${withoutClock(body).trimEnd()}`);
  }
  return answers.join('\n');
}

describe('an object that a key may not see', () => {
  it.each(TYPES)('gets the same bytes as an unknown object, in its own tenant or in another: in every %s', async (type) => {
    const ids = [...Object.values(own), ...Object.values(others)];
    for (const text of [undefined, ' ']) { // the rest of the input is valid, then invalid
      const real = withIds(type, ids, text);
      expect(new Set(real.map(({ name }) => name)).size).toBeGreaterThanOrEqual(type === 'query' ? 5 : 12);
      const answer = await bytesOf(real);
      expect(answer).toMatch(/^200 /);
      expect(answer).not.toMatch(/^(?!200 )/m);
      expect(answer).toBe(await bytesOf(withIds(type, ids.map(ghostOf), text)));
      for (const id of ids) expect(answer).not.toContain(id);
    }
  });

  it('is answered in this way by each single operation', async () => {
    const kinds = Object.keys(own);
    for (const [index, operation] of TYPES.flatMap((type) => withIds(type, [own.ws as string])).entries()) {
      const id = own[kinds[index % kinds.length] as string] as string;
      const twin = (other: string) => withIds(operation.type, [other]).filter(({ name }) => name === operation.name);
      expect([operation.name, await bytesOf(twin(id))]).toEqual([operation.name, await bytesOf(twin(ghostOf(id)))]);
    }
  });

  it('is null in every query; every mutation returns NOT_FOUND, or FORBIDDEN if it is for the operator only', async () => {
    const operatorOnly = /\.(topUpWallet|refundRequest|adjustBalance|updateAction|(create|update|delete)Route)\b/;
    for (const type of TYPES) {
      for (const { name, data, error } of await ask(withIds(type, Object.values(own)), secret)) {
        const code = operatorOnly.test(name) ? 'FORBIDDEN' : 'NOT_FOUND';
        expect({ name, data, error }).toEqual({ name, data: null, error: type === 'query' ? undefined : { code } });
      }
    }
  });

  it('cannot be created: mutations without an id are public, for people who have signed in, or for the operator only', async () => {
    const people = ['beginSecondFactor', 'changePassword', 'confirmSecondFactor', 'removeSecondFactor', 'signOut', 'signOutEverywhere'];
    for (const text of [undefined, ' ']) {
      const operations = operationsOf(schema, '', text).filter(
        ({ takesId, type, field }) => !takesId && type === 'mutation' && !PUBLIC_MUTATIONS.has(field),
      );
      expect(operations.map(({ field }) => field).sort()).toEqual(['createAction', 'createWorkspace', ...people].sort());
      for (const { name, data, error } of await ask(operations, secret))
        expect({ name, data, error }).toEqual({ name, data: null, error: { code: 'FORBIDDEN' } });
    }
  });

  it('is not in the answer of any query without an id', async () => {
    const operations = operationsOf(schema, '').filter(({ takesId, type }) => !takesId && type === 'query');
    expect(operations.map(({ field }) => field)).toEqual(expect.arrayContaining(['viewer', 'workspaces', 'actions', 'permissions']));
    for (const { name, data, error } of await ask(operations, secret)) {
      const isOperators = ['Query.auditEvents', 'Query.auditChain', 'Query.routes'].includes(name);
      expect({ name, error }).toEqual({ name, error: isOperators ? { code: 'FORBIDDEN' } : undefined });
      const hidden = [...Object.values(own), ...Object.values(others)].filter((id) => name !== 'Query.viewer' || id !== own.key);
      for (const id of hidden) expect(JSON.stringify(data)).not.toContain(id);
    }
    const { data } = await app.graphql(
      '{ workspaces { nodes { id } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor } } }',
      {},
      secret,
    );
    expect(data.workspaces).toEqual({ nodes: [], edges: [], pageInfo: { hasNextPage: false, hasPreviousPage: false, startCursor: null } });
  });

  it('is visible to the operator in the same queries', async () => {
    const fields: Record<string, string> = { ws: 'workspace', prj: 'project', key: 'key', log: 'requestLog' };
    for (const [kind, id] of Object.entries(own)) {
      const found = (await ask(withIds('query', [id]))).filter(({ data }) => data !== null).map(({ name }) => name);
      expect(found.filter((name) => name !== 'Query.auditChain(workspaceId)')).toEqual([
        'Query.node',
        'Query.nodes',
        ...(fields[kind] ? [`Query.${fields[kind]}`] : []),
      ]);
    }
  });
});

describe('an id that does not exist', () => {
  it.each(TYPES)('is null in every query and NOT_FOUND in every mutation, even for the operator: %s', async (type) => {
    const prefixes = ['ws', 'prj', 'key', 'log', 'wal', 'led', 'act', 'gal', 'evt', 'constructor', '__proto__', 'toString'];
    const ids = [...prefixes.flatMap((prefix) => [ghostOf(prefix), prefix]), `led_${ghostOf('wal')}_1`, 'led_prj_1_0'];
    for (const { name, data, error } of await ask(withIds(type, ids))) {
      expect({ name, data, error }).toEqual({ name, data: null, error: type === 'query' ? undefined : { code: 'NOT_FOUND' } });
    }
  });

  it('includes the id of an object of another type', async () => {
    const fields: Record<string, string> = { workspace: 'ws', project: 'prj', key: 'key', requestLog: 'log' };
    for (const [field, ownKind] of Object.entries(fields)) {
      for (const [kind, id] of Object.entries(own)) {
        const { data } = await app.graphql(`query ($id: ID!) { ${field}(id: $id) { id } }`, { id });
        expect(data[field]).toEqual(kind === ownKind ? { id } : null);
      }
    }
  });

  it('includes any text that is not an id', async () => {
    for (const id of [
      '',
      ' ',
      `${own.prj} `,
      ` ${own.prj}`,
      own.prj?.toUpperCase(),
      `${own.prj}\0`,
      'x'.repeat(10_000),
      "' OR 1=1 --",
      '💥',
    ]) {
      const { data, errors } = await app.graphql(
        `query ($id: ID!) {
          node(id: $id) { id }
          project(id: $id) { id }
          workspace(id: $id) { id }
          requestLog(id: $id) { id }
          key(id: $id) { id }
        }`,
        { id },
      );
      expect({ data, errors }).toEqual({
        data: { node: null, project: null, workspace: null, requestLog: null, key: null },
        errors: undefined,
      });
      const archived = await app.graphql('mutation ($id: ID!) { archiveProject(input: { id: $id }) { project { id } } }', { id });
      expect(archived.errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    }
  });
});

describe('every id', () => {
  it('is at most 64 characters of 0-9A-Za-z_- and begins with its type', () => {
    const prefixes = { ws: 'ws_', prj: 'prj_', key: 'key_', log: 'log_', usage: 'led_', wal: 'wal_', topUp: 'led_' };
    for (const [kind, prefix] of Object.entries(prefixes))
      expect(own[kind]).toMatch(new RegExp(`^${prefix}[0-9A-Za-z_-]{1,${64 - prefix.length}}$`));
  });
});
