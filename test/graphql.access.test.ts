import { createHash } from 'node:crypto';
import { buildClientSchema, getIntrospectionQuery, type GraphQLSchema } from 'graphql';
import { PUBLIC_MUTATIONS } from '../src/graphql-server/public-mutations';
import { Workspace } from '../src/tenancy/workspace.entity';
import { createTestApp, type TestApp } from './support/app';
import { buildKey, buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';
import { operationsOf, requestOf } from './support/operations';

let app: TestApp;
let schema: GraphQLSchema;

beforeAll(async () => {
  app = await createTestApp();
  schema = buildClientSchema((await app.graphql(getIntrospectionQuery(), {}, null)).data);
});

afterAll(() => app.close());

type Headers = Record<string, string>;

/** Sends a request to `/graphql`. Expects JSON that is not cached. Returns the parts of the answer. */
async function send(method: string, { query = '', headers = {}, body }: { query?: string; headers?: Headers; body?: string }) {
  const response = await fetch(`${app.url}/graphql${query}`, { method, headers, ...(body === undefined ? {} : { body }) });
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect(response.headers.get('content-type')).toMatch(/^application\/(graphql-response\+)?json; charset=utf-8$/);
  const { data, errors = [] } = (await response.json()) as Pick<Awaited<ReturnType<TestApp['graphql']>>, 'data' | 'errors'>;
  const issues = errors.flatMap((error) => error.extensions.issues ?? []);
  return { status: response.status, data, codes: errors.map((error) => error.extensions.code), issues, headers: response.headers };
}

const JSON_TYPE = { 'content-type': 'application/json' };
const post = (query: string, headers: Headers = {}, rest: object = {}) =>
  send('POST', { headers: { ...JSON_TYPE, ...headers }, body: JSON.stringify({ query, ...rest }) });
const get = (query: string, headers: Headers = {}, rest: Headers = {}) =>
  send('GET', { query: `?${new URLSearchParams({ query, ...rest }).toString()}`, headers });
const asOperator = (): Headers => ({ 'x-api-key': app.rootKey });

describe('without a credential', () => {
  it('the public mutations run, and refuse invalid tokens and e-mails', async () => {
    const operations = operationsOf(schema, 'ws_1').filter(({ field }) => PUBLIC_MUTATIONS.has(field));
    expect(operations.map(({ field }) => field)).toEqual([...PUBLIC_MUTATIONS]);
    const codes: Record<string, string> = {
      acceptInvitation: 'NOT_FOUND',
      requestPasswordReset: 'CONFLICT',
      resetPassword: 'NOT_FOUND',
      signIn: 'UNAUTHENTICATED',
    };
    for (const operation of operations) {
      const { query, variables } = requestOf([operation]);
      expect(await post(query, {}, { variables })).toMatchObject({ status: 200, data: { o0: null }, codes: [codes[operation.field]] });
      expect(await post(query.replace('{ o0:', '{ o0: signOut { __typename } o1:'), {}, { variables })).toMatchObject({
        status: 401,
        codes: ['UNAUTHENTICATED'],
      });
    }
  });

  it('every query and other mutation is 401 UNAUTHENTICATED, with a challenge', async () => {
    const operations = operationsOf(schema, 'ws_1').filter(({ field }) => !PUBLIC_MUTATIONS.has(field));
    expect(operations.length).toBeGreaterThan(20);
    for (const operation of operations) {
      const { query, variables } = requestOf([operation]);
      const { status, data, codes, headers } = await post(query, {}, { variables });
      expect([operation.name, status, data, codes]).toEqual([operation.name, 401, undefined, ['UNAUTHENTICATED']]);
      expect(headers.get('www-authenticate')).toBe('Bearer realm="tollgate"');
    }
  });

  it.each([
    ['{ __schema { queryType { name } } }'],
    ['{ __type(name: "Viewer") { name } }'],
    ['{ __typename }'],
    ['mutation { __typename }'],
    ['{ ... { ...A } } fragment A on Query { ... on Query { ...B } ...B } fragment B on Query { __typename __schema { description } }'],
    ['query A { __typename } query B { viewer { id } }'],
  ])('the schema can be queried: %s', async (query) => {
    const { status, data, codes } = await post(query, {}, { operationName: query.startsWith('query A') ? 'A' : undefined });
    expect({ status, codes }).toEqual({ status: 200, codes: [] });
    expect(data).not.toBeNull();
  });

  it.each([
    ['{ __typename viewer { id } }'],
    ['{ __schema: viewer { id } }'],
    ['{ __typename ... { viewer { id } } }'],
    ['{ ...A } fragment A on Query { __typename ...B } fragment B on Query { ... on Query { viewer { id } } }'],
    ['query B { viewer { id } } query A { __typename }'],
    ['{ viewer @skip(if: true) { id } }'],
  ])('nothing except the schema can be queried: %s', async (query) => {
    const { status, data, codes } = await post(query, {}, { operationName: query.startsWith('query B') ? 'B' : undefined });
    expect({ status, data, codes }).toEqual({ status: 401, data: undefined, codes: ['UNAUTHENTICATED'] });
  });

  it('a document with fragments that spread each other twice is answered at once', async () => {
    const fragments = Array.from({ length: 60 }, (_, index) => `fragment F${index} on Query { ...F${index + 1} ...F${index + 1} }`);
    const { status } = await post(`{ ...F0 } ${fragments.join(' ')} fragment F60 on Query { __typename }`);
    expect(status).toBe(200);
  });

  it('another scheme of Authorization counts as no credential', async () => {
    expect((await post('{ viewer { id } }', { authorization: `Basic ${app.rootKey}` })).headers.get('www-authenticate')).toBe(
      'Bearer realm="tollgate"',
    );
    expect((await post('{ __typename }', { authorization: 'Basic eA==' })).status).toBe(200);
    expect((await post('{ __typename }', { authorization: 'Bearer ', 'x-api-key': ' ' })).status).toBe(200);
  });
});

describe('a wrong credential', () => {
  it('is refused for everything, including the schema, in either header', async () => {
    const { secret } = await buildKey(app);
    const wrong = [
      'nonsense',
      `${app.rootKey}x`,
      `${secret.slice(0, -1)}${secret.endsWith('0') ? '1' : '0'}`,
      'acme_live_00000000000000000000000000000000000000',
    ];
    for (const query of [
      '{ viewer { id } }',
      '{ __typename }',
      '{ __schema { queryType { name } } }',
      'mutation { __typename }',
      '{ nonsense',
    ]) {
      for (const credential of wrong) {
        for (const headers of [{ 'x-api-key': credential }, { authorization: `Bearer ${credential}` }] as Headers[]) {
          const { status, codes, headers: answered } = await post(query, headers);
          expect({ status, codes }).toEqual({ status: 401, codes: ['UNAUTHENTICATED'] });
          expect(answered.get('www-authenticate')).toBe('Bearer realm="tollgate", error="invalid_token"');
        }
      }
    }
    expect(await get('{ __typename }', { 'x-api-key': 'nonsense' })).toMatchObject({ status: 401, codes: ['UNAUTHENTICATED'] });
  });

  it('is the answer to a revoked, rotated, expired or disabled key; an enabled key works again', async () => {
    const { mutate } = mutations(app);
    const { key, secret } = await buildKey(app);
    const status = async (credential: string) => (await post('{ __typename }', { 'x-api-key': credential })).status;
    expect(await status(secret)).toBe(200);
    await mutate('updateKey', { id: key.id, enabled: false }, '__typename');
    expect(await status(secret)).toBe(401);
    await mutate('updateKey', { id: key.id, enabled: true, expiresAt: '2020-01-01T00:00:00Z' }, '__typename');
    expect(await status(secret)).toBe(401);
    await mutate('updateKey', { id: key.id, expiresAt: null }, '__typename');
    expect(await status(secret)).toBe(200);
    const { secret: next } = await mutate('rotateKey', { id: key.id }, 'secret');
    expect([await status(secret), await status(next)]).toEqual([401, 200]);
    await mutate('revokeKey', { id: key.id }, '__typename');
    expect(await status(next)).toBe(401);
  });

  it('includes a key from an address that it does not allow: FORBIDDEN, even for the schema', async () => {
    const { secret } = await buildKey(app, { allowedIps: ['10.0.0.0/8'] });
    expect(await post('{ __typename }', { 'x-api-key': secret })).toMatchObject({ status: 403, data: undefined, codes: ['FORBIDDEN'] });
  });

  it('includes two different credentials in the two headers, but not the same credential in both', async () => {
    expect((await post('{ viewer { id } }', { ...asOperator(), authorization: `bearer ${app.rootKey}` })).data.viewer.id).toBe('viewer_operator');
    const { status, codes, issues } = await post('{ __typename }', { ...asOperator(), authorization: 'Bearer other' });
    expect({ status, codes, path: issues[0]?.path }).toEqual({ status: 400, codes: ['INVALID_REQUEST'], path: ['Authorization'] });
  });
});

describe('GET', () => {
  it('answers a query with variables and an operation name, with only the credential as a header', async () => {
    const query = 'query A { __typename } query B($name: String!) { viewer { id } __type(name: $name) { name } }';
    for (const headers of [asOperator(), { authorization: `Bearer ${app.rootKey}` }]) {
      const { status, data } = await get(query, headers, { operationName: 'B', variables: '{"name":"Viewer"}' });
      expect({ status, data }).toEqual({ status: 200, data: { viewer: { id: 'viewer_operator' }, __type: { name: 'Viewer' } } });
    }
  });

  it('returns 405 for a mutation, and changes nothing', async () => {
    const { id } = await buildWorkspace(app, { name: 'Before' });
    const { status, codes, headers } = await get(
      `mutation { updateWorkspace(input: { id: "${id}", name: "After" }) { workspace { id } } }`,
      asOperator(),
    );
    expect({ status, codes, allow: headers.get('allow') }).toEqual({ status: 405, codes: ['INVALID_REQUEST'], allow: 'POST' });
    expect((await app.database.reader.findOneByOrFail(Workspace, { id })).name).toBe('Before');
  });

  it('is refused with a cookie, unless it has a header that a page of another site cannot send', async () => {
    for (const headers of [
      { cookie: 'a=b' },
      { cookie: 'a=b', 'content-type': 'text/plain' },
      { cookie: 'a=b', accept: 'application/json' },
    ] as Headers[]) {
      expect(await get('{ __typename }', headers)).toMatchObject({ status: 400, data: undefined, codes: ['INVALID_REQUEST'] });
    }
    expect(await get('{ __typename }', { cookie: 'a=b', 'x-apollo-operation-name': 'A' })).toMatchObject({
      status: 200,
      data: { __typename: 'Query' },
    });
    expect(await get('{ viewer { id } }', { 'apollo-require-preflight': '1' })).toMatchObject({ status: 401, codes: ['UNAUTHENTICATED'] });
  });

  it('returns INVALID_REQUEST without a query, and for variables that are not JSON', async () => {
    expect(await send('GET', { headers: asOperator() })).toMatchObject({ status: 400, codes: ['INVALID_REQUEST'] });
    expect(await get('{ __typename }', asOperator(), { variables: '{' })).toMatchObject({ status: 400, codes: ['INVALID_REQUEST'] });
  });
});

describe('an invalid request', () => {
  const bodies: [string, number, string, string | undefined][] = [
    ['bad JSON', 400, '{', undefined],
    ['an empty body', 400, '', undefined],
    ['a body that is not an object', 400, '"{ __typename }"', undefined],
    ['null', 400, 'null', undefined],
    ['no query', 400, '{}', undefined],
    ['a query that is not a string', 400, '{"query":5}', undefined],
    ['variables that are not an object', 400, '{"query":"{ __typename }","variables":[1]}', undefined],
    ['a batch', 400, '[{"query":"{ __typename }"}]', undefined],
    ['an unknown operation name', 400, '{"query":"query A { __typename }","operationName":"B"}', undefined],
    ['several operations without a name', 400, '{"query":"query A { __typename } query B { __typename }"}', undefined],
    ['a subscription', 400, '{"query":"subscription { auditEventAdded { cursor } }"}', undefined],
    [
      'a hash of another query',
      400,
      '{"query":"{ __typename }","extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"}}}',
      undefined,
    ],
    ['text', 415, '{"query":"{ __typename }"}', 'text/plain'],
    ['a form', 415, 'query=%7B__typename%7D', 'application/x-www-form-urlencoded'],
    ['XML', 415, '<query/>', 'application/xml'],
    ['more than 1 MiB', 413, JSON.stringify({ query: '{ __typename }', variables: { x: 'x'.repeat(1_048_576) } }), undefined],
  ];

  it.each(bodies)('%s is %i INVALID_REQUEST, and issues has the problem', async (_case, status, body, type) => {
    const answer = await send('POST', { headers: { ...asOperator(), 'content-type': type ?? 'application/json' }, body });
    expect({ status: answer.status, codes: answer.codes }).toEqual({ status, codes: ['INVALID_REQUEST'] });
    expect(answer.issues).toEqual([{ path: expect.any(Array), message: expect.stringMatching(/\S/) }]);
  });

  it("keeps Apollo's error codes, which clients know", async () => {
    expect(await post('{ viewer { ', asOperator())).toMatchObject({ status: 400, codes: ['GRAPHQL_PARSE_FAILED'] });
    expect(await post('{ viewer { nope } nope }', asOperator())).toMatchObject({
      status: 400,
      codes: ['GRAPHQL_VALIDATION_FAILED', 'GRAPHQL_VALIDATION_FAILED'],
    });
    expect(await post('{ node(id: [1]) { id } }', asOperator())).toMatchObject({ status: 400, codes: ['GRAPHQL_VALIDATION_FAILED'] });
    const query = '{ viewer { name } }';
    const extensions = { persistedQuery: { version: 1, sha256Hash: createHash('sha256').update(query).digest('hex') } };
    const ask = (rest: object) =>
      send('POST', { headers: { ...asOperator(), ...JSON_TYPE }, body: JSON.stringify({ extensions, ...rest }) });
    expect(await ask({})).toMatchObject({ codes: ['PERSISTED_QUERY_NOT_FOUND'] });
    expect(await ask({ query })).toMatchObject({ status: 200, codes: [] });
    expect(await ask({})).toMatchObject({ status: 200, data: { viewer: { name: 'Operator' } } });
    const anonymous = await send('POST', { headers: JSON_TYPE, body: JSON.stringify({ extensions }) });
    expect(anonymous).toMatchObject({ status: 401, codes: ['UNAUTHENTICATED'] });
  });
});
