import { createConnection } from 'node:net';
import WebSocket from 'ws';
import { RequestLog } from '../src/requests/request-log.entity';
import { INIT_WAIT_MS, MAX_MESSAGE_BYTES } from '../src/graphql/streams/websocket';
import { MAX_STREAMS_PER_CONNECTION } from '../src/graphql/streams/connection';
import { createTestApp, type TestApp } from './support/app';
import type { Credential } from './support/clients';
import { ORIGIN, buildKey, buildProject, buildServiceAccount, buildWorkspace } from './support/factories';
import { send } from './support/http';
import { closeNodes, createNodes } from './support/nodes';
import { buildPerson } from './support/people';
import { WAYS, followBySse, followByWebSocket, socketUrl, untilOpen, type Follow, type Followed } from './support/streams';
import { until } from './support/until';

jest.setTimeout(120_000); // other test files take the processors too

// Subscriptions, mostly of what happens at another node. SQLite has one server, which then plays both parts.

let a: TestApp;
let b: TestApp;
const open: Followed[] = [];

beforeAll(async () => {
  [a, b] = await createNodes({ busy: true });
  a.sealer.start();
});
afterEach(() => open.splice(0).forEach((stream) => stream.stop()));
afterAll(() => closeNodes(b, a));

const LOGGED = `subscription ($workspaceId: ID!, $filter: RequestLogFilter, $after: String) {
  requestLogged(workspaceId: $workspaceId, filter: $filter, after: $after) { cursor requestLog { id action outcome key { name status } project { id } } }
}`;
const BUDGETS = `subscription ($workspaceId: ID!, $filter: BudgetFilter) {
  budgetChanged(workspaceId: $workspaceId, filter: $filter) { project { id name } budget { balance held available } newestEntryId }
}`;
const KEYS = `subscription ($workspaceId: ID!, $filter: KeyChangeFilter, $after: String) {
  keyChanged(workspaceId: $workspaceId, filter: $filter, after: $after) { cursor action key { id name status } }
}`;
const EVENTS = `subscription ($workspaceId: ID, $filter: AuditEventFilter, $after: String) {
  auditEventAdded(workspaceId: $workspaceId, filter: $filter, after: $after) { cursor auditEvent { id action subjectId sequence } }
}`;

const following = (follow: (request: Follow) => Followed) => (query: string, variables: Record<string, unknown>, credential: Credential = a.rootKey, node = a): Followed => {
  const stream = follow({ url: node.url, credential, query, variables });
  open.push(stream);
  return stream;
};
const bySse = following(followBySse);
const byWebSocket = following((request) => followByWebSocket(request));

const logIds = (stream: Followed): string[] => stream.events.map(({ requestLogged }) => requestLogged.requestLog.id as string);
const rename = (id: string, name: string) => b.services.workspaces.update(ORIGIN, { id, name });

/** How many events a stream opened too late for: the first in the chain is the workspace's own. */
const untold = ({ events }: Followed): number => events[0].auditEventAdded.auditEvent.sequence - 2;

