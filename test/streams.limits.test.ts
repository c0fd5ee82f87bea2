import { trailCursor } from '../src/audit/trail.cursor';
import { TrailFeed } from '../src/audit/trail.feed';
import { STREAM_PAGE, Stream } from '../src/graphql-server/streams/stream';
import { RequestOutcome } from '../src/requests/request-log.entity';
import { LogFeed, MAX_PASSED_CALLS, type Logged } from '../src/requests/request-log.feed';
import { BudgetFeed } from '../src/wallet/budget.feed';
import { explain } from './scale/explain';
import { createTestApp, type TestApp } from './support/app';
import { callRow, insertBulk } from './support/bulk';
import { freshDatabaseUrl } from './support/database';
import { ORIGIN, buildKey, buildWorkspace } from './support/factories';
import { prepareOutage } from './support/outage';
import { WAYS, followBySse, type Follow, type Followed } from './support/streams';
import { statementsOf } from './support/statements';
import { until } from './support/until';

jest.setTimeout(120_000); // other test files use the processors too

// The reads of subscriptions: their limits, and a database that fails.

let app: TestApp;
const open: Followed[] = [];

beforeAll(async () => {
  app = await createTestApp();
  app.sealer.start();
});
afterEach(() => open.splice(0).forEach((stream) => stream.stop()));
afterAll(() => app.close());

const follow = (query: string, variables: Record<string, unknown>, credential = app.rootKey): Followed => {
  const stream = followBySse({ url: app.url, credential, query, variables });
  open.push(stream);
  return stream;
};

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
    await until(() => failing.every(({ mock }) => mock.calls.length > 1), 'each to ask again');
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
