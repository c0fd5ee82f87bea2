import { connect } from 'node:net';
import WebSocket from 'ws';
import { trailCursor } from '../src/audit/trail.cursor';
import { TrailFeed } from '../src/audit/trail.feed';
import { MAX_STREAM_CONNECTIONS_EACH } from '../src/graphql-server/streams/register';
import { STREAM_PAGE, Stream } from '../src/graphql-server/streams/stream';
import { ApiKey } from '../src/keys/key.entity';
import { RequestLog, RequestOutcome } from '../src/requests/request-log.entity';
import { LogFeed, MAX_PASSED_CALLS, type Logged } from '../src/requests/request-log.feed';
import { BudgetFeed } from '../src/wallet/budget.feed';
import { explain } from './scale/explain';
import { createTestApp, type TestApp } from './support/app';
import { callRow, insertBulk } from './support/bulk';
import { freshDatabaseUrl } from './support/database';
import { ORIGIN, buildKey, buildProject, buildWorkspace } from './support/factories';
import { prepareOutage } from './support/outage';
import { recognised } from './support/recognised';
import { WAYS, followBySse, followByWebSocket, socketUrl, untilOpen, type Follow, type Followed } from './support/streams';
import { statementsOf } from './support/statements';
import { until } from './support/until';

jest.setTimeout(120_000); // other test files use the processors too

// The resources that subscriptions may use, and their release.

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

describe.each(WAYS)('if the database is unavailable, over %s', (way, followed) => {
  const KINDS = {
    requestLogged: 'subscription ($id: ID!) { requestLogged(workspaceId: $id) { cursor } }',
    budgetChanged: 'subscription ($id: ID!) { budgetChanged(workspaceId: $id) { newestEntryId } }',
    keyChanged: 'subscription ($id: ID!) { keyChanged(workspaceId: $id) { cursor } }',
    auditEventAdded: 'subscription ($id: ID!) { auditEventAdded(workspaceId: $id) { cursor } }',
  };
  /** Opens a stream of each kind and waits for an event on each. `goesOn` waits for another event on each. */
  const followAll = async (node: TestApp) => {
    const workspace = await buildWorkspace(node);
    const { key, secret } = await buildKey(node, { workspace });
    const streams = Object.values(KINDS).map((query) => {
      const stream = followed({ url: node.url, credential: node.rootKey, query, variables: { id: workspace.id } } satisfies Follow);
      open.push(stream);
      return stream;
    });
    const stir = async () => {
      await node.rest({ secret });
      await node.services.keys.update(ORIGIN, { id: key.id, name: `Name ${Math.random()}` });
    };
    const goesOn = async () => {
      const before = streams.map(({ events }) => events.length);
      await until(async () => {
        await stir();
        return streams.every(({ events, ended }, index) => ended !== undefined || events.length > (before[index] as number));
      }, 'each to tell of something');
    };
    await goesOn();
    return { streams, goesOn };
  };

  it.each(['PROTOCOL_CONNECTION_LOST', 'SQLITE_BUSY'])('for a moment (%s), each kind of stream continues', async (code) => {
    const { streams, goesOn } = await followAll(app);
    const failing = [BudgetFeed, LogFeed, TrailFeed].map(({ prototype }) =>
      jest.spyOn(prototype, 'next').mockRejectedValueOnce(Object.assign(new Error('away'), { code })),
    );
    await until(() => failing.every(({ mock }) => mock.calls.length > 3), 'each to ask again');
    await goesOn();
    failing.forEach((spy) => spy.mockRestore());
    expect(streams.map(({ ended, errors }) => [ended, errors])).toEqual(streams.map(() => [undefined, []]));
  });

  it('for longer, each kind of stream ends with a temporary error; SQLite is still readable', async () => {
    const outage = await prepareOutage(await freshDatabaseUrl());
    const node = await createTestApp({ databaseUrl: outage.url });
    node.sealer.start();
    const { streams } = await followAll(node);
    await outage.begin();
    if (TEST_DATABASE === 'mysql') {
      await Promise.all(streams.map((stream) => stream.over()));
      const end =
        way === 'SSE'
          ? { ended: {}, errors: [expect.objectContaining({ code: 'SERVICE_UNAVAILABLE' })] }
          : { ended: expect.objectContaining({ code: 1013 }), errors: [] };
      expect(streams).toEqual(streams.map(() => expect.objectContaining(end)));
    }
    await outage.end();
    await node.close();
  });

  it('a stream that reads for too long ends with QUERY_TOO_COMPLEX', async () => {
    const { streams } = await followAll(app);
    const failing = jest
      .spyOn(BudgetFeed.prototype, 'next')
      .mockRejectedValueOnce(Object.assign(new Error('interrupted'), { code: 'SQLITE_INTERRUPT' }));
    await until(() => streams.some(({ ended }) => ended !== undefined), 'the end of one');
    failing.mockRestore();
    expect(streams.flatMap(({ errors }) => errors)).toEqual([
      expect.objectContaining({ code: 'QUERY_TOO_COMPLEX', message: expect.stringContaining('took too long') }),
    ]);
  });
});

