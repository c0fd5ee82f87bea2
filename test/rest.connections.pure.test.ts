import { once } from 'node:events';
import type { Socket } from 'node:net';
import { createTestApp, type TestApp } from './support/app';
import { buildAction, buildKey } from './support/factories';
import { sendRaw } from './support/raw';
import { startUpstream, type Upstream } from './support/upstream';
import { until } from './support/until';

// Every connection is answered, whatever it sends, and does not block others.

let app: TestApp;
let upstream: Upstream;
beforeAll(async () => {
  app = await createTestApp();
  upstream = await startUpstream();
});
afterAll(() => app.close());

const get = (path: string, ...headers: string[]) => [`GET ${path} HTTP/1.1`, 'host: a', ...headers, '', ''].join('\r\n');
const offer = (path: string) => get(path, 'connection: upgrade', 'upgrade: h2c');
const call = (secret: string, body: object, ...headers: string[]) => {
  const text = JSON.stringify(body);
  const head = [
    `POST /v1/face/execute HTTP/1.1`,
    'host: a',
    `x-api-key: ${secret}`,
    'content-type: application/json',
    `content-length: ${text.length}`,
  ];
  return [...head, ...headers, '', text].join('\r\n');
};

/** Returns the server's socket of the next connection. */
async function accepted(): Promise<Socket> {
  const [socket] = (await once(app.server.server, 'connection')) as [Socket];
  return socket;
}

describe('requests with an Upgrade header', () => {
  it('are answered in order on one connection, after earlier requests', async () => {
    const { name: action } = await buildAction(app, { upstreamUrl: upstream.url });
    const { secret } = await buildKey(app, { permissions: ['face.*'] });
    const offered = ['connection: upgrade', 'upgrade: h2c'];
    const bytes =
      call(secret, { action, params: {} }) + offer('/healthz') + offer('/nothing') + call('nonsense', {}, ...offered) + get('/healthz');
    const connection = sendRaw(app.url, bytes);
    const slow = await upstream.arrived(upstream.calls.length + 1);
    expect(connection.statuses()).toEqual([]);
    slow.succeed();
    await connection.answers(5);
    expect(connection.statuses()).toEqual([200, 200, 404, 401, 200]);
    connection.socket.destroy();
  });

  it('add no listeners to their connection, even if there are many', async () => {
    const next = accepted();
    const connection = sendRaw(app.url, offer('/healthz'));
    const socket = await next;
    const listeners = () => socket.eventNames().reduce((sum, name) => sum + socket.listenerCount(name), 0);
    await connection.answers(1);
    const before = listeners();
    connection.socket.write(offer('/healthz').repeat(200));
    await connection.answers(201);
    expect(listeners()).toBeLessThan(before + 5);
    connection.socket.destroy();
  });

  it('end with their connection, also while they wait for an earlier answer', async () => {
    const { name: action } = await buildAction(app, { upstreamUrl: upstream.url });
    const { secret } = await buildKey(app, { permissions: ['face.*'] });
    const next = accepted();
    const connection = sendRaw(app.url, call(secret, { action, params: {} }) + offer('/healthz'));
    const socket = await next;
    const slow = await upstream.arrived(upstream.calls.length + 1);
    connection.socket.resetAndDestroy();
    socket.write('x'); // makes the reset an error here, like a failed write
    await until(() => socket.closed, 'the server to close it');
    slow.succeed();
    expect((await app.rest({ secret: 'nonsense' })).status).toBe(401);
  });
});

describe('requests that wait on one connection', () => {
  it('are refused above 2,048, because Node would read without a limit', async () => {
    const { name: action } = await buildAction(app, { upstreamUrl: upstream.url });
    const { secret } = await buildKey(app, { permissions: ['face.*'] });
    let arrived = 0;
    const count = () => (arrived += 1);
    app.server.server.on('request', count);
    const connection = sendRaw(app.url, call(secret, { action, params: {} }) + get('/healthz').repeat(2_049));
    const slow = await upstream.arrived(upstream.calls.length + 1);
    await until(() => arrived === 2_050, 'all to be read');
    app.server.server.off('request', count);
    slow.succeed();
    await connection.answers(2_050);
    expect(connection.statuses().filter((status) => status === 200)).toHaveLength(2_049);
    expect(connection.statuses().at(-1)).toBe(503);
    connection.socket.destroy();
  });
});

