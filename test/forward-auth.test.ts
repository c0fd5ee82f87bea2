import type { Socket } from 'node:net';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { SingleHold } from '../src/gate/gate.entities';
import type { HoldRow } from '../src/gate/tick/rows';
import { RequestLog } from '../src/requests/request-log.entity';
import { Environment } from '../src/tenancy/environment';
import { createTestApp, type TestApp } from './support/app';
import { accountOf, faultsOf } from './support/books';
import { ORIGIN, buildKey, buildServiceAccount } from './support/factories';
import { closeNodes, createNodes } from './support/nodes';
import { buildRoute, send, type HttpAnswer } from './support/routes';
import { post } from './support/verify';

// Proxies ask whether a request may go on. The requests are as the proxies send them by their documentation; test/proxies.test.ts runs two.

jest.setTimeout(60_000);

const DIALECTS = ['nginx', 'forwarded', 'envoy'] as const;
type Dialect = (typeof DIALECTS)[number];
const UPSTREAM = 'https://api.internal.example';
const UNITS = { priceMicroCredits: 5, unitPrices: [{ unit: 'tiles', microCredits: 3, per: 1 }], maxChargeMicroCredits: 500 };

let app: TestApp;
let other: TestApp;

beforeAll(async () => {
  [app, other] = await createNodes();
});
afterAll(() => closeNodes(other, app));

interface Asked {
  method?: string;
  host?: string;
  url: string;
  secret?: string | undefined;
  headers?: Record<string, string | string[]>;
  body?: string | Buffer;
}

/** Asks as a proxy does. A header that is undefined is left out. */
function ask(dialect: Dialect, { method = 'GET', host = 'api.example.com', url, secret, headers = {}, body }: Asked, node = app) {
  const credential = secret === undefined ? {} : { authorization: `Bearer ${secret}` };
  const known: Record<Dialect, Record<string, string>> = {
    nginx: { host, 'x-original-method': method, 'x-original-uri': url },
    forwarded: { host: 'tollgate.example', 'x-forwarded-method': method, 'x-forwarded-host': host, 'x-forwarded-uri': url },
    envoy: { host, 'content-length': '0' },
  };
  const isEnvoy = dialect === 'envoy';
  return send(node.url, {
    method: isEnvoy ? method : 'GET',
    path: isEnvoy ? `/v1/forward-auth/envoy${url}` : `/v1/forward-auth/${dialect}`,
    headers: { ...known[dialect], 'x-forwarded-for': '203.0.113.7', ...credential, ...headers },
    ...(body !== undefined && { body }),
  });
}

const statusIn = ({ status, headers }: HttpAnswer): number => Number(headers['tollgate-status'] ?? status);
const codeIn = ({ text }: HttpAnswer): string | undefined => (text === '' ? undefined : JSON.parse(text).error.code);
const outcome = (answer: HttpAnswer): string => `${statusIn(answer)} ${codeIn(answer) ?? 'passes'}`;
const logsOf = (projectId: string) => app.database.reader.find(RequestLog, { where: { projectId }, order: { id: 'ASC' } });

let made = 0;

/** A route at a path of its own, and a key that may use it. */
async function build(values: { action?: object; route?: object; key?: Parameters<typeof buildKey>[1] } = {}) {
  const base = `/asked-${(made += 1)}`;
  const input = { path: `${base}/:id`, upstreamUrl: UPSTREAM, ...values.route };
  const route = await buildRoute(app, { action: { ...values.action }, route: input });
  const key = await buildKey(app, { permissions: [route.permission], ...values.key });
  await other.routes.reload();
  return { ...route, ...key, base, url: `${base}/1` };
}

