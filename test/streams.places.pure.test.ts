import { connect } from 'node:net';
import WebSocket from 'ws';
import { MAX_STREAM_CONNECTIONS_EACH } from '../src/graphql-server/streams/register';
import { ApiKey } from '../src/keys/key.entity';
import { RequestLog } from '../src/requests/request-log.entity';
import { createTestApp, type TestApp } from './support/app';
import { ORIGIN, buildKey, buildProject, buildWorkspace } from './support/factories';
import { recognised } from './support/recognised';
import { followBySse, followByWebSocket, socketUrl, untilOpen, type Followed } from './support/streams';
import { until } from './support/until';

jest.setTimeout(120_000); // other test files use the processors too

// The connections and points that subscriptions may use, and their release. The kind of database does not matter here.

let app: TestApp;
const open: Followed[] = [];

beforeAll(async () => {
  app = await createTestApp();
  app.sealer.start();
});
afterEach(() => open.splice(0).forEach((stream) => stream.stop()));
afterAll(() => app.close());

const BUDGETS = 'subscription ($workspaceId: ID!) { budgetChanged(workspaceId: $workspaceId) { newestEntryId } }';

const follow = (query: string, variables: Record<string, unknown>, credential = app.rootKey): Followed => {
  const stream = followBySse({ url: app.url, credential, query, variables });
  open.push(stream);
  return stream;
};

/** A subscription request as raw HTTP. */
function requestOf(secret: string, workspaceId: string): string {
  const body = JSON.stringify({ query: BUDGETS, variables: { workspaceId } });
  const headers = ['Host: x', 'Content-Type: application/json', 'Accept: text/event-stream', `X-Api-Key: ${secret}`];
  return ['POST /graphql/stream HTTP/1.1', ...headers, `Content-Length: ${body.length}`, '', body].join('\r\n');
}

const connectionsOf = ({ server }: TestApp): Promise<number> =>
  new Promise((resolve, reject) => server.server.getConnections((error, count) => (error ? reject(error) : resolve(count))));

it('a client that disconnects before authentication gives its place back', async () => {
  const workspace = await buildWorkspace(app);
  const { secret } = await buildKey(app, { workspace, permissions: ['read.wallet'] });
  const request = requestOf(secret, workspace.id);
  const bySecret = app.authenticator.bySecret.bind(app.authenticator);
  const before = await connectionsOf(app);
  let asked = 0;
  const slow = jest.spyOn(app.authenticator, 'bySecret').mockImplementation(async (...given) => {
    asked += 1;
    await until(async () => (await connectionsOf(app)) <= before, 'all clients to disconnect');
    return bySecret(...given);
  });
  // More than the places of one owner
  const sockets = Array.from({ length: 40 }, () => connect(Number(new URL(app.url).port), '127.0.0.1'));
  for (const socket of sockets) socket.on('error', () => undefined).write(request);
  await until(() => asked === sockets.length, 'all authentications to begin');
  for (const socket of sockets) socket.destroy();
  await Promise.all(slow.mock.results.map(({ value }) => value as Promise<unknown>));
  slow.mockRestore();
  await until(async () => {
    const stream = follow(BUDGETS, { workspaceId: workspace.id }, secret);
    await until(() => stream.events.length > 0 || stream.ended !== undefined, 'a stream to begin, or be refused');
    return stream.events.length > 0;
  }, 'a place');
});

it('pipelined streams of one connection give their places back when the client disconnects', async () => {
  const workspace = await buildWorkspace(app);
  const { secret } = await buildKey(app, { workspace, permissions: ['read.wallet'] });
  const request = requestOf(secret, workspace.id);
  const begins = async () => {
    const stream = followBySse({ url: app.url, credential: secret, query: BUDGETS, variables: { workspaceId: workspace.id } });
    await until(() => stream.events.length > 0 || stream.ended !== undefined, 'a stream to begin, or be refused');
    stream.stop();
    return stream.events.length > 0;
  };
  const sockets = Array.from({ length: MAX_STREAM_CONNECTIONS_EACH / 2 }, () => connect(Number(new URL(app.url).port), '127.0.0.1'));
  open.push({ stop: () => sockets.forEach((socket) => socket.destroy()) } as unknown as Followed);
  await recognised(app, MAX_STREAM_CONNECTIONS_EACH, () =>
    sockets.forEach((socket) => socket.on('error', () => undefined).write(request + request)),
  );
  await until(async () => !(await begins()), 'all places to be taken');
  for (const socket of sockets) socket.destroy();
  await until(begins, 'a place');
  const again = Array.from({ length: MAX_STREAM_CONNECTIONS_EACH / 2 + 1 }, () => follow(BUDGETS, { workspaceId: workspace.id }, secret));
  await until(() => again.every(({ events, ended }) => events.length > 0 || ended !== undefined), 'each to begin, or be refused');
  expect(again.filter(({ ended }) => ended !== undefined)).toEqual([]); // more than the streams that were first in their connections
});

