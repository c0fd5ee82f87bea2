import { newId } from '../src/lib/id';
import { MemoryThrottles } from '../src/lib/memory-throttles';
import { ServiceAccount, ServiceAccountProject } from '../src/service-accounts/service-account.entity';
import { createTestApp, type TestApp } from './support/app';
import { startCallers, tally } from './support/callers';
import { graphqlClient } from './support/clients';
import { buildKey, buildProject } from './support/factories';
import { leastOf, longestTurnOf } from './support/processor-time';
import { ApiKey, Project, insertRows, keyRow, projectRow } from './support/rows';

// Large answers: few objects with long lists, and many objects with repeated fields. They must not block other callers.

jest.setTimeout(120_000);

const KEYS = 100;
/** Maximum processor time of this process. Without a bound these queries take 2 to 200 seconds. */
const LONGEST_MS = 1_500;
/** Maximum processor time in one turn of the event loop. */
const LONGEST_TURN_MS = 50;
/** The fastest try counts, because garbage collection can slow down a try. */
const TRIES = 3;

let app: TestApp;
let project: Project;
let workspaceId: string;
let keyId: string;
let secret: string;

beforeAll(async () => {
  app = await createTestApp();
  project = await buildProject(app);
  workspaceId = project.workspaceId;
  const allowedIps = Array.from({ length: 200 }, (_, index) => `10.1.${index}.0/24`);
  const keys = Array.from({ length: KEYS }, (_, index) => keyRow(project, 1_800_000_000_000 + index, { allowedIps }));
  await insertRows(app, ApiKey, keys);
  keyId = keys[0]?.id as string;
  const projects = Array.from({ length: 100 }, (_, index) => projectRow(workspaceId, 1_700_000_000_000 + index));
  await insertRows(app, Project, projects);
  const accounts = Array.from({ length: 100 }, (_, index) => accountRow(1_700_000_000_000 + index));
  await insertRows(app, ServiceAccount, accounts);
  const granted = accounts.flatMap(({ id: accountId }) => projects.map(({ id: projectId }) => ({ accountId, projectId })));
  await insertRows(app, ServiceAccountProject, granted);
  ({ secret } = await buildKey(app, { project, permissions: ['read.keys'] }));
});

const accountRow = (at: number) => {
  const rotation = { rotationDays: 90, rotationDueAt: new Date('2099-01-01'), rotationDueToldAt: null, rotatedAt: null };
  const state = { permissions: [], roleId: null, enabled: true, ...rotation, version: 1, createdAt: new Date(at) };
  return { id: newId('svc', at), workspaceId, name: 'Account', hint: 'acme_svc_...abcd', ...state };
};

beforeEach(() => jest.spyOn(performance, 'now').mockImplementation(() => now() + aheadMs));

afterAll(() => app.close());

const times = (count: number, make: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => make(index)).join(' ');
const fields = times(95, (index) => `a${index}: allowedIps`);
const names = times(95, (index) => `a${index}: name`);

const now = performance.now.bind(performance);
let aheadMs = 0;

async function asked(query: string, variables: object) {
  aheadMs += 20_000; // refills the caller's points
  const before = process.cpuUsage();
  const answer = await app.graphql(query, { workspaceId, ...variables }, secret);
  const { user, system } = process.cpuUsage(before);
  return { ...answer, tookMs: (user + system) / 1_000 };
}

it.each<[string, string]>([
  [
    'one object selected a hundred times by its id, each with a long list under 95 aliases',
    `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on ApiKey { ${fields} } } }`,
  ],
  [
    'a page of objects, each with a long list under 95 aliases',
    `query ($workspaceId: ID!) { workspace(id: $workspaceId) { keys(first: 100) { nodes { ${fields} } } } }`,
  ],
  [
    '95 pages of objects with long lists',
    `query ($workspaceId: ID!) {
      workspace(id: $workspaceId) { ${times(95, (index) => `a${index}: keys(first: 45) { nodes { allowedIps } }`)} }
    }`,
  ],
  [
    '95 pages of objects, each with its name under 95 aliases',
    `query ($workspaceId: ID!) {
      workspace(id: $workspaceId) { ${times(95, (index) => `a${index}: keys(first: 100) { nodes { ...Names } }`)} }
    }
    fragment Names on ApiKey { ${names} }`,
  ],
])('%s: is refused or stopped soon, and the answer has only the reason', async (_what, query) => {
  const took: number[] = [];
  for (let tries = 0; tries < TRIES; tries += 1) {
    const { status, data, errors, tookMs } = await asked(query, { ids: Array.from({ length: 100 }, () => keyId) });
    expect({ status, data }).toEqual({ status: 400, data: undefined });
    const message = expect.stringMatching(/^This asks for too much at once: (answer|errors|points|selections) /);
    expect(errors).toEqual([{ message, extensions: { code: 'QUERY_TOO_COMPLEX', limits: expect.any(Array) } }]);
    took.push(tookMs);
  }
  expect(Math.min(...took)).toBeLessThan(LONGEST_MS);
});

it('an answer below the limit is complete', async () => {
  const { status, data, errors } = await asked(
    'query ($workspaceId: ID!) { workspace(id: $workspaceId) { keys(first: 100) { nodes { name allowedIps permissions } } } }',
    {},
  );
  expect({ status, errors }).toEqual({ status: 200, errors: undefined });
  expect(data.workspace.keys.nodes.at(-1).allowedIps).toHaveLength(200);
});