describe.each(DIALECTS)('%s', (dialect) => {
  it('lets an allowed request pass, with every header, and bills it at once', async () => {
    const call = await build({ route: { methods: ['POST'], host: 'api.example.com' } });
    const asked = { ...call, method: 'POST', host: 'API.example.com:8443', url: `${call.base}/caf%C3%A9?page=2` };
    const answer = await ask(dialect, { ...asked, headers: { 'user-agent': 'test', 'tollgate-subject': 'user-17' } });
    expect([answer.status, answer.text, answer.headers['cache-control']]).toEqual([200, '', 'no-store']);
    const [log] = await logsOf(call.project.id);
    expect(log).toMatchObject({ outcome: 'SUCCEEDED', chargedMicroCredits: 10, ip: '203.0.113.7', userAgent: 'test', subject: 'user-17' });
    const principal = String(answer.headers['tollgate-principal']);
    expect(answer.headers).toMatchObject({
      'tollgate-request-id': log?.requestId,
      'x-request-id': log?.requestId,
      'tollgate-workspace': call.project.workspaceId,
      'tollgate-project': call.project.id,
      'tollgate-credential': call.key.id,
      'tollgate-environment': 'LIVE',
      'tollgate-subject': 'user-17',
      'tollgate-hold': '',
      ratelimit: expect.stringContaining('"project"'),
    });
    const keys = createRemoteJWKSet(new URL(`${app.url}/.well-known/tollgate/jwks.json`));
    const { payload } = await jwtVerify(principal, keys, { issuer: app.url, audience: UPSTREAM });
    expect(payload).toMatchObject({ sub: call.key.id, action: call.actionName, request_id: log?.requestId });
    const without = await ask(dialect, { ...asked, url: call.url });
    expect([without.headers['tollgate-subject'], without.headers['tollgate-hold']]).toEqual(['', '']);
  });

  it('refuses with the status of the table; nginx gets it in a header beside 401 or 403', async () => {
    const call = await build({ route: { methods: ['GET'] }, key: { rateLimit: { sustainedRps: 0.01, burst: 1 } } });
    const poor = await build({ key: { budget: 9 } });
    const { secret: stranger } = await buildKey(app, { permissions: ['demo.*'] });
    const answers = [
      await ask(dialect, { url: call.url }),
      await ask(dialect, { url: call.url, secret: 'acme_live_malformed' }),
      await ask(dialect, { url: call.url, secret: stranger }),
      await ask(dialect, { url: poor.url, secret: poor.secret }),
      await ask(dialect, { url: '/nowhere', secret: call.secret }),
      await ask(dialect, { url: call.url, secret: call.secret, method: 'DELETE' }),
      await ask(dialect, { url: call.url, secret: call.secret }),
      await ask(dialect, { url: call.url, secret: call.secret }),
    ];
    expect(answers.map(outcome)).toEqual([
      '401 MISSING_API_KEY',
      '401 INVALID_API_KEY',
      '403 FORBIDDEN',
      '402 PAYMENT_REQUIRED',
      '404 NOT_FOUND',
      '405 METHOD_NOT_ALLOWED',
      '200 passes',
      '429 RATE_LIMITED',
    ]);
    expect(answers[5]?.headers.allow).toBe('GET, HEAD');
    expect(Number(answers[7]?.headers['retry-after'])).toBeGreaterThan(50);
    for (const { status, headers, text } of answers) {
      expect(headers['cache-control']).toBe('no-store');
      if (dialect !== 'nginx') expect(headers).not.toHaveProperty('tollgate-status');
      else if (status !== 200) {
        expect(status).toBe(/"401|API_KEY/.test(text) ? 401 : 403);
        expect(headers['tollgate-code']).toBe(JSON.parse(text).error.code);
      }
    }
  });

  it('refuses each path that an API could read as another path, and its own paths', async () => {
    const { secret, permission } = await build();
    const host = `${dialect}.paths.example`;
    await buildRoute(app, { action: { permission }, route: { host, path: '/*', upstreamUrl: UPSTREAM } });
    const refused = ['/a%2Fb', '/a%5Cb', '/a/../b', '/a/%2e%2e/b', '/a//b', '//a', '/a%00', '/a%', '/a/.;x/b'];
    for (const url of refused) expect([url, outcome(await ask(dialect, { url, host, secret }))]).toEqual([url, '400 INVALID_REQUEST']);
    for (const url of ['/graphql', '/gr%61phql', '/v1/keys/verify', '/v1/forward-auth/nginx']) {
      expect([url, outcome(await ask(dialect, { url, host, secret }))]).toEqual([url, '404 NOT_FOUND']);
    }
    expect(outcome(await ask(dialect, { url: '/any?x=/../y', host, secret }))).toBe('200 passes');
  });

  it('makes one call of all questions with the same Tollgate-Attempt about the same request', async () => {
    const call = await build();
    const asked = { url: call.url, secret: call.secret, headers: { 'tollgate-attempt': `attempt-of-${dialect}` } };
    const answers = await Promise.all([ask(dialect, asked), ask(dialect, asked), ask(dialect, asked, other)]);
    answers.push(await ask(dialect, asked));
    expect(answers.map(outcome)).toEqual(Array(4).fill('200 passes'));
    expect(new Set(answers.map(({ headers }) => headers['tollgate-request-id'])).size).toBe(1);
    expect(await accountOf(app, call.project.id)).toMatchObject({ bills: 1, billed: 10 });
    const again = (changes: Partial<Asked>) => ask(dialect, { ...asked, ...changes });
    expect(outcome(await again({ url: `${call.base}/2` }))).toBe('422 REQUEST_ID_REUSED');
    expect(outcome(await again({ url: `${call.url}?x=1` }))).toBe('422 REQUEST_ID_REUSED');
    expect(outcome(await again({ method: 'POST' }))).toBe('422 REQUEST_ID_REUSED');
    expect(outcome(await again({ host: 'other.example' }))).toBe('422 REQUEST_ID_REUSED');
    const { secret, project } = await buildKey(app, { permissions: [call.permission] });
    expect(outcome(await again({ secret }))).toBe('200 passes');
    expect(await accountOf(app, project.id)).toMatchObject({ bills: 1 });
    expect(await accountOf(app, call.project.id)).toMatchObject({ bills: 1 });
  });
});

describe('a proxy', () => {
  it('that is neither on this machine nor in TRUSTED_PROXIES may not ask', async () => {
    const call = await build();
    const trusting = await createTestApp({ databaseUrl: app.databaseUrl, config: { trustedProxies: ['198.51.100.0/24'] } });
    const moveTo = (address: string) => (socket: Socket) => Object.defineProperty(socket, 'remoteAddress', { value: address });
    try {
      const outcomes = async (node: TestApp, address: string) => {
        const move = moveTo(address);
        node.server.server.prependListener('connection', move);
        const answers = [];
        for (const dialect of DIALECTS) answers.push(outcome(await ask(dialect, call, node)));
        node.server.server.off('connection', move);
        return answers;
      };
      expect(await outcomes(app, '198.51.100.9')).toEqual(Array(3).fill('403 PROXY_NOT_TRUSTED'));
      expect(await outcomes(trusting, '203.0.113.9')).toEqual(Array(3).fill('403 PROXY_NOT_TRUSTED'));
      expect(await outcomes(trusting, '198.51.100.9')).toEqual(Array(3).fill('200 passes'));
      expect(await outcomes(trusting, '::ffff:127.0.0.1')).toEqual(Array(3).fill('200 passes'));
    } finally {
      await trusting.close();
    }
  });

  it.each([
    ['nginx', 'x-original-method'],
    ['nginx', 'x-original-uri'],
    ['forwarded', 'x-forwarded-method'],
    ['forwarded', 'x-forwarded-host'],
    ['forwarded', 'x-forwarded-uri'],
  ] as const)('of the dialect %s must send %s, and only once', async (dialect, header) => {
    const { url, secret } = await build();
    for (const value of ['', [url, url]]) {
      const answer = await ask(dialect, { url, secret, headers: { [header]: value } });
      expect([outcome(answer), JSON.parse(answer.text).error.details.issues]).toEqual([
        '400 INVALID_REQUEST',
        [{ path: [expect.stringMatching(new RegExp(`^${header}$`, 'i'))], message: expect.stringMatching(/is required|twice/) }],
      ]);
    }
  });

  it('sends paths and hosts only, because a target with a host would name another route', async () => {
    const call = await build({ route: { host: 'inner.example' } });
    for (const url of [`http://inner.example${call.url}`, call.url.slice(1), '*']) {
      expect(outcome(await ask('nginx', { url, secret: call.secret }))).toBe('400 INVALID_REQUEST');
    }
    for (const host of ['a.example, inner.example', 'user@inner.example', 'inner.example/x']) {
      expect(outcome(await ask('forwarded', { ...call, host }))).toBe('400 INVALID_REQUEST');
    }
    const headers = { 'x-original-host': 'inner.example' };
    expect(outcome(await ask('nginx', { ...call, headers }))).toBe('200 passes');
    expect(outcome(await ask('nginx', call))).toBe('404 NOT_FOUND');
  });

  it('gets 404 for an unknown dialect or path, and 431 for headers that are too large', async () => {
    const statuses = [];
    for (const end of ['', '/', '/other', '/nginx/x', '/envoy']) statuses.push((await send(app.url, { path: `/v1/forward-auth${end}` })).status);
    expect(statuses).toEqual(Array(5).fill(404));
    expect((await ask('nginx', { url: '/x', headers: { 'x-large': 'x'.repeat(20_000) } })).status).toBe(431);
  });

  it('may ask with any method and with a body, which nobody reads', async () => {
    const { url, secret } = await build();
    for (const method of ['HEAD', 'OPTIONS', 'POST', 'PURGE']) {
      const headers = { 'x-original-method': 'HEAD', 'x-original-uri': url, authorization: `Bearer ${secret}`, expect: '100-continue' };
      const body = method === 'HEAD' ? {} : { body: Buffer.alloc(1_000_000) };
      expect((await send(app.url, { path: '/v1/forward-auth/nginx', method, headers, ...body })).status).toBe(200);
    }
  });
});

describe('the caller', () => {
  it('of a key with allowed addresses is refused if the proxy does not tell the address, or tells another', async () => {
    const call = await build({ key: { allowedIps: ['203.0.113.0/24', '127.0.0.1'] } });
    const from = (address: string) => ask('forwarded', { ...call, headers: { 'x-forwarded-for': address } });
    expect(outcome(await from('203.0.113.9'))).toBe('200 passes');
    expect(outcome(await from('203.0.113.9, 198.51.100.1'))).toBe('403 IP_NOT_ALLOWED'); // the client has written the first one
    const headers = { 'x-original-method': 'GET', 'x-original-uri': call.url, 'x-api-key': call.secret };
    expect(outcome(await send(`${app.url}/v1/forward-auth/nginx`, { headers }))).toBe('403 IP_NOT_ALLOWED');
  });

  it('of a service account names its project in X-Project-Id', async () => {
    const call = await build();
    const { secret } = await buildServiceAccount(app, { projects: [call.project], permissions: [call.permission] });
    const answer = await ask('nginx', { ...call, secret, headers: { 'x-project-id': call.project.id } });
    expect([outcome(answer), answer.headers['tollgate-project']]).toEqual(['200 passes', call.project.id]);
    const absent = await ask('nginx', { ...call, secret, headers: { 'x-project-id': 'prj_none' } });
    expect([outcome(absent), JSON.parse(absent.text).error.details]).toEqual(['404 NOT_FOUND', { header: 'X-Project-Id' }]);
  });

  it('pays for each request, even if it sends an Idempotency-Key; a TEST key pays nothing', async () => {
    const call = await build();
    const headers = { 'idempotency-key': 'the-same' };
    for (let index = 0; index < 2; index += 1) await ask('forwarded', { ...call, headers });
    expect(await accountOf(app, call.project.id)).toMatchObject({ bills: 2 });
    const test = await buildKey(app, { permissions: [call.permission], environment: Environment.TEST });
    expect((await ask('forwarded', { ...call, secret: test.secret })).headers['tollgate-environment']).toBe('TEST');
    expect(await accountOf(app, test.project.id)).toMatchObject({ bills: 0, balance: 1_000_000 });
  });

  it('is refused once its key is revoked, even with an attempt that has passed', async () => {
    const call = await build();
    const asked = { ...call, headers: { 'tollgate-attempt': 'before-the-end' } };
    expect(outcome(await ask('envoy', asked, other))).toBe('200 passes');
    await app.services.keys.revoke(ORIGIN, { id: call.key.id });
    expect(outcome(await ask('envoy', asked, other))).toBe('401 REVOKED_API_KEY');
  });

  it('cannot name an attempt that no proxy would send, nor two', async () => {
    const { url, secret } = await build();
    for (const attempt of ['two words', 'x'.repeat(256), ['a', 'b']]) {
      expect(outcome(await ask('nginx', { url, secret, headers: { 'tollgate-attempt': attempt } }))).toBe('400 INVALID_REQUEST');
    }
  });
});

describe('a route', () => {
  it('that another node has disabled, deleted or given another action counts at once', async () => {
    const call = await build();
    const expensive = await buildRoute(app, {
      action: { priceMicroCredits: 70, permission: call.permission },
      route: { path: `${call.base}-other`, upstreamUrl: UPSTREAM },
    });
    await other.routes.reload();
    await app.services.routes.update(ORIGIN, { id: call.id, actionId: expensive.actionId });
    expect(outcome(await ask('nginx', call, other))).toBe('200 passes');
    expect(await accountOf(app, call.project.id)).toMatchObject({ bills: 1, billed: 70 });
    await app.services.routes.update(ORIGIN, { id: call.id, enabled: false });
    expect(outcome(await ask('nginx', call, other))).toBe('404 NOT_FOUND');
    await app.services.routes.update(ORIGIN, { id: call.id, enabled: true });
    await other.routes.reload();
    await app.services.routes.delete(ORIGIN, { id: call.id });
    expect(outcome(await ask('nginx', call, other))).toBe('404 NOT_FOUND');
  });

  it('lets CORS preflights pass without a credential and without a bill, only with passPreflight', async () => {
    const call = await build({ route: { methods: ['PUT'], passPreflight: true } });
    const strict = await build({ route: { methods: ['PUT', 'OPTIONS'] } });
    const headers = { origin: 'https://shop.example', 'access-control-request-method': 'PUT', 'tollgate-subject': 'forged' };
    for (const dialect of DIALECTS) {
      const answer = await ask(dialect, { url: call.url, method: 'OPTIONS', headers });
      expect(outcome(answer)).toBe('200 passes');
      const told = Object.entries(answer.headers).filter(([name, value]) => name.startsWith('tollgate-') && value !== '');
      expect(told.map(([name]) => name)).toEqual(['tollgate-request-id']);
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('tollgate-'))).toHaveLength(8);
      expect(outcome(await ask(dialect, { url: strict.url, method: 'OPTIONS', headers }))).toBe('401 MISSING_API_KEY');
      expect(outcome(await ask(dialect, { url: call.url, method: 'OPTIONS' }))).toBe('405 METHOD_NOT_ALLOWED');
    }
    expect(await logsOf(call.project.id)).toEqual([]);
  });
});

