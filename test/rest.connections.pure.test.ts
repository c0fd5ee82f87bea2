import { once } from 'node:events';
import type { Socket } from 'node:net';
import { createTestApp, type TestApp } from './support/app';
import { buildAction, buildKey } from './support/factories';
import { sendRaw } from './support/raw';
import { startUpstream, type Upstream } from './support/upstream';
import { until } from './support/until';

// One connection, whatever is sent on it: it is answered, and stops no other one.

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
  const head = [`POST /v1/face/execute HTTP/1.1`, 'host: a', `x-api-key: ${secret}`, 'content-type: application/json', `content-length: ${text.length}`];
  return [...head, ...headers, '', text].join('\r\n');
};

/** The server's end of the next connection. */
async function accepted(): Promise<Socket> {
  const [socket] = (await once(app.server.server, 'connection')) as [Socket];
  return socket;
}

describe('requests that offer another protocol', () => {
  it('are answered in their order, after what was sent before them, on one connection', async () => {
    const { name: action } = await buildAction(app, { upstreamUrl: upstream.url });
    const { secret } = await buildKey(app, { permissions: ['face.*'] });
    const offered = ['connection: upgrade', 'upgrade: h2c'];
    const bytes = call(secret, { action, params: {} }) + offer('/healthz') + offer('/nothing') + call('nonsense', {}, ...offered) + get('/healthz');
    const connection = sendRaw(app.url, bytes);
    const slow = await upstream.arrived(upstream.calls.length + 1);
    expect(connection.statuses()).toEqual([]);
    slow.succeed();
    await connection.answers(5);
    expect(connection.statuses()).toEqual([200, 200, 404, 401, 200]);
    connection.socket.destroy();
  });

  it('add no listeners to their connection, however many they are', async () => {
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

  it('end with their connection, also while they wait for an answer before them', async () => {
    const { name: action } = await buildAction(app, { upstreamUrl: upstream.url });
    const { secret } = await buildKey(app, { permissions: ['face.*'] });
    const next = accepted();
    const connection = sendRaw(app.url, call(secret, { action, params: {} }) + offer('/healthz'));
    const socket = await next;
    const slow = await upstream.arrived(upstream.calls.length + 1);
    connection.socket.resetAndDestroy();
    socket.write('x'); // so that the reset is an error here, as a broken write is
    await until(() => socket.closed, 'the server to close it');
    slow.succeed();
    expect((await app.rest({ secret: 'nonsense' })).status).toBe(401);
  });
});

describe('requests that wait on one connection', () => {
  it('are refused past 2,048: Node would read on without end', async () => {
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
