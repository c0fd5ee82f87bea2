import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { mintSecret } from '../src/access/secret';
import { errorOf, outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { buildAction, buildKey, buildWorkspace } from './support/factories';
import { send } from './support/http';
import { sendRaw, type RawConnection } from './support/raw';
import { startUpstream, type Upstream } from './support/upstream';
import { until } from './support/until';

// Memory that requests reserve for their bodies and then for their answers: it is limited, and freed when it is no longer used.

const COUNTED = 20_000;
const BODY_LIMIT_BYTES = 30_000;
/** Body size for which there is memory once per owner, and four times in all. */
const LIMITS = { bodyLimitBytes: BODY_LIMIT_BYTES, maxBytesInFlight: 4 * BODY_LIMIT_BYTES };
const UNAVAILABLE = expect.objectContaining({ http: 503, code: 'SERVICE_UNAVAILABLE' });

let app: TestApp;
let upstream: Upstream;
let action: string;
let sockets: Socket[] = [];

beforeAll(async () => {
  app = await createTestApp({ config: { ...LIMITS, trustedProxies: ['127.0.0.1'] } });
  upstream = await startUpstream();
  action = (await buildAction(app, { upstreamUrl: upstream.url, timeoutMs: 20_000 })).name;
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  upstream.release();
  await until(() => app.gate['bytesInFlight']['total'] === 0, 'all memory to be free again');
  upstream.answer = () => undefined;
});

afterAll(() => app.close());

const text = 'x'.repeat(COUNTED);
const buildCaller = () => buildKey(app, { permissions: ['face.*', 'demo.*'] });
const headOf = (service: string, secret: string, bytes: number, address = '192.0.2.1') =>
  `POST /v1/${service}/execute HTTP/1.1\r\nhost: a\r\nx-api-key: ${secret}\r\nx-forwarded-for: ${address}\r\n` +
  `content-type: application/json\r\ncontent-length: ${bytes}\r\n\r\n`;
const requestOf = (service: string, secret: string, body: object, address?: string) =>
  headOf(service, secret, JSON.stringify(body).length, address) + JSON.stringify(body);

/** Sends bytes on a new connection that reads nothing. */
function write(bytes: string, url = app.url): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined);
  socket.write(bytes);
  sockets.push(socket);
  return socket;
}

/** Sends bytes on a new connection that reads. */
function raw(bytes: string): RawConnection {
  const connection = sendRaw(app.url, bytes);
  sockets.push(connection.socket);
  return connection;
}

/** Does the same, and waits until the server has read the headers. */
async function announce(head: string): Promise<void> {
  const arrived = once(app.server.server, 'request');
  write(head);
  await arrived;
}

/** A call with a body that is large enough to be counted. */
const large = (secret: string) => app.rest({ secret, body: { params: { text } } });

it('a large body is refused unread if its project has no free memory, and accepted after the previous call has ended', async () => {
  const { secret } = await buildCaller();
  const running = app.rest({ secret, service: 'face', body: { action, params: { text } } });
  const call = await upstream.arrived(upstream.calls.length + 1);
  expect(errorOf(await large(secret))).toEqual(UNAVAILABLE);
  expect(outcomeOf(await app.rest({ secret }))).toBe('200 ok');
  call.succeed();
  expect(outcomeOf(await running)).toBe('200 ok');
  await until(async () => (await large(secret)).status === 200, 'the room of the call that has ended');
});

it('a project that uses all its memory takes none from other projects', async () => {
  const [busy, other] = [await buildCaller(), await buildCaller()];
  write(requestOf('face', busy.secret, { action, params: { text } }));
  await upstream.arrived(upstream.calls.length + 1);
  expect(errorOf(await large(busy.secret))).toEqual(UNAVAILABLE);
  expect(outcomeOf(await large(other.secret))).toBe('200 ok');
});

it('a workspace that uses all its memory takes none from other tenants', async () => {
  const workspace = await buildWorkspace(app);
  const busy = await Promise.all([1, 2, 3, 4].map(() => buildKey(app, { workspace, permissions: ['face.*', 'demo.*'] })));
  const params = { text: 'x'.repeat(BODY_LIMIT_BYTES - 200) };
  const before = upstream.calls.length;
  // From addresses that still have memory
  busy.slice(0, 3).forEach(({ secret }, index) => write(requestOf('face', secret, { action, params }, `198.51.100.${index}`)));
  await upstream.arrived(before + 3);
  expect(errorOf(await app.rest({ secret: busy[3]?.secret, body: { params } }))).toEqual(UNAVAILABLE);
  expect(outcomeOf(await app.rest({ secret: (await buildCaller()).secret, body: { params } }))).toBe('200 ok');
});

