import { RequestLog } from '../src/requests/request-log.entity';
import { createTestApp, type TestApp } from './support/app';
import { buildKey, buildWorkspace } from './support/factories';
import { closeNodes, createNodes } from './support/nodes';
import { LOGGED, followBySse, followByWebSocket, following, logIds, untilOpen, type Followed } from './support/streams';
import { until } from './support/until';

jest.setTimeout(120_000); // other test files use the processors too

// Calls may be sent in another order than they were made, but none is lost on any node. With SQLite one server plays both nodes.

let a: TestApp;
let b: TestApp;
const open: Followed[] = [];

beforeAll(async () => {
  [a, b] = await createNodes({ busy: true });
});
afterEach(() => open.splice(0).forEach((stream) => stream.stop()));
afterAll(() => closeNodes(b, a));

const bySse = following(followBySse, open, () => a);
const byWebSocket = following((request) => followByWebSocket(request), open, () => a);

describe('requestLogged', () => {
  it('misses no call with several nodes, several callers, and reconnects with a cursor', async () => {
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
      stream = (turn % 2 === 0 ? bySse : byWebSocket)(
        query,
        { workspaceId: workspace.id, after: cursor },
        a.rootKey,
        turn % 2 === 0 ? a : b,
      );
    }
    busy.on = false;
    await Promise.all(callers);
    await until(() => (collect(), made.every((requestId) => told.has(requestId))), 'every call to be told');
    expect(told.size).toBeGreaterThanOrEqual(90);
  });

  it('sends a call that was committed after later calls, also to a reader that reconnects with a cursor', async () => {
    const workspace = await buildWorkspace(a);
    const { secret } = await buildKey(a, { workspace });
    const stream = bySse(LOGGED, { workspaceId: workspace.id });
    await untilOpen(stream, () => a.rest({ secret }));
    const template = await a.database.reader.findOneByOrFail(RequestLog, { workspaceId: workspace.id });
    const lateLog = (id: string, ageMs: number) =>
      a.database.transaction((tx) => tx.insert(RequestLog, { ...template, id, createdAt: new Date(template.createdAt.getTime() - ageMs) }));
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

  it('refuses a cursor of other arguments', async () => {
    const workspace = await buildWorkspace(a);
    const { secret, project } = await buildKey(a, { workspace });
    const stream = bySse(LOGGED, { workspaceId: workspace.id });
    await untilOpen(stream, () => a.rest({ secret }));
    const other = bySse(LOGGED, {
      workspaceId: workspace.id,
      filter: { projectId: [project.id] },
      after: stream.events[0].requestLogged.cursor,
    });
    await other.over();
    expect(other.errors).toEqual([expect.objectContaining({ code: 'INVALID_REQUEST' })]);
  });
});

describe('a node that stops', () => {
  it.each([
    ['WebSocket', byWebSocket, { ended: { code: 1012 }, errors: [] }],
    ['SSE', bySse, { ended: {}, errors: [{ code: 'SERVICE_UNAVAILABLE' }] }],
  ] as const)('tells its reader over %s; the reader continues on another node and misses no call', async (_way, follow, end) => {
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
    const early = (await logged()).filter((id) => id < (logIds(stream)[0] as string)); // before the stream was open
    await until(async () => [...early, ...logIds(stream), ...logIds(next)].length >= (await logged()).length, 'every call');
    expect([...early, ...logIds(stream), ...logIds(next)].sort()).toEqual(await logged());
  });
});