describe.each(WAYS)('over %s', (_way, way) => {
  const follow = following(way);

  it('requestLogged tells each call that a filter lets through once, with what belongs to it', async () => {
    const workspace = await buildWorkspace(a);
    const { key, secret, project } = await buildKey(a, { workspace });
    const other = await buildKey(a, { workspace });
    const stream = follow(LOGGED, { workspaceId: workspace.id, filter: { keyId: [key.id], outcome: ['FAILED', 'SUCCEEDED'] } });
    await untilOpen(stream, () => b.rest({ secret }));
    await b.rest({ secret: other.secret });
    await b.rest({ secret, body: { action: 'demo.fail' } });
    await until(() => stream.events.some(({ requestLogged }) => requestLogged.requestLog.outcome === 'FAILED'), 'the call that failed');
    expect(new Set(logIds(stream)).size).toBe(stream.events.length);
    for (const { requestLogged } of stream.events) expect(requestLogged.requestLog).toMatchObject({ key: { name: 'Key', status: 'ACTIVE' }, project: { id: project.id } });
    expect(stream.errors).toEqual([]);
  });

  it('budgetChanged begins with what is, and tells the newest state of what changes', async () => {
    const workspace = await buildWorkspace(a);
    const { secret, project } = await buildKey(a, { workspace, budget: 10_000 });
    const other = await buildProject(a, { workspace, budget: 5_000 });
    const stream = follow(BUDGETS, { workspaceId: workspace.id });
    await stream.arrived(2);
    const states = Object.fromEntries(stream.events.map(({ budgetChanged }) => [budgetChanged.project.id, budgetChanged.budget.balance]));
    expect(states).toEqual({ [project.id]: 10_000, [other.id]: 5_000 });
    for (let call = 0; call < 3; call += 1) await b.rest({ secret });
    await until(() => stream.events.at(-1).budgetChanged.budget.balance === 7_000 && stream.events.at(-1).budgetChanged.budget.held === 0, 'the newest state');
    expect(stream.events.at(-1).budgetChanged).toMatchObject({ project: { id: project.id }, newestEntryId: expect.stringMatching(/_4$/) });
    const chosen = follow(BUDGETS, { workspaceId: workspace.id, filter: { projectId: [other.id, (await buildProject(a)).id] } });
    await chosen.arrived(1);
    expect(chosen.events).toEqual([expect.objectContaining({ budgetChanged: expect.objectContaining({ project: { id: other.id, name: 'Project' } }) })]);
  });

  it('keyChanged tells what was done to keys, and goes on behind a cursor', async () => {
    const workspace = await buildWorkspace(a);
    const { key } = await buildKey(a, { workspace });
    const first = follow(KEYS, { workspaceId: workspace.id, filter: { keyId: [key.id] } });
    await untilOpen(first, () => b.services.keys.update(ORIGIN, { id: key.id, name: `Name ${Math.random()}` }));
    first.stop();
    await until(async () => Number((await a.database.reader.query('SELECT COUNT(*) AS waiting FROM unsealed_events'))[0].waiting) === 0, 'all to be sealed');
    const { cursor } = first.events.at(-1).keyChanged;
    const seen = first.events.length;
    await b.services.keys.rotate(ORIGIN, { id: key.id });
    await b.services.keys.revoke(ORIGIN, { id: key.id });
    const second = follow(KEYS, { workspaceId: workspace.id, filter: { keyId: [key.id] }, after: cursor }, b.rootKey, b);
    await until(() => second.events.at(-1)?.keyChanged.action === 'key.revoked', 'the revocation');
    expect(second.events.slice(-2).map(({ keyChanged }) => keyChanged.action)).toEqual(['key.rotated', 'key.revoked']);
    expect(second.events.at(-1).keyChanged.key).toMatchObject({ id: key.id, status: 'REVOKED' });
    expect(seen).toBeGreaterThan(0);
  });

  it('auditEventAdded misses and repeats nothing between two readers who hand on a cursor', async () => {
    const workspace = await buildWorkspace(a);
    const scope = { workspaceId: workspace.id, filter: { action: ['workspace.updated'] } };
    const first = follow(EVENTS, scope);
    let name = 0;
    await untilOpen(first, () => rename(workspace.id, `Name ${(name += 1)}`));
    first.stop();
    const before = [...first.events]; // one that is on its way yet may come after the cursor is taken
    const missed = untold(first);
    for (let turn = 0; turn < 5; turn += 1) await rename(workspace.id, `Name ${(name += 1)}`);
    const second = follow(EVENTS, { ...scope, after: before.at(-1).auditEventAdded.cursor }, b.rootKey, b);
    await rename(workspace.id, 'The last');
    await until(() => before.length + second.events.length >= name + 1 - missed, 'every event');
    const told = [...before, ...second.events].map(({ auditEventAdded }) => auditEventAdded.auditEvent.sequence as number);
    expect(told).toEqual(told.map((_, index) => (told[0] as number) + index));
    expect(second.events.length).toBeGreaterThanOrEqual(6);
  });

  it('is refused without a credential, for what is unknown, forbidden or no subscription, and for a cursor of something else', async () => {
    const workspace = await buildWorkspace(a);
    const { secret } = await buildKey(a, { workspace, permissions: ['read.keys'] });
    const foreign = await buildWorkspace(a);
    const codeOf = async (query: string, variables: Record<string, unknown>, credential: Credential = secret) => {
      const stream = follow(query, variables, credential);
      await stream.over();
      expect(stream.events).toEqual([]);
      return stream.errors[0]?.code ?? `${stream.ended?.code ?? stream.ended?.reason}`;
    };
    expect(await codeOf(KEYS, { workspaceId: workspace.id }, null)).toMatch(/4401|UNAUTHENTICATED|Unauthorized/);
    expect(await codeOf(KEYS, { workspaceId: foreign.id })).toBe('NOT_FOUND');
    expect(await codeOf(KEYS, { workspaceId: 'ws_000000000neverWasHere00' }, a.rootKey)).toBe('NOT_FOUND');
    expect(await codeOf(LOGGED, { workspaceId: workspace.id })).toBe('FORBIDDEN');
    expect(await codeOf(EVENTS, {})).toBe('FORBIDDEN');
    expect(await codeOf('{ viewer { id } }', {})).toBe('INVALID_REQUEST');
    expect(await codeOf('subscription { nothing', {})).toBe('GRAPHQL_PARSE_FAILED');
    expect(await codeOf('subscription { nothing }', {})).toBe('GRAPHQL_VALIDATION_FAILED');
    expect(await codeOf(KEYS, {})).toBe('INVALID_REQUEST');
    for (const after of ['nonsense', Buffer.from('["trail",999999999,"x"]').toString('base64url')]) {
      expect(await codeOf(KEYS, { workspaceId: workspace.id, after })).toBe('INVALID_REQUEST');
      expect(await codeOf(LOGGED, { workspaceId: workspace.id, after }, a.rootKey)).toBe('INVALID_REQUEST');
    }
  });

  interface Tools {
    keyId: string;
    projectId: string;
    personId: string;
    accountId: string;
    workspaceId: string;
    cookie: Credential;
  }
  const lowerRole = async ({ personId: userId, workspaceId }: Tools) => {
    const role = await b.services.roles.create(ORIGIN, { workspaceId, name: 'Looks at keys', permissions: ['read.keys'] });
    await b.services.members.setRole(ORIGIN, { userId, workspaceId, roleId: role.id });
  };
  const endings: [string, (tools: Tools) => Promise<unknown>, 'key' | 'person' | 'account'][] = [
    ['a key is revoked', ({ keyId }) => b.services.keys.revoke(ORIGIN, { id: keyId }), 'key'],
    ['a key loses the permission', ({ keyId }) => b.services.keys.update(ORIGIN, { id: keyId, permissions: ['read.keys'] }), 'key'],
    ['the project of a key is archived', ({ projectId: id }) => b.services.projects.archive(ORIGIN, { id }), 'key'],
    ['a member is removed', ({ personId: userId, workspaceId }) => b.services.members.remove(ORIGIN, { userId, workspaceId }), 'person'],
    ['a member gets a lesser role', lowerRole, 'person'],
    ['a session ends', ({ cookie }) => b.graphql('mutation { signOut { session { id } } }', {}, cookie), 'person'],
    ['a service account is disabled', ({ accountId: id }) => b.services.serviceAccounts.disable(ORIGIN, { id }), 'account'],
    ['a service account gets a new secret without grace', ({ accountId: id }) => b.services.serviceAccounts.rotate(ORIGIN, { id, graceSeconds: 0 }), 'account'],
  ];
  it.each(endings)('ends where %s at another node', async (_what, end, kind) => {
    const workspace = await buildWorkspace(a);
    await buildPerson(a, { workspace }); // an owner stays
    const { person, cookie } = await buildPerson(a, { workspace });
    const permissions = ['read.wallet', 'read.keys'];
    const { key, secret, project: keys } = await buildKey(a, { workspace, permissions });
    const { account, secret: ofAccount } = await buildServiceAccount(a, { workspace, permissions });
    const project = await buildProject(a, { workspace });
    const stream = follow(BUDGETS, { workspaceId: workspace.id }, { key: secret, person: cookie, account: ofAccount }[kind]);
    await stream.arrived(1);
    await end({ keyId: key.id, projectId: keys.id, personId: person.id, accountId: account.id, workspaceId: workspace.id, cookie });
    const told = stream.events.length;
    await stream.over();
    expect(String(stream.errors[0]?.code ?? stream.ended?.code)).toMatch(/^(FORBIDDEN|NOT_FOUND|UNAUTHENTICATED|4401)$/);
    await b.services.wallets.allocate(ORIGIN, { projectId: project.id, amount: -1 });
    expect(stream.events.length).toBe(told);
  });
});