/** A query for this number of service accounts, each with a hundred projects. */
const grants = (accounts: number, ofProject: string): string =>
  ofWorkspace(`serviceAccounts(first: ${accounts}) { nodes { projects { ${ofProject} } } }`);
const ofWorkspace = (list: string): string => `query ($workspaceId: ID!) { workspace(id: $workspaceId) { ${list} } }`;
const tooMany = (limit: string) => {
  const limits = [{ limit, asked: expect.any(Number), allowed: expect.any(Number) }];
  return [{ message: expect.any(String), extensions: { code: 'QUERY_TOO_COMPLEX', limits } }];
};

describe('lists without pages', () => {
  it('cost their maximum length, so that lists nested in them are refused before they are read', async () => {
    const within = 'workspace { serviceAccounts(first: 1) { nodes { projects { workspace { id } } } } }';
    const { status, errors } = await asked(grants(100, within), {});
    expect([status, errors]).toEqual([400, tooMany('points')]);
    expect(errors?.[0]?.extensions?.limits?.[0]?.asked).toBeGreaterThan(1_000_000);
    expect((await asked(grants(90, 'id'), {})).data.workspace.serviceAccounts.nodes[89].projects).toHaveLength(100);
  });
});

describe('an operation is stopped if it produces', () => {
  const costOf = ({ extensions }: Awaited<ReturnType<typeof asked>>) => extensions?.cost ?? { requested: 0, actual: 0 };

  it.each<[string, string, string]>([
    [
      'an answer that is too long, even only by its field names',
      'answer',
      grants(
        9,
        times(95, (index) => `${'n'.repeat(300)}${index}: __typename`),
      ),
    ],
    [
      'too many errors',
      'errors',
      grants(
        9,
        times(2, (index) => `a${index}: keys(first: 1000) { pageInfo { hasNextPage } }`),
      ),
    ],
  ])('%s; all requested points are charged', async (_what, limit, query) => {
    const answer = await asked(query, {});
    expect([answer.status, answer.data, answer.errors]).toEqual([400, undefined, tooMany(limit)]);
    expect(costOf(answer).actual).toBeGreaterThanOrEqual(costOf(answer).requested);
  });

  it('more points than estimated; all of them are charged', async () => {
    const within = times(3, (twin) => `f${twin}: fields { type { kind ofType { kind } } args { type { kind ofType { kind } } } }`);
    const answer = await asked(`{ ${times(24, (index) => `t${index}: __type(name: "Node") { possibleTypes { ${within} } }`)} }`, {});
    expect([answer.status, answer.data, answer.errors]).toEqual([400, undefined, tooMany('points')]);
    expect(costOf(answer).requested).toBeLessThan(10_000);
    expect(costOf(answer).actual).toBeGreaterThan(10_000);
  });
});

describe('other tenants', () => {
  const { stackTraceLimit } = Error;
  beforeAll(() => void (Error.stackTraceLimit = 10)); // the default of Node: jest sets 100, which makes each error ten times as slow
  afterAll(() => void (Error.stackTraceLimit = stackTraceLimit));

  const LARGE = [
    grants(12, times(6, (index) => `w${index}: workspace { __typename }`)),
    grants(40, 'workspace { __typename }'),
    grants(9, times(95, (index) => `a${index}: id`)),
    ofWorkspace(`projects(first: 100) { nodes { ${times(40, (index) => `a${index}: keys(first: 1000) { pageInfo { hasNextPage } }`)} } }`),
    ofWorkspace(`keys(first: 100) { nodes { ${times(80, (index) => `a${index}: status`)} } }`),
    `{ __schema { types { fields { ${times(90, (index) => `a${index}: name`)} } } } }`,
  ];

  it.each(LARGE)('get a turn of the event loop at least every 50 ms of processor time: %s', async (query) => {
    const measure = async () => (await longestTurnOf(() => asked(query, {}))).longestMs;
    expect(await leastOf(2 * TRIES, LONGEST_TURN_MS, measure)).toBeLessThan(LONGEST_TURN_MS);
  });

  it('get answers to calls and queries while such operations run', async () => {
    const neighbour = await buildKey(app);
    const points = jest.spyOn(MemoryThrottles.prototype, 'take').mockReturnValue(0); // the points never run out
    const callers = startCallers(1);
    const query = graphqlClient(app.url, neighbour.secret);
    const measure = async (): Promise<number[]> => {
      const tookMs: number[] = [];
      for (let round = 0; round < 15; round += 1) {
        const started = now();
        expect(tally([await callers.call({ url: app.url, secret: neighbour.secret })])).toEqual({ 200: 1 });
        const between = now();
        expect((await query('{ viewer { actorId } }')).data.viewer.actorId).toBe(neighbour.key.id);
        tookMs.push(between - started, now() - between);
      }
      return tookMs.sort((one, other) => one - other);
    };
    const alone = await measure();
    const attack = { isOver: false };
    const attacks = LARGE.map(async (large) => {
      do await app.graphql(large, { workspaceId }, secret);
      while (!attack.isOver);
    });
    const meanwhile = await measure().finally(() => (attack.isOver = true));
    await Promise.all(attacks);
    points.mockRestore();
    await callers.close();
    expect(meanwhile[meanwhile.length / 2]).toBeLessThan((alone[alone.length / 2] as number) * 10 + 500);
    expect(meanwhile.at(-1)).toBeLessThan((alone.at(-1) as number) * 10 + 1_500);
  });
});