it('requestLogged skips filtered calls, reads a bounded number of them at a time, and misses no matching call', async () => {
  const workspace = await buildWorkspace(app);
  const { key, project } = await buildKey(app, { workspace });
  const options = { scope: { workspaceId: workspace.id }, filter: { outcome: [RequestOutcome.FAILED] } };
  const begin = (after?: string) => LogFeed.open(app.database, { ...options, after });
  const fromMs = (await app.database.now()).getTime();
  const rowOf = (index: number) => callRow({ workspaceId: workspace.id, projectId: project.id, keyId: key.id }, fromMs, index);
  const addFailed = (index: number, id: string) =>
    insertBulk(app.database, 'request_logs', 1, () => ({ ...rowOf(index), id, outcome: 'FAILED' }));
  const idsOf = (logged: Logged[]) => logged.map(({ requestLog }) => requestLog.id);
  const told = async (feed: LogFeed, polls: number) => {
    const all: Logged[] = [];
    for (let poll = 0; poll < polls; poll += 1) all.push(...(await feed.next(200)).events);
    return all;
  };

  const feed = await begin();
  const calls = 2 * MAX_PASSED_CALLS + 2_000;
  await addFailed(0, 'log_first');
  await insertBulk(app.database, 'request_logs', calls, (index) => rowOf(index + 1));
  const first = await told(feed, 3);
  expect(idsOf(first)).toEqual(['log_first']);

  await addFailed(calls + 1, 'log_last');
  let last: Logged[] = [];
  const statements = (await statementsOf(app, async () => (last = await told(feed, 1)))).filter(({ sql }) => sql.includes('request_logs'));
  expect(idsOf(last)).toEqual(['log_last']);
  const again = await begin(first[0]?.cursor);
  expect(idsOf(await told(again, 3))).toEqual(['log_last']);
  await addFailed(calls - 100, 'log_late'); // among the skipped calls
  for (const one of [feed, again, await begin(last[0]?.cursor)]) expect(idsOf(await told(one, 1))).toEqual(['log_late']);

  for (const { sql, parameters } of statements) {
    const times = [...sql.split(/\D+/), ...parameters].map(Number).filter((time) => time > fromMs - 60_000 && time < fromMs * 2);
    expect(calls - (Math.min(...times) - fromMs) / 10).toBeLessThan(1_000); // calls that it can have read
    expect(times).not.toEqual([]);
  }
  // At the end, because SQLite keeps this snapshot
  for (const statement of statements) expect((await explain(app, statement)).accesses.filter(({ isScan }) => isScan)).toEqual([]);
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

it('auditEventAdded stops reading the trail when its reader has disconnected', async () => {
  const { id } = await buildWorkspace(app);
  const sealed = async () =>
    Number((await app.database.reader.query('SELECT COUNT(*) AS sealed FROM audit_seals WHERE chain_id = ?', [id]))[0].sealed);
  await until(async () => (await sealed()) === 1, 'the first event to be sealed');
  const [seal] = await app.database.reader.query('SELECT * FROM audit_seals WHERE chain_id = ?', [id]);
  const pages = 200;
  await insertBulk(app.database, 'audit_seals', pages * STREAM_PAGE, (index) => ({
    ...seal,
    position: Number(seal.position) + 1_000_000 + index,
    sequence: 1_000 + index,
    event_id: `evt_trail${index}`,
  })); // the events of these seals do not exist
  const next = jest.spyOn(TrailFeed.prototype, 'next');
  const end = jest.spyOn(Stream.prototype, 'end');
  const stream = follow(
    'subscription ($id: ID!, $after: String) ' +
      '{ auditEventAdded(workspaceId: $id, after: $after, filter: { action: ["never"] }) { cursor } }',
    { id, after: trailCursor({ position: Number(seal.position), hash: seal.hash }) },
  );
  const statements = await statementsOf(app, async () => {
    await until(() => next.mock.calls.length > 0, 'it to begin');
    stream.stop();
    await until(() => end.mock.calls.length > 0, 'it to end');
    await next.mock.results.at(-1)?.value;
  });
  next.mockRestore();
  end.mockRestore();
  expect(statements.filter(({ sql }) => sql.includes('audit_seals')).length).toBeLessThan(pages / 2);
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
