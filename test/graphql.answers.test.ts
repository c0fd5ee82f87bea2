import { createTestApp, type TestApp } from './support/app';
import { buildKey, buildProject } from './support/factories';
import { ApiKey, Project, insertRows, keyRow } from './support/rows';

// Large answers: few objects that have much to tell, and many that are asked for the same over and over. None keeps calls waiting for long.

jest.setTimeout(120_000);

const KEYS = 100;
/** Of the process's own time, whatever else the machine does: what is asked for takes 2 to 200 seconds where nothing bounds it. */
const LONGEST_MS = 1_500;
/** The quickest counts: now and then the process collects what tests before this file have left. */
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
  ({ secret } = await buildKey(app, { project, permissions: ['read.keys'] }));
});

beforeEach(() => jest.spyOn(performance, 'now').mockImplementation(() => now() + aheadMs));

afterAll(() => app.close());

const times = (count: number, make: (index: number) => string): string => Array.from({ length: count }, (_, index) => make(index)).join(' ');
const fields = times(95, (index) => `a${index}: allowedIps`);
const names = times(95, (index) => `a${index}: name`);

const now = performance.now.bind(performance);
let aheadMs = 0;

async function asked(query: string, variables: object) {
  aheadMs += 20_000; // whoever asks has all points again
  const before = process.cpuUsage();
  const answer = await app.graphql(query, { workspaceId, ...variables }, secret);
  const { user, system } = process.cpuUsage(before);
  return { ...answer, tookMs: (user + system) / 1_000 };
}

it.each<[string, string]>([
  ['one object that is asked for by its id a hundred times, and for a long list by 95 names', `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on ApiKey { ${fields} } } }`],
  ['a page of objects, each asked for a long list by 95 names', `query ($workspaceId: ID!) { workspace(id: $workspaceId) { keys(first: 100) { nodes { ${fields} } } } }`],
  ['95 pages of objects with long lists', `query ($workspaceId: ID!) { workspace(id: $workspaceId) { ${times(95, (index) => `a${index}: keys(first: 45) { nodes { allowedIps } }`)} } }`],
  ['95 pages of objects, each asked for its name by 95 names', `query ($workspaceId: ID!) { workspace(id: $workspaceId) { ${times(95, (index) => `a${index}: keys(first: 100) { nodes { ...Names } }`)} } } fragment Names on ApiKey { ${names} }`],
])('%s: is refused, or soon cut off, with nothing but the reason', async (_what, query) => {
  const took: number[] = [];
  for (let tries = 0; tries < TRIES; tries += 1) {
    const { status, data, errors, tookMs } = await asked(query, { ids: Array.from({ length: 100 }, () => keyId) });
    expect({ status, data }).toEqual({ status: 400, data: undefined });
    expect(errors).toEqual([{ message: expect.stringMatching(/^This asks for too much at once: (answer|points|selections) /), extensions: { code: 'QUERY_TOO_COMPLEX', limits: expect.any(Array) } }]);
    took.push(tookMs);
  }
  expect(Math.min(...took)).toBeLessThan(LONGEST_MS);
});

it('an answer below the bound comes whole', async () => {
  const { status, data, errors } = await asked('query ($workspaceId: ID!) { workspace(id: $workspaceId) { keys(first: 100) { nodes { name allowedIps permissions } } } }', {});
  expect({ status, errors }).toEqual({ status: 200, errors: undefined });
  expect(data.workspace.keys.nodes.at(-1).allowedIps).toHaveLength(200);
});
