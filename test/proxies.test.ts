import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { RequestLog } from '../src/requests/request-log.entity';
import { createTestApp, type TestApp } from './support/app';
import { faultsOf } from './support/books';
import { runCaddy } from './support/caddy';
import { buildKey } from './support/factories';
import { blocksOf } from './support/markdown';
import { runNginx } from './support/nginx';
import { buildRoute, send, startApi, type Api } from './support/routes';
import { post } from './support/verify';
import type { StartedServer } from './support/web-servers';

// Real proxies with the configurations of docs/proxies.md, in front of a real API. They ask a real Tollgate.

jest.setTimeout(60_000);

const BLOCKS = blocksOf(readFileSync(join(__dirname, '..', 'docs', 'proxies.md'), 'utf8'));
const HEADERS = ['Request-Id', 'Workspace', 'Project', 'Credential', 'Environment', 'Subject', 'Principal', 'Hold'];
const MILLION = 1_000_000;

let app: TestApp;
let api: Api;

beforeAll(async () => {
  app = await createTestApp();
  api = await startApi();
});
beforeEach(() => {
  api.requests.length = 0;
  api.handle = ({ body }, response) => response.end(`{"bytes":${body.length}}`);
});
afterAll(() => app.close());

/** The configuration on the page, with the addresses of this test. */
function configurationOf(language: string, listen: [string, string], tollgate = app.url): string {
  const text = BLOCKS.find((block) => block.language === language)?.text ?? '';
  for (const part of [listen[0], '127.0.0.1:4000', '127.0.0.1:8090']) expect(text).toContain(part);
  const moved = text.replace(listen[0], listen[1]).replaceAll('127.0.0.1:4000', new URL(tollgate).host);
  return moved.replaceAll('127.0.0.1:8090', new URL(api.url).host);
}

const START: Record<string, (tollgate?: string) => Promise<StartedServer | undefined>> = {
  nginx: (tollgate) => runNginx((port) => configurationOf('nginx', ['listen 80;', `listen 127.0.0.1:${port};`], tollgate)),
  Caddy: (tollgate) => runCaddy((port) => configurationOf('caddy', [':80 {', `:${port} {\n\tbind 127.0.0.1`], tollgate)),
};

let made = 0;

/** A route with a path of its own, and a key that may use it. */
async function build(values: { action?: object; route?: object; key?: Parameters<typeof buildKey>[1] } = {}) {
  const path = `/made-${(made += 1)}`;
  const input = { path: `${path}/:id`, upstreamUrl: api.url, ...values.route };
  const route = await buildRoute(app, { action: { ...values.action }, route: input });
  const key = await buildKey(app, { permissions: [route.permission], ...values.key });
  return { ...route, ...key, path: `${path}/1` };
}

const logsOf = (projectId: string) => app.database.reader.findBy(RequestLog, { projectId });
const chargesOf = async (projectId: string) =>
  (await logsOf(projectId)).map(({ outcome, chargedMicroCredits }) => [outcome, chargedMicroCredits]);
const codeOf = (text: string): string => (JSON.parse(text) as { error: { code: string } }).error.code;

