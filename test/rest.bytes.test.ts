import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { errorOf, outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { buildAction, buildKey, buildWorkspace } from './support/factories';
import { send } from './support/http';
import { startUpstream, type Upstream } from './support/upstream';
import { until } from './support/until';

// What requests keep in memory, of their bodies and then of their answers: bounded, and given back when nobody needs it any more.

const COUNTED = 20_000;
const BODY_LIMIT_BYTES = 30_000;
/** Room for one such body of each owner, and for four in all. */
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

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  upstream.release();
  upstream.answer = () => undefined;
});

afterAll(() => app.close());

const text = 'x'.repeat(COUNTED);
const buildCaller = () => buildKey(app, { permissions: ['face.*', 'demo.*'] });
const headOf = (service: string, secret: string, bytes: number, address = '192.0.2.1') =>
  `POST /v1/${service}/execute HTTP/1.1\r\nhost: a\r\nx-api-key: ${secret}\r\nx-forwarded-for: ${address}\r\ncontent-type: application/json\r\ncontent-length: ${bytes}\r\n\r\n`;
const requestOf = (service: string, secret: string, body: object, address?: string) => headOf(service, secret, JSON.stringify(body).length, address) + JSON.stringify(body);

/** Sends as it is, on a connection of its own that reads nothing. */
function write(bytes: string, url = app.url): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined);
  socket.write(bytes);
  sockets.push(socket);
  return socket;
}

/** The same, once the server has read the head. */
async function announce(head: string): Promise<void> {
  const arrived = once(app.server.server, 'request');
  write(head);
  await arrived;
}

/** A call with a body that counts. */
const large = (secret: string) => app.rest({ secret, body: { params: { text } } });

it('a body that has no room is not read, and has it again when the one before has ended', async () => {
  const { secret } = await buildCaller();
  const running = app.rest({ secret, service: 'face', body: { action, params: { text } } });
  const call = await upstream.arrived(upstream.calls.length + 1);
  expect(errorOf(await large(secret))).toEqual(UNAVAILABLE);
  expect(outcomeOf(await app.rest({ secret }))).toBe('200 ok');
  call.succeed();
  expect(outcomeOf(await running)).toBe('200 ok');
  await until(async () => (await large(secret)).status === 200, 'the room of the call that has ended');
});

it('a project whose calls keep all that it may takes no room from others', async () => {
  const [busy, other] = [await buildCaller(), await buildCaller()];
  write(requestOf('face', busy.secret, { action, params: { text } }));
  await upstream.arrived(upstream.calls.length + 1);
  expect(errorOf(await large(busy.secret))).toEqual(UNAVAILABLE);
  expect(outcomeOf(await large(other.secret))).toBe('200 ok');
});

it('a workspace whose projects keep all that it may takes no room from other tenants', async () => {
  const workspace = await buildWorkspace(app);
  const busy = await Promise.all([1, 2, 3, 4].map(() => buildKey(app, { workspace, permissions: ['face.*', 'demo.*'] })));
  const params = { text: 'x'.repeat(BODY_LIMIT_BYTES - 200) };
  const before = upstream.calls.length;
  busy.slice(0, 3).forEach(({ secret }, index) => write(requestOf('face', secret, { action, params }, `198.51.100.${index}`))); // of addresses with room
  await upstream.arrived(before + 3);
  expect(errorOf(await app.rest({ secret: busy[3]?.secret, body: { params } }))).toEqual(UNAVAILABLE);
  expect(outcomeOf(await app.rest({ secret: (await buildCaller()).secret, body: { params } }))).toBe('200 ok');
});

it('a request that waits behind another of its connection gives its room back when their caller hangs up', async () => {
  const { secret } = await buildCaller();
  const socket = write(requestOf('face', secret, { action, params: {} }) + headOf('demo', secret, COUNTED, '127.0.0.1'));
  const call = await upstream.arrived(upstream.calls.length + 1);
  await until(async () => (await large(secret)).status === 503, 'the room of the request that waits');
  socket.destroy();
  await until(async () => (await large(secret)).status === 200, 'that room again');
  call.succeed();
});