describe('requestLogged', () => {
  it('misses no call of many nodes, callers and reconnects that carry a cursor', async () => {
    const workspace = await buildWorkspace(a);
    const { secret } = await buildKey(a, { workspace, budget: 100_000_000 });
    const busy = { on: true };
    const made: string[] = [];
    const caller = async (node: TestApp) => {
      while (busy.on) {
        const { body } = await node.rest({ secret });
        made.push(body.requestId as string);
      }
    };
    const query = LOGGED.replace('requestLog { id', 'requestLog { requestId id');
    const told = new Map<string, number>();
    let stream = bySse(query, { workspaceId: workspace.id });
    const collect = () => stream.events.splice(0).forEach(({ requestLogged }) => {
      told.set(requestLogged.requestLog.requestId, (told.get(requestLogged.requestLog.requestId) ?? 0) + 1);
      cursor = requestLogged.cursor;
    });
    let cursor: string | undefined;
    await untilOpen(stream, () => a.rest({ secret }));
    const callers = [a, b, a, b].map(caller);
    for (let turn = 1; turn <= 6; turn += 1) {
      const target = told.size + 15;
      await until(() => (collect(), told.size >= target), `${target} calls`);
      stream.stop();
      collect();
      stream = (turn % 2 === 0 ? bySse : byWebSocket)(query, { workspaceId: workspace.id, after: cursor }, a.rootKey, turn % 2 === 0 ? a : b);
    }
    busy.on = false;
    await Promise.all(callers);
    await until(() => (collect(), made.every((requestId) => told.has(requestId))), 'every call to be told');
    expect(told.size).toBeGreaterThanOrEqual(90);
  });

  it('tells a call that was committed after calls of a later date, and after it a reader who comes again as well', async () => {
    const workspace = await buildWorkspace(a);
    const { secret } = await buildKey(a, { workspace });
    const stream = bySse(LOGGED, { workspaceId: workspace.id });
    await untilOpen(stream, () => a.rest({ secret }));
    const template = await a.database.reader.findOneByOrFail(RequestLog, { workspaceId: workspace.id });
    const lateLog = (id: string, ageMs: number) => a.database.transaction((tx) => tx.insert(RequestLog, { ...template, id, createdAt: new Date(template.createdAt.getTime() - ageMs) }));
    const written = lateLog('log_late0000000000000000000001', 30_000);
    await a.rest({ secret });
    await written;
    await until(() => logIds(stream).includes('log_late0000000000000000000001'), 'the late call');
    stream.stop();
    const { cursor } = stream.events.at(-1).requestLogged;
    await lateLog('log_late0000000000000000000002', 20_000);
    await a.rest({ secret });
    const again = bySse(LOGGED, { workspaceId: workspace.id, after: cursor });
    await until(() => logIds(again).includes('log_late0000000000000000000002'), 'the other late call');
    expect(new Set(logIds(again)).size).toBe(again.events.length);
  });

  it('is for a cursor of the same arguments', async () => {
    const workspace = await buildWorkspace(a);
    const { secret, project } = await buildKey(a, { workspace });
    const stream = bySse(LOGGED, { workspaceId: workspace.id });
    await untilOpen(stream, () => a.rest({ secret }));
    const other = bySse(LOGGED, { workspaceId: workspace.id, filter: { projectId: [project.id] }, after: stream.events[0].requestLogged.cursor });
    await other.over();
    expect(other.errors).toEqual([expect.objectContaining({ code: 'INVALID_REQUEST' })]);
  });
});