describe.each(['nginx', 'Caddy'])('%s', (name) => {
  let url = '';

  /** A test that needs the proxy, which a developer's machine may not have. */
  const test = (title: string, run: () => Promise<void>) =>
    it(title, async () => {
      url ||= (await START[name]?.())?.url ?? '';
      if (url !== '') await run();
    });

  test('passes an allowed request on, billed once, and tells the API who calls', async () => {
    const call = await build();
    const headers = { 'x-api-key': call.secret, 'tollgate-subject': 'user-17', 'content-type': 'text/plain' };
    const answer = await send(`${url}${call.path}?page=%2F2`, { method: 'POST', headers, body: 'Hello' });
    expect([answer.status, answer.text]).toEqual([200, '{"bytes":5}']);
    const [request] = api.requests;
    expect(request).toMatchObject({ method: 'POST', url: `${call.path}?page=%2F2` });
    expect(request?.headers).toMatchObject({
      'content-type': 'text/plain',
      'tollgate-credential': call.key.id,
      'tollgate-project': call.project.id,
      'tollgate-workspace': call.project.workspaceId,
      'tollgate-environment': 'LIVE',
      'tollgate-subject': 'user-17',
    });
    for (const removed of ['x-api-key', 'authorization', 'tollgate-attempt']) expect(request?.headers).not.toHaveProperty(removed);
    const keys = createRemoteJWKSet(new URL(`${app.url}/.well-known/tollgate/jwks.json`));
    const { payload } = await jwtVerify(String(request?.headers['tollgate-principal']), keys, { issuer: app.url, audience: api.url });
    const [log] = await logsOf(call.project.id);
    expect(payload).toMatchObject({ sub: call.key.id, action: call.actionName, request_id: log?.requestId, subject: 'user-17' });
    expect(request?.headers['tollgate-request-id']).toBe(log?.requestId);
    expect(log).toMatchObject({ outcome: 'SUCCEEDED', chargedMicroCredits: 10, ip: '127.0.0.1', subject: 'user-17' });
  });

  test('shows each refusal with its own status, and the API sees none of these requests', async () => {
    const allowed = await build({ route: { methods: ['GET'] } });
    const poor = await build({ key: { budget: 5 } });
    const busy = await build({ key: { rateLimit: { sustainedRps: 0.01, burst: 1 } } });
    const forbidden = await buildKey(app, { permissions: ['demo.*'] });
    const away = await buildKey(app, { permissions: [allowed.permission], allowedIps: ['203.0.113.7'] });
    expect((await send(`${url}${busy.path}`, { headers: { 'x-api-key': busy.secret } })).status).toBe(200);
    const ask = async (target: string, secret?: string, method = 'GET') => {
      const headers = secret === undefined ? {} : { authorization: `Bearer ${secret}` };
      const { status, text, headers: answered } = await send(url, { path: target, method, headers });
      return { seen: [status, codeOf(text)], headers: answered };
    };
    api.requests.length = 0;
    const missing = await ask(allowed.path);
    expect(missing.seen).toEqual([401, 'MISSING_API_KEY']);
    expect(missing.headers['www-authenticate']).toBe('Bearer realm="tollgate"');
    expect((await ask(allowed.path, 'acme_live_wrong')).seen).toEqual([401, 'INVALID_API_KEY']);
    expect((await ask(poor.path, poor.secret)).seen).toEqual([402, 'PAYMENT_REQUIRED']);
    expect((await ask(allowed.path, forbidden.secret)).seen).toEqual([403, 'FORBIDDEN']);
    expect((await ask(allowed.path, away.secret)).seen).toEqual([403, 'IP_NOT_ALLOWED']);
    expect((await ask('/nowhere', allowed.secret)).seen).toEqual([404, 'NOT_FOUND']);
    const wrongMethod = await ask(allowed.path, allowed.secret, 'DELETE');
    expect([wrongMethod.seen, wrongMethod.headers.allow]).toEqual([[405, 'METHOD_NOT_ALLOWED'], 'GET, HEAD']);
    const limited = await ask(busy.path, busy.secret);
    expect(limited.seen).toEqual([429, 'RATE_LIMITED']);
    expect(Number(limited.headers['retry-after'])).toBeGreaterThan(50);
    for (const path of [allowed.path.replace(/1$/, 'a%2Fb'), `${allowed.path.replace('/1', '')}/./1`, `/${allowed.path}`]) {
      expect([path, (await ask(path, allowed.secret)).seen]).toEqual([path, [400, 'INVALID_REQUEST']]);
    }
    expect(api.requests).toEqual([]);
  });

  test('lets no client forge a header, an attempt or the request that is asked about', async () => {
    const call = await build({ route: { methods: ['GET'] } });
    const free = await build({ action: { priceMicroCredits: 0 } });
    const forged = Object.fromEntries(HEADERS.filter((header) => header !== 'Subject').map((header) => [`Tollgate-${header}`, 'forged']));
    const headers = {
      'x-api-key': call.secret,
      ...forged,
      Tollgate_Workspace: 'forged',
      'Tollgate-Attempt': 'always-the-same',
      'Idempotency-Key': 'always-the-same',
      'X-Original-URI': free.path,
      'X-Original-Method': 'POST',
      'X-Original-Host': 'other.example',
      'X-Forwarded-Uri': free.path,
      'X-Forwarded-Method': 'POST',
      'X-Forwarded-Host': 'other.example',
      'X-Forwarded-For': '203.0.113.7',
      Connection: 'close, Tollgate-Principal, tollgate-workspace',
    };
    for (let index = 0; index < 2; index += 1) expect((await send(`${url}${call.path}`, { headers })).status).toBe(200);
    for (const request of api.requests) {
      expect(request.headers['tollgate-workspace']).toBe(call.project.workspaceId);
      expect(String(request.headers['tollgate-principal'])).toMatch(/^ey/);
      expect(JSON.stringify([request.headers])).not.toMatch(/forged|tollgate_/);
      for (const empty of ['tollgate-subject', 'tollgate-hold']) expect(request.headers[empty] ?? '').toBe('');
    }
    expect(await chargesOf(call.project.id)).toEqual([['SUCCEEDED', 10], ['SUCCEEDED', 10]]);
    expect((await logsOf(call.project.id)).map(({ ip }) => ip)).toEqual(['127.0.0.1', '127.0.0.1']);
  });

  test('streams a body of 20 MB to the API, byte for byte', async () => {
    const call = await build();
    const body = Buffer.alloc(20 * MILLION, 'tollgate');
    const answer = await send(`${url}${call.path}`, { method: 'PUT', headers: { 'x-api-key': call.secret }, body });
    expect([answer.status, answer.text]).toEqual([200, `{"bytes":${body.length}}`]);
    expect(api.requests[0]?.body.equals(body)).toBe(true);
  });

  test('sends a request whose API breaks off only once, under one bill', async () => {
    const call = await build();
    api.handle = (_request, response) => response.destroy();
    expect((await send(`${url}${call.path}`, { headers: { 'x-api-key': call.secret } })).status).toBe(502);
    expect(api.requests).toHaveLength(1);
    expect(await chargesOf(call.project.id)).toEqual([['SUCCEEDED', 10]]);
  });

  test('gives the API a hold, which it settles with a key of the workspace that may verify', async () => {
    const call = await build({
      action: { priceMicroCredits: 5, unitPrices: [{ unit: 'tiles', microCredits: 3, per: 1 }], maxChargeMicroCredits: 500 },
    });
    const asker = await buildKey(app, { project: call.project, permissions: ['verify.keys'] });
    expect((await send(`${url}${call.path}`, { headers: { 'x-api-key': call.secret } })).status).toBe(200);
    const hold = String(api.requests[0]?.headers['tollgate-hold']);
    const settled = await post(app.url, `/v1/holds/${hold}/settle`, asker.secret, { usage: { tiles: 4 } });
    expect(settled).toMatchObject({ status: 200, body: { outcome: 'SUCCEEDED', billing: { chargedMicroCredits: 17 } } });
    expect(await chargesOf(call.project.id)).toEqual([['SUCCEEDED', 17]]);
  });

  test('lets no request through while Tollgate is away', async () => {
    const lonely = await START[name]?.('http://127.0.0.1:1');
    const answer = await send(`${lonely?.url}/tiles/1`, { headers: { 'x-api-key': 'any' } });
    expect([answer.status, api.requests.length]).toEqual([name === 'nginx' ? 503 : 502, 0]);
  });
});

it('has a configuration for every proxy with all headers, and with the attempt of each proxy that has an id', () => {
  const withHeaders = BLOCKS.filter(({ text }) => text.includes('/v1/forward-auth/') && !text.includes('curl'));
  expect(withHeaders.map(({ language }) => language)).toEqual(['nginx', 'caddy', 'yaml', 'yaml', 'yaml']);
  for (const { text } of withHeaders) for (const header of HEADERS) expect(text).toContain(`Tollgate-${header}`);
  expect(withHeaders[0]?.text).toContain('proxy_next_upstream off;');
  const attempt = /Tollgate-Attempt("|:)? ?(\$request_id|\{http\.request\.uuid\}|""|, value: "%REQ\(X-REQUEST-ID\)%")/;
  for (const { text } of withHeaders) expect(text).toMatch(attempt);
});

it('leaves the books in order', async () => {
  expect(await faultsOf(app)).toEqual([]);
});
