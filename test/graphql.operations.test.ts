import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getIntrospectionQuery } from 'graphql';
import { describeSchema } from '../src/schema';
import { ConfigError } from '../src/config';
import { RegisteredOperations } from '../src/graphql-server/operations';
import { createTestApp, type TestApp } from './support/app';
import { startProcess } from './support/process';

// GRAPHQL_OPERATIONS: a production server runs only the operations of its own frontends.

const WHO = 'query Who { viewer { id } }';
const RENAME = 'mutation Rename($id: ID!, $name: String!) { updateWorkspace(input: { id: $id, name: $name }) { workspace { name } } }';

let folder: string;
let app: TestApp;

const write = async (content: unknown): Promise<string> => {
  const path = join(folder, `${Math.random()}.json`);
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
};

const manifest = (...operations: object[]) => ({ format: 'apollo-persisted-query-manifest', version: 1, operations });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollgate-operations-'));
  const graphqlOperations = await write(
    manifest({ id: 'who', name: 'Who', type: 'query', body: WHO }, { id: 'rename', name: 'Rename', type: 'mutation', body: RENAME }),
  );
  app = await createTestApp({ config: { graphqlOperations } });
});

afterAll(async () => {
  await app.close();
  await rm(folder, { recursive: true });
});

async function send(body: object, headers: Record<string, string> = { 'x-api-key': app.rootKey }) {
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the shape of its answer
  return { status: response.status, ...((await response.json()) as any) };
}

const byId = (sha256Hash: unknown) => ({ extensions: { persistedQuery: { version: 1, sha256Hash } } });
const asGet = (parameters: Record<string, string>) =>
  fetch(`${app.url}/graphql?${new URLSearchParams(parameters).toString()}`, { headers: { 'x-api-key': app.rootKey } });

describe('a server with registered operations', () => {
  it('runs them by text and by id, with POST and with GET', async () => {
    for (const body of [{ query: WHO }, byId('who'), { query: WHO, operationName: 'Who' }])
      expect(await send(body)).toMatchObject({ status: 200, data: { viewer: { id: 'viewer_operator' } } });
    expect(await send({ ...byId('rename'), variables: { id: 'ws_1', name: 'New' } })).toMatchObject({
      status: 200,
      errors: [{ extensions: { code: 'NOT_FOUND' } }],
    });
    for (const parameters of [{ query: WHO }, { extensions: JSON.stringify(byId('who').extensions) }] as Record<string, string>[])
      expect(await (await asGet(parameters)).json()).toMatchObject({ data: { viewer: { id: 'viewer_operator' } } });
  });

  it.each([
    ['another document', { query: '{ viewer { id } }' }],
    ['a document that differs by a blank', { query: `${WHO} ` }],
    ['introspection', { query: getIntrospectionQuery() }],
    ['the name of a type', { query: '{ __typename }' }],
    ['another id', byId('unknown')],
    ['the name of a property that every object has', byId('constructor')],
    ['an id that is not a string', byId({ who: 1 })],
    ['another document with a registered id', { query: '{ viewer { name } }', ...byId('who') }],
    ['no document', {}],
    ['a document that is not GraphQL', { query: '{' }],
    ['an invalid document, which would reveal names of the schema', { query: '{ viewr { id } }' }],
  ])('refuses %s before parsing it, and says what to do', async (_what, body) => {
    for (const headers of [undefined, {}]) {
      const answer = await send(body, headers);
      if (Object.keys(body).length === 0)
        expect(answer.status).toBe(400); // an empty object is refused earlier
      else if (headers && answer.status === 401)
        expect(answer.data).toBeUndefined(); // an anonymous caller may be refused earlier
      else
        expect(answer).toEqual({
          status: 400,
          errors: [
            {
              message: expect.stringContaining('only registered operations'),
              extensions: {
                code: 'INVALID_REQUEST',
                issues: [{ path: ['query'], message: expect.stringContaining('GRAPHQL_OPERATIONS') }],
              },
            },
          ],
        });
    }
    const { query, extensions } = body as { query?: string; extensions?: object };
    if (query !== undefined)
      expect((await asGet({ query, ...(extensions && { extensions: JSON.stringify(extensions) }) })).status).toBe(400);
  });

  it('does not store a document that is sent with its hash', async () => {
    const query = '{ viewer { name } }';
    const sha256Hash = 'a'.repeat(64);
    expect((await send({ query, ...byId(sha256Hash) })).status).toBe(400);
    expect((await send(byId(sha256Hash))).status).toBe(400);
  });

  it('still requires a credential', async () => {
    expect(await send({ query: WHO }, {})).toMatchObject({ status: 401, errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
  });

  it('refuses streams of other documents', async () => {
    const open = (body: object) =>
      fetch(`${app.url}/graphql/stream`, {
        method: 'POST',
        headers: { 'x-api-key': app.rootKey, 'content-type': 'application/json', accept: 'text/event-stream' },
        body: JSON.stringify(body),
      });
    expect(await (await open({ query: 'subscription { auditEventAdded { cursor } }' })).text()).toContain('only registered operations');
    expect(await (await open({ query: '', ...byId('who') })).text()).toContain('Send a query to POST /graphql');
  });

  it('does not show GraphiQL, and says why', async () => {
    const response = await fetch(`${app.url}/graphql`, { headers: { accept: 'text/html' } });
    expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('only registered operations')]);
  });
});

describe('the file of registered operations', () => {
  const schema = describeSchema();

  it('may be a map of Relay', async () => {
    const operations = await RegisteredOperations.read(await write({ abc: WHO }), schema);
    expect([
      operations.find(undefined, 'abc'),
      operations.find(WHO, undefined),
      operations.find('{ __typename }', 'abc'),
      operations.find(undefined, 'x'),
    ]).toEqual([WHO, WHO, undefined, undefined]);
  });

  it.each([
    ['is not JSON', '{', /is not JSON/],
    ['is a list', [], /is neither a manifest/],
    ['is a manifest of another version', { ...manifest(), version: 2 }, /is neither a manifest/],
    ['has an unknown field', manifest({ id: 'old', body: '{ viewer { nope } }' }), /old: Cannot query field "nope" on type "Viewer"/],
    ['has a document that is not GraphQL', { broken: '{' }, /broken: Syntax Error/],
    ['has one id twice', manifest({ id: 'a', body: WHO }, { id: 'a', body: RENAME }), /a: is there twice/],
  ])('is refused with a clear message if it %s', async (_what, content, message) => {
    const refusal = await RegisteredOperations.read(await write(content), schema).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ConfigError);
    expect((refusal as Error).message).toMatch(message);
  });

  it('stops the server at startup with only this message if it cannot be read', async () => {
    const server = await startProcess({ env: { GRAPHQL_OPERATIONS: 'nowhere.json' } });
    const { code, stderr } = await server.ended;
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^The file of GRAPHQL_OPERATIONS cannot be read: ENOENT.*\n$/)]);
  });
});