describe('a node that stops', () => {
  it.each([
    ['WebSocket', byWebSocket, { ended: { code: 1012 }, errors: [] }],
    ['SSE', bySse, { ended: {}, errors: [{ code: 'SERVICE_UNAVAILABLE' }] }],
  ] as const)('says so over %s, and its reader goes on at another and misses no call', async (_way, follow, end) => {
    const node = await createTestApp({ databaseUrl: a.databaseUrl });
    const workspace = await buildWorkspace(a);
    const { secret } = await buildKey(a, { workspace });
    const stream = follow(LOGGED, { workspaceId: workspace.id }, a.rootKey, node);
    await untilOpen(stream, () => b.rest({ secret }));
    const closing = node.close();
    await b.rest({ secret });
    await Promise.all([closing, stream.over()]);
    expect(stream).toMatchObject(end);
    const next = follow(LOGGED, { workspaceId: workspace.id, after: stream.events.at(-1).requestLogged.cursor }, b.rootKey, b);
    const logged = async () => (await a.database.reader.findBy(RequestLog, { workspaceId: workspace.id })).map(({ id }) => id).sort();
    const early = (await logged()).filter((id) => id < (logIds(stream)[0] as string)); // from before it was open
    await until(async () => [...early, ...logIds(stream), ...logIds(next)].length >= (await logged()).length, 'every call');
    expect([...early, ...logIds(stream), ...logIds(next)].sort()).toEqual(await logged());
  });
});