it('a request that waits behind another one on its connection frees its memory when the client disconnects', async () => {
  const { secret } = await buildCaller();
  const socket = write(requestOf('face', secret, { action, params: {} }) + headOf('demo', secret, COUNTED, '127.0.0.1'));
  const call = await upstream.arrived(upstream.calls.length + 1);
  await until(async () => (await large(secret)).status === 503, 'the room of the request that waits');
  socket.destroy();
  await until(async () => (await large(secret)).status === 200, 'that room again');
  call.succeed();
});

it('a call that continues after its client disconnected keeps its memory until it ends', async () => {
  const { secret } = await buildCaller();
  const before = upstream.calls.length;
  const socket = write(requestOf('face', secret, { action, params: { text } }));
  const call = await upstream.arrived(before + 1);
  let isClosed = false;
  socket.once('close', () => (isClosed = true)).destroy();
  await until(() => isClosed, 'the caller to be gone');
  for (let tries = 0; tries < 5; tries += 1) expect(errorOf(await large(secret))).toEqual(UNAVAILABLE);
  call.succeed();
  await until(async () => (await large(secret)).status === 200, 'that room again');
});

it('a body without Content-Length reserves the maximum size until it has arrived, and then only its own size', async () => {
  const { secret } = await buildCaller();
  const headers = { 'content-type': 'application/json', 'x-api-key': secret };
  const running = send(app.url, { method: 'POST', path: '/v1/face/execute', headers, body: JSON.stringify({ action, params: {} }) });
  const call = await upstream.arrived(upstream.calls.length + 1);
  expect(outcomeOf(await large(secret))).toBe('200 ok');
  call.succeed();
  expect((await running).status).toBe(200);
});

it('announced bodies use the memory of the project of their secret, and not of other projects at the same address', async () => {
  const [one, other] = [await buildCaller(), await buildCaller()];
  expect(outcomeOf(await large(one.secret))).toBe('200 ok'); // from here on the first secret is cached, and the other is not
  await announce(headOf('demo', one.secret, COUNTED, '127.0.0.1'));
  await until(async () => (await large(one.secret)).status === 503, 'the room of that project to be taken');
  expect(outcomeOf(await large(other.secret))).toBe('200 ok');
  await announce(headOf('demo', other.secret, COUNTED, '127.0.0.1'));
  await until(async () => (await large(other.secret)).status === 503, 'the room of the other one to be taken');
});

it('a key that does not work is refused before its large body is read, and uses no memory', async () => {
  const { secret, key, project } = await buildCaller();
  await app.graphql(`mutation ($id: ID!) { revokeKey(input: { id: $id }) { key { id } } }`, { id: key.id });
  const refused = raw(headOf('demo', secret, COUNTED));
  await refused.answers(1);
  expect(refused.text()).toContain('"code":"REVOKED_API_KEY"');
  const { secret: good } = await buildKey(app, { project });
  expect(outcomeOf(await large(good))).toBe('200 ok');
});

it('many unread answers do not affect small calls of other projects, but calls of the same project wait', async () => {
  const [busy, other] = [await buildCaller(), await buildCaller()];
  const many = 12;
  const before = upstream.calls.length;
  const socket = write(requestOf('face', busy.secret, { action, params: {} }).repeat(many));
  await upstream.arrived(before + many);
  for (const call of upstream.calls.slice(before)) call.succeed({ answer: 'y'.repeat(1_000_000) }); // each is larger than all the memory
  await until(async () => (await app.rest({ secret: busy.secret })).status === 503, 'the answers to be there, unread');
  expect(outcomeOf(await app.rest({ secret: other.secret }))).toBe('200 ok');
  socket.resume();
  await until(async () => (await app.rest({ secret: busy.secret })).status === 200, 'that room again');
});

