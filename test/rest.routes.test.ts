import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERRORS, type ErrorCode } from '../src/errors';
import { httpStatusOf } from '../src/rest/status';
import { errorOf, outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import type { RestAnswer } from './support/clients';
import { buildAction, buildKey, buildRoute } from './support/factories';
import { send, type HttpRequest } from './support/http';

// Methods, paths, CORS, the probes and the OpenAPI document: behaviour of the server that does not depend on a route.

const ORIGIN = 'https://admin.example.com';

let app: TestApp;
let withCors: TestApp;

beforeAll(async () => {
  app = await createTestApp();
  withCors = await createTestApp({ databaseUrl: app.databaseUrl, config: { corsOrigins: [ORIGIN, 'http://localhost:5173'] } });
});

afterAll(async () => {
  await withCors.close();
  await app.close();
});

const ask = (request: HttpRequest) => send(app.url, request);

describe.each([
  ['without CORS', () => app],
  ['with CORS', () => withCors],
])('methods, %s', (_case, node) => {
  it.each(['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'TRACE'])(
    '%s on execute is 405, and Allow says POST',
    async (method) => {
      const answer = await send(node().url, { method, path: '/v1/demo/execute' });
      expect(errorOf(answer)).toEqual({ http: 405, status: 'INVALID_REQUEST', code: 'METHOD_NOT_ALLOWED', details: {}, allow: 'POST' });
    },
  );

  it('HEAD has the same answer as GET without the body', async () => {
    const { status, headers, body } = await send(node().url, { method: 'HEAD', path: '/v1/demo/execute' });
    expect([status, headers.get('allow'), headers.get('cache-control'), body]).toEqual([405, 'POST', 'no-store', undefined]);
    expect(Number(headers.get('content-length'))).toBeGreaterThan(0);
    expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect((await send(node().url, { method: 'HEAD', path: '/healthz' })).status).toBe(200);
  });

  it('other routes name their methods', async () => {
    for (const path of ['/healthz', '/readyz', '/openapi.json']) {
      expect(errorOf(await send(node().url, { method: 'POST', path }))).toMatchObject({ http: 405, allow: 'GET, HEAD' });
    }
    expect(errorOf(await send(node().url, { method: 'PUT', path: '/graphql' }))).toMatchObject({ http: 405, allow: 'GET, HEAD, POST' });
  });

  it('a path without a route and an invalid service are 404 for every method', async () => {
    for (const path of [
      '/',
      '/nothing',
      '/v1/demo',
      '/v1/demo/execute/',
      '/v1/demo/execute/x',
      '/v1//execute',
      '/v1/demo//execute',
      '/v1/:service/execute',
      '/*',
      '*',
      '/graphqlx',
      '/v1/keys/execute',
      '/v1/Demo/execute',
      '/V1/demo/execute',
    ]) {
      for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
        expect([method, path, outcomeOf(await send(node().url, { method, path }))]).toEqual([method, path, '404 NOT_FOUND']);
      }
    }
  });
});

describe('addresses', () => {
  it('an address that cannot be decoded is INVALID_REQUEST, in the form of all errors', async () => {
    for (const path of ['/v1/%E0%A4%A/execute', '/v1/%/execute', '/%zz']) {
      expect(errorOf(await ask({ method: 'POST', path }))).toEqual({
        http: 400,
        status: 'INVALID_REQUEST',
        code: 'INVALID_REQUEST',
        details: { issues: [{ path: [], message: expect.any(String) }] },
      });
    }
  });

  it('a service may be percent-encoded, and a query is ignored', async () => {
    const { secret } = await buildKey(app);
    const headers = { 'x-api-key': secret, 'content-type': 'application/json' };
    for (const path of ['/v1/d%65mo/execute', '/v1/demo/execute?action=demo.fail']) {
      expect(outcomeOf(await ask({ method: 'POST', path, headers, body: '{"action":"demo.echo","params":{}}' }))).toBe('200 ok');
    }
    expect(outcomeOf(await ask({ method: 'POST', path: '/v1/demo%2F/execute', headers }))).toBe('404 NOT_FOUND');
  });

  it.each([64, 100, 101, 1_000])('a service may have 63 characters; one of %i is NOT_FOUND', async (length) => {
    const { secret } = await buildKey(app);
    expect(outcomeOf(await app.rest({ secret, service: 'a'.repeat(63) }))).toBe('404 UNKNOWN_ACTION');
    expect(outcomeOf(await app.rest({ secret, service: 'a'.repeat(length) }))).toBe('404 NOT_FOUND');
  });
});

describe('HTTP itself', () => {
  it('an unknown Expect header is ignored', async () => {
    const { secret } = await buildKey(app);
    const headers = { 'x-api-key': secret, 'content-type': 'application/json', expect: 'miracles' };
    expect(outcomeOf(await ask({ method: 'POST', path: '/v1/demo/execute', headers, body: '{"action":"demo.echo","params":{}}' }))).toBe(
      '200 ok',
    );
    expect(errorOf(await ask({ path: '/nothing', headers: { expect: 'miracles' } }))).toMatchObject({ http: 404 });
  });
});

describe('CORS', () => {
  const preflight = (node: TestApp, origin: string, path = '/v1/demo/execute') =>
    send(node.url, {
      method: 'OPTIONS',
      path,
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,x-api-key,idempotency-key',
      },
    });
  const corsOf = ({ headers }: RestAnswer) => [...headers.keys()].filter((name) => name.startsWith('access-control-')).sort();

  it.each(['/v1/demo/execute', '/graphql'])('pages of the configured origins may call %s', async (path) => {
    const { status, headers, body } = await preflight(withCors, ORIGIN, path);
    expect([status, body]).toEqual([204, undefined]);
    expect(headers.get('access-control-allow-origin')).toBe(ORIGIN);
    expect(headers.get('access-control-allow-methods')).toContain('POST');
    expect(headers.get('access-control-allow-headers')).toBe('content-type,x-api-key,idempotency-key');
    expect(headers.get('vary')).toContain('Origin');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('access-control-allow-credentials')).toBe('true');
  });

  it('pages of the configured origins may read answers and refusals, including the headers for retries', async () => {
    const { secret } = await buildKey(withCors);
    for (const call of [{ secret }, {}]) {
      const { headers } = await withCors.rest({ ...call, headers: { origin: 'http://localhost:5173' } });
      expect(headers.get('access-control-allow-origin')).toBe('http://localhost:5173');
      const exposed = headers.get('access-control-expose-headers')?.split(', ');
      expect(exposed).toEqual(expect.arrayContaining(['X-Request-Id', 'RateLimit', 'RateLimit-Policy', 'Retry-After', 'WWW-Authenticate']));
    }
  });

  it('pages of other origins may neither call nor read answers', async () => {
    const { secret } = await buildKey(withCors);
    for (const origin of ['https://evil.example.com', `${ORIGIN}.evil.com`, 'null', `${ORIGIN}:444`, 'http://admin.example.com']) {
      expect((await preflight(withCors, origin)).headers.get('access-control-allow-origin')).toBeNull();
      expect((await withCors.rest({ secret, headers: { origin } })).headers.get('access-control-allow-origin')).toBeNull();
    }
  });

  it('only pages of a configured origin can read why a request of a route was refused', async () => {
    const { id: actionId } = await buildAction(withCors, {});
    const { path } = await buildRoute(withCors, { actionId, path: '/browsers' });
    const refused = async (origin: string) => (await fetch(`${withCors.url}${path}`, { headers: { origin } })).headers;
    const headers = await refused(ORIGIN);
    expect([headers.get('access-control-allow-origin'), headers.get('vary')]).toEqual([ORIGIN, 'Origin']);
    expect(headers.get('access-control-expose-headers')).toContain('WWW-Authenticate');
    expect((await refused('https://evil.example.com')).get('access-control-allow-origin')).toBeNull();
  });

  it('without configured origins no CORS header is sent', async () => {
    expect(outcomeOf(await preflight(app, ORIGIN))).toBe('405 METHOD_NOT_ALLOWED');
    expect(corsOf(await preflight(app, ORIGIN))).toEqual([]);
    expect(corsOf(await app.rest({ headers: { origin: ORIGIN } }))).toEqual([]);
  });
});

