import { randomUUID } from 'node:crypto';
import Ajv from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import { auditLines } from '../src/rest/exports/audit.openapi';
import { openApiDocument } from '../src/rest/openapi/document';
import { createTestApp, type TestApp } from './support/app';
import type { RestAnswer, RestCall } from './support/clients';
import { ORIGIN, buildKey, buildProject, buildServiceAccount } from './support/factories';
import { send } from './support/http';
import { serverRoutes } from './support/server-routes';

// Compares the OpenAPI document with the server that it describes.

const PUBLIC_URL = 'https://tollgate.example.com';

interface Document {
  servers: { url: string }[];
  paths: Record<string, Record<string, { responses: Record<string, { headers: object; content?: Record<string, object> }> }>>;
  components: { headers: object };
}
const document = openApiDocument() as Document;

let app: TestApp;

beforeAll(async () => (app = await createTestApp()));
afterAll(() => app.close());

/** Routes that are not for generated clients. */
const ELSEWHERE: Record<string, string> = {
  '/graphql': 'schema.graphql describes it',
  '/graphql/stream': 'schema.graphql describes it',
  '/graphql/assets/:name': 'a file of a page',
  '/docs': 'a page for browsers',
  '/docs/:name': 'a page for browsers',
  '/invitation': 'a page for browsers',
  '/reset-password': 'a page for browsers',
  '/oauth/authorize': 'a page for browsers',
  '/oauth/authorize/:uid': 'a page for browsers',
  '/oauth/consent/:uid': 'a page for browsers',
  '/oauth/consent/:uid/sign-in': 'a page for browsers',
  '/oauth/consent/:uid/sign-out': 'a page for browsers',
};

it('has every route that is for programs, and no other', () => {
  const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const registered = serverRoutes(app.server);
  const paths = registered.map((route) => route.split(' ')[1]);
  expect(Object.keys(ELSEWHERE).filter((path) => !paths.includes(path))).toEqual([]);
  const expected = registered
    .filter((route) => !((route.split(' ')[1] as string) in ELSEWHERE))
    .map((route) => route.replace(/:(\w+)/g, '{$1}'));
  expect(documented.sort()).toEqual(expected.sort());
});

it('names the public URL first if it is configured, and always the server that it comes from', async () => {
  const served = async ({ url }: TestApp) => (await send(url, { path: '/openapi.json' })).body as Document;
  expect(await served(app)).toEqual(document);
  expect(document.servers.map(({ url }) => url)).toEqual(['/']);
  const named = await createTestApp({ databaseUrl: app.databaseUrl, config: { publicUrl: PUBLIC_URL } });
  try {
    expect((await served(named)).servers.map(({ url }) => url)).toEqual([PUBLIC_URL, '/']);
  } finally {
    await named.close();
  }
});

