import { connect, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import Fastify from 'fastify';
import { UnreadAnswers } from '../src/rest/unread-answers';
import { createTestApp } from './support/app';
import { buildKey } from './support/factories';
import { accountOf } from './support/books';
import { until } from './support/until';

const LARGE = 9_000_000; // far more than the buffers of a connection

/** Writes a request and collects the answer. Reads nothing before `resume`. */
function ask(port: string | number, request: string) {
  const socket = connect(Number(port), '127.0.0.1').on('error', () => undefined);
  const asked = { socket, answer: '', isClosed: false };
  socket.on('data', (chunk) => (asked.answer += chunk.toString('latin1'))).on('close', () => (asked.isClosed = true));
  socket.pause();
  socket.write(request);
  return asked;
}

const post = (secret: string, length: number, body = '') =>
  `POST /v1/demo/execute HTTP/1.1\r\nhost: x\r\nx-api-key: ${secret}\r\n` +
  `content-type: application/json\r\ncontent-length: ${length}\r\n\r\n${body}`;

describe('a stop', () => {
  it('waits for an answer that is being read, so that a billed answer arrives', async () => {
    const app = await createTestApp();
    const { secret, project } = await buildKey(app);
    const body = JSON.stringify({ action: 'demo.echo', params: { text: 'x'.repeat(LARGE) } });
    const { port } = new URL(app.url);
    const asked = ask(port, post(secret, body.length, body));
    await until(async () => (await accountOf(app, project.id)).bills === 1, 'the call to be billed');
    const closing = app.close();
    asked.socket.resume();
    await closing;
    await until(() => asked.isClosed, 'the end of the connection');
    expect(asked.answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(asked.answer.length).toBeGreaterThan(LARGE);
  });

  it('ends exports first, so that they do not wait for clients that read nothing', async () => {
    const app = await createTestApp();
    const { secret, project } = await buildKey(app);
    const body = JSON.stringify({ action: 'demo.echo', params: { text: 'x'.repeat(LARGE) } });
    const { port } = new URL(app.url);
    const following = ask(port, `GET /v1/audit/export?follow=true HTTP/1.1\r\nhost: x\r\nx-api-key: ${app.rootKey}\r\n\r\n`);
    following.socket.resume();
    await until(() => following.answer.startsWith('HTTP/1.1 200 '), 'the export');
    const asked = ask(port, post(secret, body.length, body));
    await until(async () => (await accountOf(app, project.id)).bills === 1, 'the call to be billed');
    const closing = app.close();
    await until(() => following.isClosed || following.answer.endsWith('0\r\n\r\n'), 'the end of the export');
    expect(asked.isClosed).toBe(false);
    asked.socket.destroy();
    await closing;
  });

  it('does not wait for the body of a request that is already answered', async () => {
    const app = await createTestApp();
    const asked = ask(new URL(app.url).port, post('nonsense', 1_000));
    asked.socket.resume();
    await until(() => asked.answer.startsWith('HTTP/1.1 401 '), 'the refusal');
    await app.close();
    await until(() => asked.isClosed, 'the end of the connection');
  });
});

describe('a client that reads nothing', () => {
  const STALL_MS = 300;

  async function serve(stallMs = STALL_MS) {
    const app = Fastify();
    const answers = new UnreadAnswers(app, stallMs);
    app.get('/large', async () => 'x'.repeat(LARGE));
    app.get('/slow', async () => {
      await wait(STALL_MS * 4);
      return 'done';
    });
    await app.register(async (last) => answers.waitOnStop(last, STALL_MS));
    const sockets: Socket[] = [];
    app.server.on('connection', (socket) => sockets.push(socket));
    await app.listen({ host: '127.0.0.1', port: 0 });
    return {
      app,
      sockets,
      port: (app.server.address() as AddressInfo).port,
      areCut: () => sockets.length > 0 && sockets.every(({ destroyed }) => destroyed),
    };
  }
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;

  it('of a large answer is disconnected', async () => {
    const { app, port, areCut } = await serve();
    ask(port, get('/large'));
    await until(areCut, 'the server to cut it off');
    await app.close();
  });

  it('of the second of two answers is disconnected too', async () => {
    const { app, port, areCut } = await serve();
    const asked = ask(port, get('/large') + get('/large'));
    asked.socket.on('data', () => asked.answer.length > LARGE + 1_000 && asked.socket.pause());
    asked.socket.resume();
    await until(areCut, 'the server to cut it off');
    expect(asked.answer.length).toBeLessThan(2 * LARGE);
    await app.close();
  });

  it('is disconnected sooner during a stop', async () => {
    const { app, port, sockets } = await serve(60_000);
    const asked = ask(port, get('/large').repeat(3));
    await until(() => (sockets[0]?.bytesWritten ?? 0) > LARGE, 'the answers');
    await app.close();
    asked.socket.resume();
    await until(() => asked.isClosed, 'the end of the connection');
  });

  it('is not disconnected if it has read one answer and waits for a slow one behind it', async () => {
    const { app, port } = await serve();
    const asked = ask(port, get('/large') + get('/slow'));
    asked.socket.resume();
    await until(() => asked.answer.endsWith('done') || asked.isClosed, 'the second answer');
    expect(asked.isClosed).toBe(false);
    asked.socket.destroy();
    await app.close();
  });

  it('can request many answers at once without a warning of Node', async () => {
    const { app, port, sockets } = await serve();
    const asked = ask(port, get('/large').repeat(20));
    await until(() => (sockets[0]?.bytesWritten ?? 0) > LARGE, 'the answers');
    const [socket] = sockets as [Socket];
    const most = socket.getMaxListeners();
    expect(socket.listenerCount('close')).toBeLessThanOrEqual(most === 0 ? Infinity : most);
    asked.socket.destroy();
    await app.close();
  });

  it('is not assumed without a connection: an injected request gets its whole answer', async () => {
    const { app } = await serve();
    const { statusCode, body } = await app.inject('/large');
    expect([statusCode, body.length]).toEqual([200, LARGE]);
    await app.close();
  });
});