describe('probes', () => {
  it('/healthz and /readyz answer 200, without a credential', async () => {
    for (const path of ['/healthz', '/readyz']) {
      const { status, headers, body } = await ask({ path });
      expect([status, body, headers.get('cache-control')]).toEqual([200, { ok: true }, 'no-store']);
      expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    }
  });
});

describe('/openapi.json', () => {
  interface Documented {
    openapi: string;
    paths: Record<string, Record<string, { responses: Record<string, { description: string; content: Record<string, unknown> }> }>>;
  }

  /** Rows of the contract's error table. */
  const contract = readFileSync(join(__dirname, 'contract/rest.md'), 'utf8');
  const rows = [...contract.matchAll(/^\| (\d{3}) \| `(\w+)` \| `(\w+)` \|/gm)].map(([, http, status, code]) => ({
    http: Number(http),
    status,
    code: code as ErrorCode,
  }));

  it('the error table of the contract matches the code', () => {
    expect(rows).toHaveLength(23);
    expect(rows.map(({ code }) => ({ http: httpStatusOf(code), status: ERRORS[code].kind, code }))).toEqual(rows);
    const others = Object.keys(ERRORS).filter((code) => !rows.some((row) => row.code === code));
    const ofRoutes = ['UPSTREAM_STATUS', 'LOOP_DETECTED', 'UPGRADE_NOT_SUPPORTED', 'CALLER_GONE'];
    const ofOthers = ['ALREADY_SETTLED', 'HOLD_EXPIRED', 'PROXY_NOT_TRUSTED'];
    const ofGraphQL = ['QUERY_TOO_COMPLEX', 'SIGN_IN_FAILED', 'CONFLICT'];
    expect(others.sort()).toEqual([...ofGraphQL, ...ofRoutes, ...ofOthers].sort());
  });

  it('documents every status and code of the table', async () => {
    const { status, headers, body } = await ask({ path: '/openapi.json' });
    expect([status, headers.get('cache-control')]).toEqual([200, 'no-store']);
    const document = body as Documented;
    expect(document.openapi).toMatch(/^3\.1\./);
    const responses = document.paths['/v1/{service}/execute']?.post?.responses ?? {};
    expect(new Set(Object.keys(responses))).toEqual(new Set(['200', '410', ...rows.map(({ http }) => String(http))]));
    for (const { http, code } of rows) expect(responses[http]?.description).toContain(`\`${code}\``);
    for (const passed of [400, 403, 404, 409, 410, 422, 429]) expect(responses[passed]?.description).toContain('`SaidNo`');
  });
});
