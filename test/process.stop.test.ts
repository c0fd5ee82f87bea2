import { once } from 'node:events';
import { connect } from 'node:net';
import { createTestApp, SECRETS, type TestApp } from './support/app';
import { accountOf, faultsOf } from './support/books';
import { startCallers, type Callers } from './support/callers';
import { buildAction, buildKey } from './support/factories';
import { startProcess } from './support/process';
import { buildSlowAction } from './support/slow-action';
import { until } from './support/until';
import { startUpstream } from './support/upstream';

jest.setTimeout(90_000); // other test files use the processors too

// The effect of SIGTERM on dist/src/main.js as a real process.

let app: TestApp;
let callers: Callers;

beforeAll(async () => {
  app = await createTestApp();
  callers = startCallers(8);
});
afterAll(async () => {
  await callers.close();
  await app.close();
});

async function isRefused(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}

describe('a stop', () => {
  async function inFlight(env: Record<string, string> = {}) {
    const { upstream, secret, project, call } = await buildSlowAction(app, callers);
    const server = await startProcess({ env: { DATABASE_URL: app.databaseUrl, ...SECRETS, ...env } });
    const url = await server.listening;
    const running = call(url);
    await upstream.arrived(1);
    return { upstream, secret, project, server, url, running };
  }

  it('finishes and bills the call in flight, accepts no new connection, closes idle ones at once, and ends with 0', async () => {
    const { upstream, secret, project, server, url, running } = await inFlight();
    const { hostname, port } = new URL(url);
    const idle = connect(Number(port), hostname);
    const silent = connect(Number(port), hostname); // browsers open connections in advance
    await once(silent, 'connect');
    const silentClosed = once(silent, 'close');
    idle.write(`GET /healthz HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
    await new Promise((resolve) => idle.once('data', resolve));
    const idleClosed = new Promise((resolve) => idle.once('close', resolve));
    server.kill('SIGTERM');
    await Promise.all([idleClosed, silentClosed]);
    await until(() => isRefused(Number(port), hostname), 'new connections to be refused');
    expect((await accountOf(app, project.id)).holds).toBe(1);
    upstream.release();
    expect(await running).toMatchObject({ status: 200, body: { ok: true } });
    expect(await server.ended).toMatchObject({ code: 0, signal: null });
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 999_000, held: 0, holds: 0, bills: 1 });
    expect((await app.rest({ secret })).status).toBe(200);
    expect(await faultsOf(app)).toEqual([]);
  });

  it('finishes and bills a call after its caller hung up', async () => {
    const upstream = await startUpstream();
    const { name: action } = await buildAction(app, { upstreamUrl: upstream.url });
    const { secret, project } = await buildKey(app, { permissions: ['face.*'] });
    const server = await startProcess({ env: { DATABASE_URL: app.databaseUrl, ...SECRETS } });
    const hangUp = new AbortController();
    const call = fetch(`${await server.listening}/v1/face/execute`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': secret },
      body: JSON.stringify({ action, params: {} }),
      signal: hangUp.signal,
    });
    await upstream.arrived(1);
    hangUp.abort();
    await expect(call).rejects.toThrow();
    server.kill('SIGTERM');
    upstream.release();
    expect(await server.ended).toMatchObject({ code: 0, signal: null });
    expect(await accountOf(app, project.id)).toMatchObject({ held: 0, holds: 0, bills: 1 });
  });

  it('waits at most SHUTDOWN_TIMEOUT_MS; a sweep later ends the remaining calls', async () => {
    const { project, server, running } = await inFlight({ SHUTDOWN_TIMEOUT_MS: '300' });
    server.kill('SIGTERM');
    expect(await server.ended).toMatchObject({ code: 0, signal: null });
    expect(await running).toMatchObject({ status: 0 });
    expect(await accountOf(app, project.id)).toMatchObject({ held: 1_000, holds: 1 });
    app.travel(61_000);
    await app.sweep.once();
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_000_000, held: 0, holds: 0, bills: 0 });
    expect(await faultsOf(app)).toEqual([]);
  });
});
