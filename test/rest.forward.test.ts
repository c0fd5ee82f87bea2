import { request as httpRequest } from 'node:http';
import { gzipSync } from 'node:zlib';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { PrincipalTokens } from '../src/access/principal-tokens';
import { createTestApp, PEPPER, type TestApp } from './support/app';
import { faultsOf } from './support/books';
import { buildKey } from './support/factories';
import { mutations } from './support/mutate';
import { verifiedByTheDocuments } from './support/principals';
import { sendRaw } from './support/raw';
import { buildRoute, send, startApi, type Api } from './support/routes';
import { until } from './support/until';

// APIs that exist, behind Tollgate: their callers keep URL, method, headers and body, and get the answers as they are.

let app: TestApp;
let api: Api;

beforeAll(async () => {
  app = await createTestApp();
  api = await startApi();
});

beforeEach(() => {
  api.requests.length = 0;
  api.handle = (_request, response) => response.end('{}');
});

afterAll(() => app.close());

const LOG = `query ($projectId: ID!) { project(id: $projectId) { requestLogs(first: 5) { nodes {
  service action outcome errorCode httpStatus chargedMicroCredits heldMicroCredits usageMissing subject usage { unit quantity } } } } }`;

const logsOf = async (projectId: string) => (await app.graphql(LOG, { projectId })).data.project.requestLogs.nodes;
const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });

/** A route at `path`, and a key that may use it. */
async function build(path: string, values: { action?: Record<string, unknown>; route?: Record<string, unknown> } = {}) {
  const route = await buildRoute(app, { action: values.action ?? {}, route: { path, upstreamUrl: api.url, ...values.route } });
  const key = await buildKey(app, { permissions: [route.permission] });
  return { ...route, ...key };
}