it('a call that runs on without its caller keeps its body until it has ended', async () => {
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

it('a body that comes without its length counts as the largest until it is there, and then as what it is', async () => {
  const { secret } = await buildCaller();
  const headers = { 'content-type': 'application/json', 'x-api-key': secret };
  const running = send(app.url, { method: 'POST', path: '/v1/face/execute', headers, body: JSON.stringify({ action, params: {} }) });
  const call = await upstream.arrived(upstream.calls.length + 1);
  expect(outcomeOf(await large(secret))).toBe('200 ok');
  call.succeed();
  expect((await running).status).toBe(200);
});

it('bodies that are only announced take the room of their address, whoever they say they are, and none of others', async () => {
  const [one, other] = [await buildCaller(), await buildCaller()];
  await announce(headOf('demo', one.secret, COUNTED, '198.51.100.7'));
  const from = (address: string) =>
    send(app.url, {
      method: 'POST',
      path: '/v1/demo/execute',
      headers: { 'content-type': 'application/json', 'x-api-key': other.secret, 'x-forwarded-for': address, 'content-length': JSON.stringify({ action: 'demo.echo', params: { text } }).length },
      body: JSON.stringify({ action: 'demo.echo', params: { text } }),
    });
  await until(async () => (await from('198.51.100.7')).status === 503, 'the room of that address to be taken');
  expect((await from('198.51.100.8')).status).toBe(200);
  await announce(headOf('demo', one.secret, COUNTED, '2001:db8::1'));
  await until(async () => (await from('2001:db8::2')).status === 503, 'the room of that network to be taken');
  expect((await from('2001:db8:1::1')).status).toBe(200);
});

it('answers that nobody reads, however many, leave small calls of others alone; of their own project all calls wait', async () => {
  const [busy, other] = [await buildCaller(), await buildCaller()];
  const many = 12;
  const before = upstream.calls.length;
  const socket = write(requestOf('face', busy.secret, { action, params: {} }).repeat(many));
  await upstream.arrived(before + many);
  for (const call of upstream.calls.slice(before)) call.succeed({ answer: 'y'.repeat(1_000_000) }); // each more than all may keep
  await until(async () => (await app.rest({ secret: busy.secret })).status === 503, 'the answers to be there, unread');
  expect(outcomeOf(await app.rest({ secret: other.secret }))).toBe('200 ok');
  socket.resume();
  await until(async () => (await app.rest({ secret: busy.secret })).status === 200, 'that room again');
});

it('answers that nobody reads are bounded too: past the room of their project a repeat is 503, until they are read; others have theirs', async () => {
  const roomy = await createTestApp({ databaseUrl: app.databaseUrl, config: { ...LIMITS, maxBytesInFlight: 16_000_000 } });
  const [{ secret }, other] = [await buildCaller(), await buildCaller()];
  upstream.answer = (call) => call.succeed({ answer: 'y'.repeat(1_000_000) });
  const body = { action, params: {}, requestId: randomUUID() }; // as the client writes it, byte for byte
  const again = () => roomy.rest({ secret, service: 'face', body });
  expect(outcomeOf(await again())).toBe('200 ok');
  expect(outcomeOf(await again())).toBe('200 replay');
  const many = requestOf('face', secret, body).repeat(60);
  const socket = write(many, roomy.url);
  await until(async () => {
    socket.write(many); // till the buffers of the connection are full too
    return (await again()).status === 503;
  }, 'the room of the project to be taken');
  expect(outcomeOf(await roomy.rest({ secret: other.secret }))).toBe('200 ok');
  socket.resume();
  await until(async () => (await again()).status === 200, 'that room again');
  await roomy.close();
});

it('a body may take longer to come than a call may wait to be judged', async () => {
  const { secret } = await buildCaller();
  const request = requestOf('demo', secret, { action: 'demo.echo', params: {} });
  const now = performance.now.bind(performance);
  let laterMs = 0;
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => now() + laterMs);
  const socket = write(request.slice(0, -5));
  let answer = '';
  socket.on('data', (chunk) => (answer += String(chunk)));
  await until(() => socket.bytesWritten >= request.length - 5, 'all but the end to be sent');
  expect(outcomeOf(await app.rest({ secret }))).toBe('200 ok'); // by then the server has seen its head
  laterMs = 6_000;
  socket.write(request.slice(-5));
  await until(() => answer.includes('\r\n\r\n'), 'an answer');
  clock.mockRestore();
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
});