it('unread answers use the memory of their project: its replays are 503 until they are read; other projects work', async () => {
  const roomy = await createTestApp({ databaseUrl: app.databaseUrl, config: { ...LIMITS, maxBytesInFlight: 16_000_000 } });
  const [{ secret }, other] = [await buildCaller(), await buildCaller()];
  upstream.answer = (call) => call.succeed({ answer: 'y'.repeat(1_000_000) });
  const body = { action, params: {}, requestId: randomUUID() }; // byte for byte as the client writes it
  const again = () => roomy.rest({ secret, service: 'face', body });
  expect(outcomeOf(await again())).toBe('200 ok');
  expect(outcomeOf(await again())).toBe('200 replay');
  const many = requestOf('face', secret, body).repeat(60);
  const socket = write(many, roomy.url);
  await until(async () => {
    socket.write(many); // until the buffers of the connection are full too
    return (await again()).status === 503;
  }, 'the room of the project to be taken');
  expect(outcomeOf(await roomy.rest({ secret: other.secret }))).toBe('200 ok');
  socket.resume();
  await until(async () => (await again()).status === 200, 'that room again');
  await roomy.close();
});

it('a body may take longer to arrive than a call may wait for the gate', async () => {
  const { secret } = await buildCaller();
  const request = requestOf('demo', secret, { action: 'demo.echo', params: {} });
  const now = performance.now.bind(performance);
  let laterMs = 0;
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => now() + laterMs);
  const socket = write(request.slice(0, -5));
  let answer = '';
  socket.on('data', (chunk) => (answer += String(chunk)));
  await until(() => socket.bytesWritten >= request.length - 5, 'all but the end to be sent');
  expect(outcomeOf(await app.rest({ secret }))).toBe('200 ok'); // by then the server has read its headers
  laterMs = 6_000;
  socket.write(request.slice(-5));
  await until(() => answer.includes('\r\n\r\n'), 'an answer');
  clock.mockRestore();
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
});

describe('callers without a known credential', () => {
  const post = (path: string, bytes: number, ...headers: string[]) =>
    [
      `POST ${path} HTTP/1.1`,
      'host: a',
      'content-type: application/json',
      bytes < 0 ? 'transfer-encoding: chunked' : `content-length: ${bytes}`,
      ...headers,
      '',
      '',
    ].join('\r\n');
  const from = (address: string) => `x-forwarded-for: ${address}`;
  const madeUp = () => mintSecret('tg', 'LIVE');
  const query = (bytes: number) => JSON.stringify({ query: '{ __typename }' }).padEnd(bytes);
  const asked = (address: string) => raw(post('/graphql', 60_000, from(address)) + query(60_000));

  it('are refused before a large body is read, also with an invented secret', async () => {
    for (const bytes of [COUNTED, -1]) {
      const refused = raw(post('/v1/demo/execute', bytes, `x-api-key: ${madeUp()}`));
      await refused.answers(1);
      expect(refused.text()).toContain('"code":"INVALID_API_KEY"');
      const unknown = raw(post('/graphql', bytes, `x-api-key: ${madeUp()}`));
      await unknown.answers(1);
      expect(unknown.statuses()).toEqual([401]);
    }
    const anonymous = ['/graphql', '/graphql/stream'].map((path) => raw(post(path, 1_048_575)));
    for (const connection of anonymous) {
      await connection.answers(1);
      expect(connection.statuses()).toEqual([401]);
    }
    const nothing = raw(post('/nothing', 1_000_000));
    await nothing.answers(1);
    expect(nothing.statuses()).toEqual([404]);
  });

  it('share a small part of the memory, per address and in all, and do not affect a caller with a credential', async () => {
    for (let held = 0; held < 4; held += 1) raw(post('/graphql', 131_072, from('192.0.2.50')));
    await until(async () => {
      const one = asked('192.0.2.50');
      await one.answers(1);
      one.socket.destroy();
      return one.statuses()[0] === 503;
    }, 'the part of the address to be taken');
    const other = asked('192.0.2.52');
    await other.answers(1);
    expect(other.statuses()).toEqual([200]);
    const headers = { 'content-type': 'application/json', 'x-api-key': app.rootKey, 'x-forwarded-for': '192.0.2.50' };
    expect((await send(app.url, { method: 'POST', path: '/graphql', headers, body: query(60_000) })).status).toBe(200);
    expect(outcomeOf(await large((await buildCaller()).secret))).toBe('200 ok');
  });

  it('have 5 seconds to send a large body', async () => {
    const [graphql, oauth] = [
      raw(post('/graphql', 65_536, from('192.0.2.60'))),
      raw(post('/oauth/token', 50_000, from('192.0.2.60')).replace('json', 'x-www-form-urlencoded')),
    ];
    await Promise.all([graphql.answers(1), oauth.closed()]);
    expect(graphql.text()).toContain('did not arrive within 5000 ms');
  });
});