describe('an API that exists', () => {
  it('detects faces for a credit, beside a free upload of 5 MB', async () => {
    const detect = await build('/api/detect', { action: { priceMicroCredits: 1_000_000 }, route: { methods: ['POST'] } });
    const upload = await buildRoute(app, {
      action: { priceMicroCredits: 0, permission: detect.permission },
      route: { path: '/api/detector/upload', methods: ['POST'], upstreamUrl: api.url },
    });
    api.handle = ({ url, body }, response) => {
      response.setHeader('content-type', 'application/json');
      response.end(url.startsWith('/api/detect?') ? '{"faces":[{"x":1,"y":2}]}' : `{"bytes":${body.length}}`);
    };
    const file = Buffer.alloc(5_000_000, 7);
    const boundary = 'boundary-of-the-test';
    const form = Buffer.concat([
      Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n`),
      file,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]);
    const uploaded = await send(`${app.url}/api/detector/upload`, {
      method: 'POST',
      headers: { ...bearer(detect.secret), 'content-type': `multipart/form-data; boundary=${boundary}` },
      body: form,
    });
    expect([uploaded.status, uploaded.text]).toEqual([200, `{"bytes":${form.length}}`]);
    expect(api.requests[0]?.body.equals(form)).toBe(true);
    const detected = await send(`${app.url}/api/detect?threshold=0.5`, {
      method: 'POST',
      headers: { 'x-api-key': detect.secret, 'content-type': 'application/json' },
      body: '{"image_url":"https://example.com/a.jpg"}',
    });
    expect([detected.status, detected.text]).toEqual([200, '{"faces":[{"x":1,"y":2}]}']);
    expect(api.requests[1]).toMatchObject({ method: 'POST', url: '/api/detect?threshold=0.5' });
    const logs = await logsOf(detect.project.id);
    expect(logs.map((log: { action: string; chargedMicroCredits: number }) => [log.action, log.chargedMicroCredits])).toEqual([
      [detect.actionName, 1_000_000],
      [upload.actionName, 0],
    ]);
    expect(await faultsOf(app)).toEqual([]);
  });

  it('streams a chat, and is billed for the tokens of its last event', async () => {
    const chat = await build('/v1/inference/chat', {
      action: {
        priceMicroCredits: 0,
        unitPrices: [{ unit: 'output_tokens', microCredits: 600_000, per: 1_000_000 }],
        maxChargeMicroCredits: 10_000,
      },
      route: { methods: ['POST'], usage: [{ unit: 'output_tokens', pointer: '/usage/completion_tokens' }] },
    });
    const seen: string[] = [];
    let next: () => void = () => undefined;
    api.handle = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n');
      next = () => {
        response.write('data: {"choices":[],"usage":{"completion_tokens":1000}}\n\n');
        response.end('data: [DONE]\n\n');
      };
    };
    const answer = await fetch(`${app.url}/v1/inference/chat`, {
      method: 'POST',
      headers: { ...bearer(chat.secret), 'content-type': 'application/json' },
      body: '{"stream":true}',
    });
    for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
      seen.push(Buffer.from(chunk).toString());
      if (seen.length === 1) next(); // the first event came although the answer has not ended
    }
    expect(seen.join('')).toContain('[DONE]');
    expect((await logsOf(chat.project.id))[0]).toMatchObject({
      outcome: 'SUCCEEDED',
      httpStatus: 200,
      chargedMicroCredits: 600,
      heldMicroCredits: 10_000,
      usage: [{ unit: 'output_tokens', quantity: 1_000 }],
    });
  });
});

describe('the upstream', () => {
  it('gets the request as it came, without the credential, and knows who makes it', async () => {
    const route = { upstreamUrl: `${api.url}/base`, upstreamPath: '/v2/:id' };
    const { secret, key, project, actionName } = await build('/items/:id', { route });
    const { status } = await send(`${app.url}/items/a%20b?q=1&q=2`, {
      method: 'PUT',
      headers: {
        'X-Api-Key': secret,
        Authorization: 'Basic dTpw',
        'X-Custom': 'kept',
        'Tollgate-Workspace': 'forged',
        'Tollgate-Subject': 'user-7',
      },
      body: 'raw',
    });
    expect(status).toBe(200);
    const { method, url, headers, body } = api.requests[0] as (typeof api.requests)[number];
    expect([method, url, body.toString()]).toEqual(['PUT', '/base/v2/a%20b?q=1&q=2', 'raw']);
    expect(headers).toMatchObject({
      authorization: 'Basic dTpw',
      'x-custom': 'kept',
      'tollgate-workspace': project.workspaceId,
      'tollgate-project': project.id,
      'tollgate-credential': key.id,
      'tollgate-environment': 'LIVE',
      'tollgate-subject': 'user-7',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
    });
    expect(headers['x-api-key']).toBeUndefined();
    const keys = createRemoteJWKSet(new URL(`${app.url}/.well-known/tollgate/jwks.json`));
    const { payload } = await jwtVerify(String(headers['tollgate-principal']), keys, { issuer: app.url, audience: api.url });
    expect(payload).toMatchObject({
      sub: key.id,
      workspace: project.workspaceId,
      project: project.id,
      action: actionName,
      subject: 'user-7',
      request_id: headers['tollgate-request-id'],
    });
    expect((await logsOf(project.id))[0]).toMatchObject({ subject: 'user-7' });
    await send(app.url, { path: 'http://target.example/items/1', headers: { 'X-Api-Key': secret, Host: 'forged.example' } });
    expect(api.requests[1]?.headers['x-forwarded-host']).toBe('target.example'); // the target's host is the one that is matched
  });

  it('that verifies callers in Node as docs/routes.md says accepts a real call, and no other token', async () => {
    const audience = api.url;
    const real = await build('/verified');
    await send(`${app.url}/verified`, { headers: bearer(real.secret) });
    const elsewhere = await build('/elsewhere', { route: { upstreamUrl: audience.replace('127.0.0.1', 'localhost') } });
    await send(`${app.url}/elsewhere`, { headers: bearer(elsewhere.secret) });
    const [token, ofAnotherAudience] = api.requests.map(({ headers }) => String(headers['tollgate-principal'])) as [string, string];

    const payload = decodeJwt(token);
    const caller = { credentialId: 'key_1', workspaceId: 'ws_1', projectId: 'prj_1', environment: 'LIVE', requestId: 'r', action: 'a' };
    const sign = async (pepper: string) =>
      (await PrincipalTokens.open(pepper, () => app.url)).sign(audience, { ...caller, subject: '' });
    const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.now() - 61_000);
    const expired = await sign(PEPPER);
    clock.mockRestore();
    const ofAnotherInstallation = await sign('another-pepper-0123456789abcdefghijkl');
    const claims = Buffer.from(JSON.stringify({ ...payload, workspace: 'ws_forged' })).toString('base64url');
    const forged = token.replace(/\.[^.]+\./, `.${claims}.`);

    const tokens = [token, ofAnotherAudience, expired, ofAnotherInstallation, forged, undefined];
    expect(await verifiedByTheDocuments({ issuer: app.url, audience, tokens })).toEqual([
      expect.objectContaining({ sub: real.key.id, workspace: real.project.workspaceId, action: real.actionName }),
      'ERR_JWT_CLAIM_VALIDATION_FAILED',
      'ERR_JWT_EXPIRED',
      'ERR_JWKS_NO_MATCHING_KEY',
      'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
      'ERR_JWS_INVALID',
    ]);
  });
});

describe('the caller', () => {
  it('gets the answer as it is: status, headers and trailers', async () => {
    const { secret } = await build('/odd');
    api.handle = (_request, response) => {
      const cookies = ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2'];
      response.writeHead(201, 'Made', [...cookies, 'X-Odd', 'yes', 'Trailer', 'X-Sum', 'Tollgate-Usage', 'n=1']);
      response.write('body');
      response.addTrailers({ 'X-Sum': '42' });
      response.end();
    };
    const { status, headers, trailers, text } = await send(`${app.url}/odd`, { headers: bearer(secret) });
    expect([status, text, headers['set-cookie'], headers['x-odd'], trailers['x-sum']]).toEqual([201, 'body', ['a=1', 'b=2'], 'yes', '42']);
    expect(headers['tollgate-usage']).toBeUndefined();
    expect(headers['cache-control']).toBe('private');
    expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(headers.ratelimit).toMatch(/^"project";r=\d+;t=\d+$/);
  });

  it('is not billed for an answer with a status that is not billed, and gets it', async () => {
    const { secret, project } = await build('/fails');
    api.handle = (_request, response) => void response.writeHead(422).end('{"error":"no face"}');
    const { status, text } = await send(`${app.url}/fails`, { headers: bearer(secret) });
    expect([status, text]).toEqual([422, '{"error":"no face"}']);
    const log = { outcome: 'FAILED', errorCode: 'UPSTREAM_STATUS', httpStatus: 422, chargedMicroCredits: 0 };
    expect((await logsOf(project.id))[0]).toMatchObject(log);
    expect(await faultsOf(app)).toEqual([]);
  });

  it('without a key, with a wrong key or without credit gets the errors of the error table, and nothing reaches the upstream', async () => {
    const { permission } = await build('/paid');
    const poor = await buildKey(app, { permissions: [permission], budget: 1 });
    const other = await buildKey(app);
    const codeOf = async (headers: Record<string, string>) => {
      const { status, text } = await send(`${app.url}/paid`, { headers });
      return [status, JSON.parse(text).error.code];
    };
    expect(await codeOf({})).toEqual([401, 'MISSING_API_KEY']);
    expect(await codeOf({ 'x-api-key': 'nothing' })).toEqual([401, 'INVALID_API_KEY']);
    expect(await codeOf(bearer(poor.secret))).toEqual([402, 'PAYMENT_REQUIRED']);
    expect(await codeOf(bearer(other.secret))).toEqual([403, 'FORBIDDEN']);
    expect(api.requests).toEqual([]);
  });

  it('gets 502 if the upstream is gone, and is not billed', async () => {
    const { secret, project } = await build('/gone', { route: { upstreamUrl: 'http://127.0.0.1:9' } });
    const { status, text } = await send(`${app.url}/gone`, { headers: bearer(secret) });
    expect([status, JSON.parse(text).error.code]).toEqual([502, 'UPSTREAM_FAILED']);
    const failed = { outcome: 'FAILED', errorCode: 'UPSTREAM_FAILED', httpStatus: 502, chargedMicroCredits: 0 };
    expect((await logsOf(project.id))[0]).toMatchObject(failed);
  });

  it('gets a broken connection if the answer breaks off, and is not billed', async () => {
    const { secret, project } = await build('/breaks');
    api.handle = (_request, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('half', () => response.destroy());
    };
    const broken = await send(`${app.url}/breaks`, { headers: bearer(secret) }).catch(() => undefined);
    expect(broken?.isComplete ?? false).toBe(false);
    expect((await logsOf(project.id))[0]).toMatchObject({ outcome: 'FAILED', errorCode: 'UPSTREAM_FAILED', chargedMicroCredits: 0 });
  });
});

describe('a request that cannot be forwarded', () => {
  it('is 508 if the upstream of its route is Tollgate itself, and is not billed', async () => {
    const { secret, project } = await build('/loop', { route: { upstreamUrl: app.url } });
    const { status, text } = await send(`${app.url}/loop`, { headers: bearer(secret) });
    expect([status, JSON.parse(text).error.code]).toEqual([508, 'LOOP_DETECTED']);
    expect((await logsOf(project.id))[0]).toMatchObject({ outcome: 'FAILED', errorCode: 'UPSTREAM_STATUS', httpStatus: 508 });
  });

  it('is 501 if it opens a WebSocket', async () => {
    const { secret } = await build('/socket');
    const handshake = { 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==', 'sec-websocket-version': '13' };
    const upgrade = { upgrade: 'websocket', connection: 'Upgrade', ...handshake };
    const { status, text } = await send(`${app.url}/socket`, { headers: { ...bearer(secret), ...upgrade } });
    expect([status, JSON.parse(text).error.code]).toEqual([501, 'UPGRADE_NOT_SUPPORTED']);
  });

  it('is asked for its body only after it is admitted', async () => {
    const { secret } = await build('/asks');
    const asks = async (headers: Record<string, string>) => {
      let isAsked = false;
      const options = { method: 'POST', headers: { ...headers, expect: '100-continue', 'content-length': '4' }, agent: false as const };
      const answer = await new Promise<number>((resolve, reject) => {
        const request = httpRequest(`${app.url}/asks`, options, (response) => resolve(response.resume().statusCode ?? 0));
        request.on('error', reject).on('continue', () => {
          isAsked = true;
          request.end('body');
        });
        request.flushHeaders();
      });
      return [answer, isAsked];
    };
    expect(await asks(bearer(secret))).toEqual([200, true]);
    expect(await asks({})).toEqual([401, false]);
  });
});

describe('memory', () => {
  const slow = (secret: string, path: string, bytes: number) => {
    const headers = `Host: a\r\nX-Api-Key: ${secret}\r\nIdempotency-Key: a\r\nContent-Length: ${bytes}`;
    return sendRaw(app.url, `POST ${path} HTTP/1.1\r\n${headers}\r\n\r\n`);
  };

  it('of a body that is read first is free after maxDurationMs, however slowly the body comes', async () => {
    const { secret } = await build('/slow', { route: { replayable: true, maxDurationMs: 1_000 } });
    const caller = slow(secret, '/slow', 100);
    const sending = setInterval(() => caller.socket.write('x'), 100);
    await caller.answers(1).finally(() => clearInterval(sending));
    expect(caller.text()).toContain('CALLER_GONE');
    caller.socket.destroy();
  });

  it('that a project has filled itself makes its calls fail, so that no answer goes without its usage', async () => {
    const prices = { priceMicroCredits: 0, unitPrices: [{ unit: 'out', microCredits: 10, per: 1 }], maxChargeMicroCredits: 10_000 };
    const route = { usage: [{ unit: 'out', pointer: '/out' }] };
    const { secret, project, permission } = await build('/measured', { action: prices, route });
    await buildRoute(app, { action: { permission }, route: { path: '/fill', upstreamUrl: api.url, replayable: true } });
    api.handle = (_request, response) =>
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(gzipSync('{"out":5}'));
    const sizes = [...Array(13).fill(10_000_000), ...Array(4).fill(1_000_000), 100_000, 100_000];
    const callers = sizes.map((bytes) => slow(secret, '/fill', bytes));
    await until(async () => {
      // A body that came while a measured call ran found no room, and is sent again
      const refused = [...callers.keys()].filter((at) => callers[at]?.text() !== '');
      for (const at of refused) {
        callers[at]?.socket.destroy();
        callers[at] = slow(secret, '/fill', sizes[at] as number);
      }
      if (refused.length > 0) return false;
      return (await send(`${app.url}/measured`, { headers: bearer(secret) })).status === 503;
    }, 'a refusal');
    for (const { socket } of callers) socket.destroy();
    const succeeded = (await logsOf(project.id)).filter(({ outcome }: { outcome: string }) => outcome === 'SUCCEEDED');
    for (const log of succeeded) expect(log).toMatchObject({ usageMissing: false, chargedMicroCredits: 50 });
  });
});

describe('a path', () => {
  it.each(['/safe/a%2Fb', '/safe/../x', '/safe//x', '/safe/%2e%2e/x', '/safe/a%5Cb'])('%s is 400 and reaches no upstream', async (path) => {
    await build(`/safe/:id${path.length}`).catch(() => undefined);
    const { status, text } = await send(`${app.url}/`, { path });
    expect([status, JSON.parse(text).error.code]).toEqual([400, 'INVALID_REQUEST']);
  });

  it('with another method is 405 and names the methods', async () => {
    await build('/only-post', { route: { methods: ['POST'] } });
    const { status, headers } = await send(`${app.url}/only-post`);
    expect([status, headers.allow]).toEqual([405, 'POST']);
  });

  it('of Tollgate itself stays its own', async () => {
    expect((await send(`${app.url}/healthz`)).text).toBe('{"ok":true}');
  });
});

describe('a changed route', () => {
  it('counts for the next request on another node, even before that node has read it', async () => {
    const { id, secret, actionId } = await build('/moves');
    const other = await createTestApp({ databaseUrl: app.databaseUrl });
    const elsewhere = await startApi();
    try {
      expect((await send(`${other.url}/moves`, { headers: bearer(secret) })).status).toBe(200);
      await mutations(app).mutate('updateRoute', { id, upstreamUrl: elsewhere.url }, 'route { id }');
      expect((await send(`${other.url}/moves`, { headers: bearer(secret) })).status).toBe(200);
      expect([api.requests.length, elsewhere.requests.length]).toEqual([1, 1]);
      await mutations(app).mutate('updateRoute', { id, enabled: false }, 'route { id }');
      expect((await send(`${other.url}/moves`, { headers: bearer(secret) })).status).toBe(404);
      expect(actionId).toMatch(/^act_/);
    } finally {
      await other.close();
    }
  });
});

describe('a replayable route', () => {
  it('answers a repeat with the same answer, and bills once', async () => {
    const { secret, project, permission } = await build('/again', { route: { replayable: true } });
    let answers = 0;
    api.handle = (_request, response) => {
      answers += 1;
      response.setHeader('set-cookie', 'a=1');
      response.setHeader('content-type', 'application/octet-stream');
      response.end(Buffer.from([0, 255, answers]));
    };
    const call = (body: string) =>
      send(`${app.url}/again`, { method: 'POST', headers: { ...bearer(secret), 'idempotency-key': 'order-7' }, body });
    const first = await call('one');
    const second = await call('one');
    expect([...second.body]).toEqual([0, 255, 1]);
    expect([first.headers['idempotency-replayed'], second.headers['idempotency-replayed']]).toEqual([undefined, 'true']);
    expect([second.headers['content-type'], second.headers['set-cookie']]).toEqual(['application/octet-stream', undefined]);
    const third = await call('two');
    expect([third.status, JSON.parse(third.text).error.code]).toEqual([422, 'REQUEST_ID_REUSED']);
    const elsewhere = { path: '/again', host: 'other.example', upstreamUrl: api.url, replayable: true };
    await buildRoute(app, { action: { permission }, route: elsewhere });
    const headers = { ...bearer(secret), 'idempotency-key': 'order-7', host: 'other.example' };
    expect((await send(`${app.url}/again`, { method: 'POST', headers, body: 'one' })).status).toBe(422);
    expect([answers, (await logsOf(project.id)).filter((log: { outcome: string }) => log.outcome === 'SUCCEEDED').length]).toEqual([1, 1]);
  });
});