describe('an answer', () => {
  const ajv = new Ajv({ strict: false });
  addFormats(ajv);
  ajv.addSchema(document, 'document');
  const pointer = (...parts: (string | number)[]) => parts.map((part) => `/${String(part).replaceAll('/', '~1')}`).join('');

  /** Returns what the document says about an answer: faults of its body, and its headers that are not documented for its status. */
  function differences(path: string, method: string, { status, headers, body }: RestAnswer): unknown {
    const documented = document.paths[path]?.[method]?.responses[status];
    const sent = Object.keys(document.components.headers).filter((name) => headers.has(name));
    const undocumented = sent.filter((name) => !(name in (documented?.headers ?? {})));
    const place = pointer('paths', path, method, 'responses', status, 'content', 'application/json', 'schema');
    if (documented?.content?.['application/json']) ajv.validate({ $ref: `document#${encodeURI(place)}` }, body);
    else ajv.errors = null;
    return { undocumented, faults: ajv.errors };
  }
  const none = { undocumented: [], faults: null };

  it('of a call has the documented body and headers', async () => {
    const project = await buildProject(app, { budget: 1_000, rateLimit: { sustainedRps: 0.001, burst: 4 } });
    const { secret } = await buildKey(app, { project });
    const requestId = randomUUID();
    
    const calls: [RestCall, number][] = [
      [{}, 401],
      [{ secret, body: { params: [] } }, 400],
      [{ secret, body: { action: 'demo.nothing' } }, 404],
      [{ secret, service: 'Demo' }, 404],
      [{ secret, headers: { 'content-type': 'text/plain' } }, 415],
      [{ secret, body: { action: 'demo.fail' } }, 200],
      [{ secret, body: { requestId } }, 200],
      [{ secret, body: { requestId } }, 200],
      [{ secret, body: { requestId, debug: true } }, 422],
      [{ secret }, 429],
    ];
    for (const [call, status] of calls) {
      const answer = await app.rest(call);
      expect([answer.status, differences('/v1/{service}/execute', 'post', answer)]).toEqual([status, none]);
    }
    const poor = await buildKey(app, { budget: 1 });
    const unpaid = await app.rest({ secret: poor.secret });
    expect([unpaid.status, differences('/v1/{service}/execute', 'post', unpaid)]).toEqual([402, none]);
    await app.services.keys.revoke(ORIGIN, { id: poor.key.id });
    const revoked = await app.rest({ secret: poor.secret });
    expect([revoked.status, differences('/v1/{service}/execute', 'post', revoked)]).toEqual([401, none]);
  });

  it('of another route has the documented body and headers', async () => {
    const { secret, key } = await buildKey(app);
    const asks: [string, Record<string, string>, number][] = [
      ['/healthz', {}, 200],
      ['/readyz', {}, 200],
      ['/openapi.json', {}, 200],
      ['/v1/export/keys', {}, 401],
      ['/v1/export/keys', { 'x-api-key': app.rootKey }, 400],
      ['/v1/export/keys', { 'x-api-key': secret }, 403],
      ['/v1/audit/export', { 'x-api-key': app.rootKey }, 200],
      ['/oauth/jwks', {}, 200],
      ['/.well-known/openid-configuration', {}, 200],
    ];
    for (const [path, headers, status] of asks) {
      const answer = await send(app.url, { path, headers });
      expect([path, answer.status, differences(path, 'get', answer)]).toEqual([path, status, none]);
    }
    await app.services.keys.revoke(ORIGIN, { id: key.id });
    const revoked = await send(app.url, { path: '/v1/export/keys', headers: { 'x-api-key': secret } });
    expect([revoked.status, differences('/v1/export/keys', 'get', revoked)]).toEqual([401, none]);
  });

  it('of an OAuth endpoint has the documented body and headers', async () => {
    const { account, secret } = await buildServiceAccount(app);
    const post = async (path: string, form: Record<string, string>, wanted = secret) => {
      const authorization = `Basic ${Buffer.from(`${account.id}:${wanted}`).toString('base64')}`;
      const headers = { authorization, 'content-type': 'application/x-www-form-urlencoded' };
      const answer = await send(app.url, { method: 'POST', path, headers, body: new URLSearchParams(form).toString() });
      return { answer, differences: differences(path, 'post', answer) };
    };
    const granted = await post('/oauth/token', { grant_type: 'client_credentials', scope: 'demo.echo' });
    expect(granted).toMatchObject({ answer: { status: 200 }, differences: none });
    const { access_token: token } = granted.answer.body as { access_token: string };
    const introspected = await post('/oauth/introspect', { token });
    expect(introspected).toMatchObject({ answer: { status: 200, body: { active: true } }, differences: none });
    expect(await post('/oauth/revoke', { token })).toMatchObject({ answer: { status: 200 }, differences: none });
    expect(await post('/oauth/token', { grant_type: 'password' })).toMatchObject({ answer: { status: 400 }, differences: none });
    expect(await post('/oauth/token', { grant_type: 'client_credentials' }, 'wrong')).toMatchObject({
      answer: { status: 401 },
      differences: none,
    });
  });
});

it('describes every line of the audit trail, in both formats', async () => {
  await app.sealer.once();
  for (const format of ['ndjson', 'ocsf'] as const) {
    const response = await fetch(`${app.url}/v1/audit/export?format=${format}`, { headers: { 'x-api-key': app.rootKey } });
    const lines = (await response.text()).split('\n').filter(Boolean);
    expect(lines.length).toBeGreaterThan(1);
    for (const line of lines) expect(auditLines[format].safeParse(JSON.parse(line))).toMatchObject({ success: true });
  }
});