describe('a WebSocket', () => {
  const opened = async (headers: Record<string, string> = {}, protocols = ['graphql-transport-ws']) => {
    const socket = new WebSocket(socketUrl(a.url), protocols, { headers });
    const messages: { type: string; id?: string; payload?: { code?: string; extensions?: { code: string } }[] }[] = [];
    const said: { closed?: { code: number; reason: string } } = {};
    socket.on('message', (data: Buffer) => messages.push(JSON.parse(data.toString()) as (typeof messages)[number]));
    socket.on('close', (code, reason) => (said.closed = { code, reason: reason.toString() }));
    socket.on('error', () => undefined);
    await until(() => socket.readyState !== WebSocket.CONNECTING, 'a handshake');
    const closed = async () => (await until(() => said.closed !== undefined, 'a socket to close'), said.closed as { code: number; reason: string });
    open.push({ stop: () => socket.terminate() } as unknown as Followed);
    return { socket, messages, closed, say: (message: object) => socket.send(JSON.stringify(message)) };
  };

  it('takes a credential that a browser can send, and no other one', async () => {
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

  it('with the cookie of a person is refused to a page of another site, and granted to one of this', async () => {
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

  it('of a person is closed when the session has ended at another node', async () => {
    const { cookie } = await buildPerson(a);
    const { say, messages, closed } = await opened(cookie as Record<string, string>);
    say({ type: 'connection_init' });
    await until(() => messages.length > 0, 'an answer');
    await b.graphql('mutation { signOut { session { id } } }', {}, cookie);
    expect(await closed()).toEqual({ code: 4401, reason: 'Unauthorized' });
  });

  it('is closed with a code that says why, where what comes is not the protocol', async () => {
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
    expect(await codeAfter(() => undefined)).toBe(4408); // it has not said who it is for INIT_WAIT_MS
    expect(INIT_WAIT_MS).toBeLessThan(10_000);
  });

  it('has at most so many subscriptions', async () => {
    const { id: workspaceId } = await buildWorkspace(a);
    const { say, messages } = await opened({ 'x-api-key': a.rootKey });
    say({ type: 'connection_init' });
    await until(() => messages.length > 0, 'an answer');
    for (let id = 0; id <= MAX_STREAMS_PER_CONNECTION; id += 1) say({ type: 'subscribe', id: String(id), payload: { query: BUDGETS, variables: { workspaceId } } });
    await until(() => messages.some(({ type }) => type === 'complete'), 'one to be refused');
    expect(JSON.stringify(messages.slice(1))).toContain('SERVICE_UNAVAILABLE');
    expect(messages.filter(({ type }) => type === 'complete')).toEqual([{ type: 'complete', id: String(MAX_STREAMS_PER_CONNECTION) }]);
    say({ type: 'complete', id: '0' }); // gives its place back
    say({ type: 'subscribe', id: 'next', payload: { query: BUDGETS, variables: { workspaceId: (await buildProject(a)).workspaceId } } });
    await until(() => messages.some(({ id, type }) => id === 'next' && type === 'next'), 'the next one to begin');
  });
});

it('a subscription as a plain request is told where it belongs', async () => {
  const { status, errors } = await a.graphql(EVENTS);
  expect([status, errors?.[0]?.extensions.code, errors?.[0]?.extensions.issues?.[0]?.message]).toEqual([400, 'INVALID_REQUEST', expect.stringContaining('/graphql/stream')]);
});

it('events with the cookie of a person are refused to a page of another site', async () => {
  const { cookie, workspace } = await buildPerson(a);
  const path = `/graphql/stream?query=${encodeURIComponent(`subscription { budgetChanged(workspaceId: "${workspace.id}") { newestEntryId } }`)}`;
  expect(await send(a.url, { path, headers: { accept: 'text/event-stream', ...cookie, origin: 'https://evil.example' } })).toMatchObject({ status: 403 });
  expect(await send(a.url, { path, headers: { accept: 'application/json', ...cookie } })).toMatchObject({ status: 400, body: { errors: [{ extensions: { code: 'INVALID_REQUEST' } }] } });
});

describe('a request that offers another protocol', () => {
  it('is served over HTTP as if it did not', async () => {
    const { secret } = await buildKey(a);
    const headers = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABkAAQAAP__', 'content-type': 'application/json', 'x-api-key': secret };
    const body = JSON.stringify({ action: 'demo.echo', params: { text: 'x'.repeat(100_000) } });
    expect(await send(a.url, { method: 'POST', path: '/v1/demo/execute', headers, body })).toMatchObject({ status: 200, body: { ok: true } });
    expect(await send(a.url, { method: 'POST', path: '/v1/demo/execute', headers: { ...headers, upgrade: 'websocket' }, body })).toMatchObject({ status: 200, body: { ok: true } });
    expect(await send(a.url, { path: '/healthz', headers: { connection: 'upgrade', upgrade: 'websocket' } })).toMatchObject({ status: 200 });
  });
});

it('a reader that takes nothing is cut off, and nothing is kept for it', async () => {
  const node = await createTestApp({ databaseUrl: a.databaseUrl }); // which has these two connections and no others
  const connections = () => new Promise<number>((resolve, reject) => node.server.server.getConnections((error, count) => (error ? reject(error) : resolve(count))));
  const workspace = await buildWorkspace(a);
  const { secret } = await buildKey(a, { workspace });
  const wide = Array.from({ length: 90 }, (_, index) => `a${index}: userAgent`).join(' ');
  const query = `subscription { requestLogged(workspaceId: "${workspace.id}") { requestLog { ${wide} } } }`;

  const { hostname, port } = new URL(node.url);
  const events = createConnection({ host: hostname, port: Number(port) }).on('error', () => undefined);
  const socket = new WebSocket(socketUrl(node.url), ['graphql-transport-ws'], { headers: { 'x-api-key': a.rootKey } }).on('error', () => undefined);
  try {
    events.write(`GET /graphql/stream?query=${encodeURIComponent(query)} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nX-Api-Key: ${a.rootKey}\r\n\r\n`);
    socket.on('open', () => socket.send('{"type":"connection_init"}'));
    await new Promise((resolve) => socket.once('message', resolve));
    socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query } }));
    const read = { events: '', socket: '' };
    events.on('data', (data) => (read.events += data.toString()));
    socket.on('message', (data: Buffer) => (read.socket += data.toString()));
    await until(async () => (await a.rest({ secret }), Object.values(read).every((text) => text.includes('a89'))), 'both to be told of a call');
    expect(Object.values(read).join()).not.toContain('"errors"');
    events.pause();
    socket.pause();

    const template = await a.database.reader.findOneByOrFail(RequestLog, { workspaceId: workspace.id });
    const userAgent = 'x'.repeat(255);
    for (let page = 0; page < 10; page += 1) { // 2,000 events of 25,000 bytes, far more than what lies on the way between two sockets
      const rows = Array.from({ length: 200 }, (_, index) => ({ ...template, id: `log_wide${page}_${index}`, userAgent, createdAt: new Date(template.createdAt.getTime() + 30_000 + page) }));
      await a.database.transaction((tx) => tx.insert(RequestLog, rows));
    }
    const began = performance.now();
    await until(async () => (await connections()) === 0, 'both to be cut off');
    expect(performance.now() - began).toBeLessThan(20_000); // and not because they answer no ping, which takes 24 seconds
  } finally {
    events.destroy();
    socket.terminate();
    await node.close();
  }
});
