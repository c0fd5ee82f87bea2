import WebSocket from 'ws';
import { MAX_STREAMS_PER_CONNECTION } from '../src/graphql-server/streams/connection';
import { INIT_WAIT_MS, MAX_MESSAGE_BYTES } from '../src/graphql-server/streams/websocket';
import type { TestApp } from './support/app';
import { buildKey, buildProject, buildWorkspace } from './support/factories';
import { send } from './support/http';
import { closeNodes, createNodes } from './support/nodes';
import { buildPerson } from './support/people';
import { BUDGETS, followByWebSocket, socketUrl, type Followed } from './support/streams';
import { until } from './support/until';

jest.setTimeout(120_000); // other test files use the processors too

// Authentication, the protocol and the limits of WebSockets. With SQLite one server plays both nodes.

let a: TestApp;
let b: TestApp;
const open: Followed[] = [];

beforeAll(async () => {
  [a, b] = await createNodes({ busy: true });
});
afterEach(() => open.splice(0).forEach((stream) => stream.stop()));
afterAll(() => closeNodes(b, a));

describe('a WebSocket', () => {
  const opened = async (headers: Record<string, string> = {}, protocols = ['graphql-transport-ws']) => {
    const socket = new WebSocket(socketUrl(a.url), protocols, { headers });
    const messages: { type: string; id?: string; payload?: { code?: string; extensions?: { code: string } }[] }[] = [];
    const said: { closed?: { code: number; reason: string } } = {};
    socket.on('message', (data: Buffer) => messages.push(JSON.parse(data.toString()) as (typeof messages)[number]));
    socket.on('close', (code, reason) => (said.closed = { code, reason: reason.toString() }));
    socket.on('error', () => undefined);
    await until(() => socket.readyState !== WebSocket.CONNECTING, 'a handshake');
    const closed = async () => (
      await until(() => said.closed !== undefined, 'a socket to close'),
      said.closed as { code: number; reason: string }
    );
    open.push({ stop: () => socket.terminate() } as unknown as Followed);
    return { socket, messages, closed, say: (message: object) => socket.send(JSON.stringify(message)) };
  };

  it('accepts the credentials that a browser can send, and refuses wrong ones', async () => {
    const { id: workspaceId } = await buildWorkspace(a);
    await buildProject(a, { workspace: { id: workspaceId } as never });
    for (const params of [{ apiKey: a.rootKey }, { authorization: `Bearer ${a.rootKey}` }]) {
      const stream = followByWebSocket({ url: a.url, credential: null, query: BUDGETS, variables: { workspaceId } }, params);
      open.push(stream);
      await stream.arrived(1);
    }
    for (const params of [undefined, {}, { apiKey: 'wrong' }, { apiKey: 7 }]) {
      const { say, closed } = await opened();
      say({ type: 'connection_init', ...(params && { payload: params }) });
      expect(await closed()).toEqual({ code: 4401, reason: 'Unauthorized' });
    }
  });

  it('with the cookie of a person is refused for a page of another site, and accepted for a page of this server', async () => {
    const { cookie } = await buildPerson(a);
    for (const origin of ['https://evil.example', 'null', `${a.url}0`]) {
      const { say, closed } = await opened({ ...cookie, origin });
      say({ type: 'connection_init' });
      expect(await closed()).toEqual({ code: 4403, reason: 'Forbidden' });
    }
    const { say, messages } = await opened({ ...cookie, origin: a.url });
    say({ type: 'connection_init' });
    await until(() => messages.length > 0, 'an answer');
    expect(messages).toEqual([{ type: 'connection_ack' }]);
  });

  it('of a person is closed when the session ends on another node', async () => {
    const { cookie } = await buildPerson(a);
    const { say, messages, closed } = await opened(cookie as Record<string, string>);
    say({ type: 'connection_init' });
    await until(() => messages.length > 0, 'an answer');
    await b.graphql('mutation { signOut { session { id } } }', {}, cookie);
    expect(await closed()).toEqual({ code: 4401, reason: 'Unauthorized' });
  });

  it('is closed with a specific code if a message breaks the protocol', async () => {
    const credential = { 'x-api-key': a.rootKey };
    const codeAfter = async (act: (socket: Awaited<ReturnType<typeof opened>>) => unknown, headers = credential, protocols?: string[]) => {
      const socket = await opened(headers, protocols);
      await act(socket);
      return (await socket.closed()).code;
    };
    const init = ({ say }: Awaited<ReturnType<typeof opened>>) => say({ type: 'connection_init' });
    expect(await codeAfter(({ socket }) => socket.send('{'))).toBe(4400);
    expect(await codeAfter(({ say }) => say({ type: 'nonsense' }))).toBe(4400);
    expect(await codeAfter(({ say }) => say({ type: 'subscribe', id: '1', payload: { query: BUDGETS } }))).toBe(4401);
    expect(await codeAfter((socket) => (init(socket), init(socket)))).toBe(4429);
    expect(await codeAfter(({ socket }) => socket.send('x'.repeat(MAX_MESSAGE_BYTES + 1)))).toBe(1009);
    expect(await codeAfter(() => undefined)).toBe(4408); // not authenticated within INIT_WAIT_MS
    expect(INIT_WAIT_MS).toBeLessThan(10_000);
  });

  it('has at most MAX_STREAMS_PER_CONNECTION subscriptions', async () => {
    const { id: workspaceId } = await buildWorkspace(a);
    const { say, messages } = await opened({ 'x-api-key': a.rootKey });
    say({ type: 'connection_init' });
    await until(() => messages.length > 0, 'an answer');
    for (let id = 0; id <= MAX_STREAMS_PER_CONNECTION; id += 1)
      say({ type: 'subscribe', id: String(id), payload: { query: BUDGETS, variables: { workspaceId } } });
    await until(() => messages.some(({ type }) => type === 'complete'), 'one to be refused');
    expect(JSON.stringify(messages.slice(1))).toContain('SERVICE_UNAVAILABLE');
    expect(messages.filter(({ type }) => type === 'complete')).toEqual([{ type: 'complete', id: String(MAX_STREAMS_PER_CONNECTION) }]);
    say({ type: 'complete', id: '0' }); // gives its place back
    say({ type: 'subscribe', id: 'next', payload: { query: BUDGETS, variables: { workspaceId: (await buildProject(a)).workspaceId } } });
    await until(() => messages.some(({ id, type }) => id === 'next' && type === 'next'), 'the next one to begin');
  });
});

describe('a request that offers another protocol', () => {
  it('is served as plain HTTP', async () => {
    const { secret } = await buildKey(a);
    const headers = {
      connection: 'Upgrade, HTTP2-Settings',
      upgrade: 'h2c',
      'http2-settings': 'AAMAAABkAAQAAP__',
      'content-type': 'application/json',
      'x-api-key': secret,
    };
    const body = JSON.stringify({ action: 'demo.echo', params: { text: 'x'.repeat(100_000) } });
    expect(await send(a.url, { method: 'POST', path: '/v1/demo/execute', headers, body })).toMatchObject({
      status: 200,
      body: { ok: true },
    });
    expect(
      await send(a.url, { method: 'POST', path: '/v1/demo/execute', headers: { ...headers, upgrade: 'websocket' }, body }),
    ).toMatchObject({ status: 200, body: { ok: true } });
    expect(await send(a.url, { path: '/healthz', headers: { connection: 'upgrade', upgrade: 'websocket' } })).toMatchObject({
      status: 200,
    });
  });
});