it('an event costs as much as a query for the same fields, and waits until there are enough points', async () => {
  const workspace = await buildWorkspace(app);
  const { key, secret, project } = await buildKey(app, { workspace, permissions: ['read.keys'] });
  await app.database.transaction((tx) =>
    tx.insert(
      ApiKey,
      Array.from({ length: 100 }, (_, index) => ({ ...key, id: `key_dear${String(index).padStart(3, '0')}` })),
    ),
  );
  // 8,080 of 20,000 points
  const lists = Array.from({ length: 80 }, (_, index) => `k${index}: keys(first: 100) { nodes { id } }`).join(' ');
  const began = performance.now();
  const stream = follow(
    `subscription ($id: ID!) { keyChanged(workspaceId: $id) { action key { project { ${lists} } } } }`,
    { id: workspace.id },
    secret,
  );
  await untilOpen(stream, () => app.services.keys.update(ORIGIN, { id: key.id, name: `Name ${Math.random()}` }));
  expect(stream.events[0].keyChanged.key.project.k79.nodes).toHaveLength(100);
  const { errors } = await app.graphql(`query ($id: ID!) { project(id: $id) { ${lists} } }`, { id: project.id }, secret);
  expect(errors?.map(({ extensions }) => extensions.code)).toEqual(['RATE_LIMITED']); // a query uses the same points
  await app.services.keys.update(ORIGIN, { id: key.id, name: 'Another' });
  await stream.arrived(2);
  expect(performance.now() - began).toBeGreaterThan(4_000); // opening the stream costs points too
  expect(stream.errors).toEqual([]);
});

it('an address with too many unauthenticated WebSockets is refused more; authenticated clients still connect', async () => {
  const silent = Array.from(
    { length: 300 },
    () => new WebSocket(socketUrl(app.url), 'graphql-transport-ws', { localAddress: '127.0.0.2' }),
  );
  const codes: number[] = [];
  for (const socket of silent) socket.on('error', () => undefined).on('close', (code) => codes.push(code));
  await until(() => codes.filter((code) => code === 1013).length >= 200, 'most of them to be refused');
  const workspace = await buildWorkspace(app);
  const stream = followByWebSocket({ url: app.url, credential: app.rootKey, query: BUDGETS, variables: { workspaceId: workspace.id } });
  await buildProject(app, { workspace });
  await stream.arrived(1);
  expect(stream.ended).toBeUndefined();
  stream.stop();
  for (const socket of silent) socket.terminate();
});

it('a reader that does not read is disconnected, and nothing is buffered for it', async () => {
  const node = await createTestApp({ databaseUrl: app.databaseUrl }); // has only these two connections
  const workspace = await buildWorkspace(app);
  const { secret } = await buildKey(app, { workspace });
  const wide = Array.from({ length: 90 }, (_, index) => `a${index}: userAgent`).join(' ');
  const query = `subscription { requestLogged(workspaceId: "${workspace.id}") { requestLog { ${wide} } } }`;

  const { hostname, port } = new URL(node.url);
  const events = connect(Number(port), hostname).on('error', () => undefined);
  const socket = new WebSocket(socketUrl(node.url), ['graphql-transport-ws'], { headers: { 'x-api-key': app.rootKey } }).on(
    'error',
    () => undefined,
  );
  try {
    events.write(
      `GET /graphql/stream?query=${encodeURIComponent(query)} HTTP/1.1\r\n` +
        `Host: x\r\nAccept: text/event-stream\r\nX-Api-Key: ${app.rootKey}\r\n\r\n`,
    );
    socket.on('open', () => socket.send('{"type":"connection_init"}'));
    await new Promise((resolve) => socket.once('message', resolve));
    socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query } }));
    const read = { events: '', socket: '' };
    events.on('data', (data) => (read.events += data.toString()));
    socket.on('message', (data: Buffer) => (read.socket += data.toString()));
    await until(
      async () => (await app.rest({ secret }), Object.values(read).every((text) => text.includes('a89'))),
      'both to be told of a call',
    );
    expect(Object.values(read).join()).not.toContain('"errors"');
    events.pause();
    socket.pause();

    const template = await app.database.reader.findOneByOrFail(RequestLog, { workspaceId: workspace.id });
    const userAgent = 'x'.repeat(255);
    for (let page = 0; page < 10; page += 1) {
      // 2,000 events of 25,000 bytes: much more than socket buffers hold
      const rows = Array.from({ length: 200 }, (_, index) => ({
        ...template,
        id: `log_wide${page}_${index}`,
        userAgent,
        createdAt: new Date(template.createdAt.getTime() + 30_000 + page),
      }));
      await app.database.transaction((tx) => tx.insert(RequestLog, rows));
    }
    const began = performance.now();
    await until(async () => (await connectionsOf(node)) === 0, 'both to be cut off');
    expect(performance.now() - began).toBeLessThan(20_000); // less than the 24 seconds after which missing pongs would end it
  } finally {
    events.destroy();
    socket.terminate();
    await node.close();
  }
});