describe('a request that cannot be routed', () => {
  const form = 'content-type: application/x-www-form-urlencoded';
  const post = (path: string, ...headers: string[]) => [`POST ${path} HTTP/1.1`, 'host: a', ...headers, '', ''].join('\r\n');
  const badChunk = (path: string, type = form) => `${post(path, type, 'transfer-encoding: chunked')}zz\r\n`;
  const rest = (code = 'INVALID_REQUEST') => new RegExp(`"ok":false,.*"requestId":"[^"]+","error":\\{"status":"${code}","code":"${code}"`);
  const graphql = /^\{"errors":\[\{"message":"[^"]+","extensions":\{"code":"INVALID_REQUEST","issues":\[/;
  const oauth = /^\{"error":"invalid_request","error_description":"/;
  const page = /^<!doctype html>/;
  const json = 'content-type: application/json';

  it.each([
    ['headers that are too large', get('/healthz', `x: ${'x'.repeat(20_000)}`), 431, rest()],
    ['headers that are too large, at /graphql', get('/graphql', `x: ${'x'.repeat(20_000)}`), 431, graphql],
    ['bytes that are not HTTP', '\x16\x03\x01\r\n\r\n', 400, rest()],
    ['an unknown method', 'BREW /healthz HTTP/1.1\r\nhost: a\r\n\r\n', 400, rest()],
    ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n', 400, rest()],
    ['no Host, at /graphql', `POST /graphql HTTP/1.1\r\n${json}\r\ncontent-length: 0\r\n\r\n`, 400, /^\{"errors":\[/],
    ['a Content-Length that is not a number', post('/v1/demo/execute', 'content-length: 1x'), 400, rest()],
    ['both Content-Length and chunks', post('/oauth/token', form, 'content-length: 1', 'transfer-encoding: chunked'), 400, oauth],
    ['an invalid chunk, at /graphql', badChunk('/graphql', json), 400, graphql],
    ['an invalid chunk, at /oauth', badChunk('/oauth/token'), 400, oauth],
    ['an invalid chunk, of a form', badChunk('/invitation'), 400, page],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n', 404, rest('NOT_FOUND')],
    ['an incomplete WebSocket handshake', get('/graphql', 'connection: upgrade', 'upgrade: websocket'), 400, /^\{"errors":\[/],
    [
      'a body with Content-Encoding, at /graphql',
      post('/graphql', json, 'content-encoding: gzip', 'content-length: 2') + '{}',
      415,
      graphql,
    ],
    [
      'a body with Content-Encoding, at /oauth',
      post('/oauth/token', form, 'content-encoding: gzip', 'content-length: 3') + 'a=b',
      415,
      oauth,
    ],
    ['a form with Content-Encoding', post('/invitation', form, 'content-encoding: gzip', 'content-length: 3') + 'a=b', 415, page],
  ])('is answered in the form of its routes: %s', async (_case, bytes, status, body) => {
    const connection = sendRaw(app.url, bytes);
    await connection.answers(1);
    await until(() => connection.text().includes('\r\n\r\n'), 'the headers');
    const [head = '', text = ''] = connection.text().split('\r\n\r\n');
    expect([connection.statuses(), text]).toEqual([[status], expect.stringMatching(body)]);
    expect(head).toMatch(/cache-control: no-store/i);
    expect(head).toMatch(/x-content-type-options: nosniff/i);
    if (body !== graphql && !text.startsWith('{"errors"')) expect(head).toMatch(/x-request-id: /i);
    connection.socket.destroy();
  });

  it('is answered after earlier requests, and they keep their answers', async () => {
    const { name: action } = await buildAction(app, { upstreamUrl: upstream.url });
    const { secret } = await buildKey(app, { permissions: ['face.*'] });
    const connection = sendRaw(app.url, `${call(secret, { action, params: {} })}nonsense\r\n\r\n`);
    const slow = await upstream.arrived(upstream.calls.length + 1);
    expect(connection.statuses()).toEqual([]);
    slow.succeed();
    await connection.closed();
    expect(connection.statuses()).toEqual([200, 400]);
    const closing = sendRaw(app.url, get('/healthz', 'connection: close') + get('/healthz'));
    await closing.closed();
    expect(closing.statuses()).toEqual([200]);
  });

  it.each([['half a body', post('/v1/face/execute', 'content-length: 9')], ['no HTTP', 'nonsense\r\n\r\n']])(
    'closes a connection if its client disconnects after %s behind a running call',
    async (_case, bytes) => {
      const { name: action } = await buildAction(app, { upstreamUrl: upstream.url });
      const { secret } = await buildKey(app, { permissions: ['face.*'] });
      const next = accepted();
      const connection = sendRaw(app.url, call(secret, { action, params: {} }) + bytes);
      const socket = await next;
      const slow = await upstream.arrived(upstream.calls.length + 1);
      connection.socket.end();
      await until(() => socket.closed, 'the server to close it');
      slow.succeed();
    },
  );

  it('does not run a call with an uncompressed body and Content-Encoding: answers 415', async () => {
    const { secret } = await buildKey(app);
    const refused = await app.rest({ secret, headers: { 'content-encoding': 'gzip' } });
    expect(refused).toMatchObject({ status: 415, body: { error: { code: 'UNSUPPORTED_MEDIA_TYPE' } } });
    expect((await app.rest({ secret, headers: { 'content-encoding': 'identity' } })).status).toBe(200);
  });
});

it.each([
  '/healthz',
  '/openapi.json',
  '/docs',
  '/graphql?query=%7B__typename%7D',
  '/v1/export/keys?format=csv',
  '/oauth/jwks',
  '/.well-known/openid-configuration',
  '/nothing',
])('%s forbids browsers to guess its content type', async (path) => {
  const { headers } = await fetch(app.url + path, { headers: { 'x-api-key': app.rootKey } });
  expect(headers.get('x-content-type-options')).toBe('nosniff');
});

it('logs nothing if clients disconnect at once or in the middle of a body', async () => {
  const form = 'content-type: application/x-www-form-urlencoded';
  const half = (path: string, type: string) => `POST ${path} HTTP/1.1\r\nhost: a\r\n${type}\r\ncontent-length: 300\r\n\r\na=b`;
  const requests = [
    get('/healthz'),
    get('/graphql?query={__typename}'),
    get('/v1/audit/export', `x-api-key: ${app.rootKey}`),
    get('/graphql/stream?query={__typename}', 'accept: text/event-stream', `x-api-key: ${app.rootKey}`),
    get('/oauth/authorize?client_id=x'),
    get('/invitation?token=a'),
    half('/oauth/token', form),
    half('/invitation', form),
    half('/graphql', 'content-type: application/json'),
  ];
  const written = (['error', 'warn'] as const).map((name) => jest.spyOn(console, name).mockImplementation(() => undefined));
  const before = app.logLines.length;
  for (const request of requests) {
    for (const cut of ['destroy', 'resetAndDestroy', 'end'] as const) {
      const connection = sendRaw(app.url, request);
      await once(connection.socket, 'connect');
      await new Promise((resolve) => connection.socket.write('', resolve));
      connection.socket[cut]();
      await until(() => connection.socket.destroyed || connection.statuses().length > 0, 'the end, or an answer');
      connection.socket.destroy();
    }
  }
  expect((await fetch(`${app.url}/oauth/jwks`)).status).toBe(200);
  expect(app.logLines.slice(before)).toEqual([]);
  expect(written.flatMap(({ mock }) => mock.calls)).toEqual([]);
  jest.restoreAllMocks();
});