describe('an action with prices by unit', () => {
  const heldBy = async (call: { url: string; secret: string }, attempt?: string) => {
    const headers: Record<string, string> = attempt === undefined ? {} : { 'tollgate-attempt': attempt };
    return String((await ask('forwarded', { ...call, headers })).headers['tollgate-hold']);
  };

  it('is held, for the maxDurationMs of its route, and settled by an asker of the workspace or by the operator', async () => {
    const call = await build({ action: UNITS, route: { maxDurationMs: 120_000 } });
    const hold = await heldBy(call, 'held-once');
    expect(await heldBy(call, 'held-once')).toBe(hold);
    const row = await app.database.reader.findOneByOrFail(SingleHold, { id: hold });
    expect(row.expiresAt - (JSON.parse(row.hold) as HoldRow).startedAt).toBe(120_000);
    expect(await accountOf(app, call.project.id)).toMatchObject({ bills: 0, held: 500, holds: 1 });
    const settle = (secret: string) => post(app.url, `/v1/holds/${hold}/settle`, secret, { usage: { tiles: 4 } });
    const foreign = await buildKey(app, { permissions: ['verify.keys'] });
    expect((await settle(foreign.secret)).status).toBe(404);
    expect((await settle(call.secret)).status).toBe(403);
    const asker = await buildKey(app, { project: call.project, permissions: ['verify.keys'] });
    expect((await settle(asker.secret)).body).toMatchObject({ outcome: 'SUCCEEDED', billing: { chargedMicroCredits: 17 } });
    const second = await heldBy(call);
    expect((await post(app.url, `/v1/holds/${second}/void`, app.rootKey, {})).body).toEqual({ outcome: 'FAILED' });
    expect(await accountOf(app, call.project.id)).toMatchObject({ bills: 1, billed: 17, held: 0 });
  });

  it('costs nothing if its hold expires', async () => {
    const call = await build({ action: UNITS });
    const hold = await heldBy(call);
    app.travel(700_000);
    await app.sweep.once();
    app.travel(-700_000);
    expect((await post(app.url, `/v1/holds/${hold}/settle`, app.rootKey, {})).status).toBe(410);
    expect(await accountOf(app, call.project.id)).toMatchObject({ bills: 0, held: 0, balance: 1_000_000 });
  });
});

it('the principal of a repeated question is signed anew, and the books are in order', async () => {
  const call = await build();
  const asked = { ...call, headers: { 'tollgate-attempt': 'signed-anew' } };
  const { exp = 0 } = decodeJwt(String((await ask('nginx', asked)).headers['tollgate-principal']));
  const again = decodeJwt(String((await ask('nginx', asked, other)).headers['tollgate-principal']));
  expect(again).toMatchObject({ sub: call.key.id, aud: UPSTREAM });
  expect(again.exp).toBeGreaterThanOrEqual(exp);
  expect(await faultsOf(app)).toEqual([]);
});
