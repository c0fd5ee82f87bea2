import { ApiKey } from '../src/keys/key.entity';
import { RequestLog } from '../src/requests/request-log.entity';
import { Project } from '../src/tenancy/project.entity';
import { Workspace } from '../src/tenancy/workspace.entity';
import { LedgerEntry } from '../src/wallet/ledger-entry.entity';
import { Wallet } from '../src/wallet/wallet.entity';
import { createTestApp, type TestApp } from './support/app';
import { buildProject, buildWorkspace } from './support/factories';
import * as rows from './support/rows';

let app: TestApp;
let workspace: Workspace;
let project: Project;
let wallet: Wallet;

const START = Date.parse('2026-11-01T00:00:00.000Z');

beforeAll(async () => {
  app = await createTestApp();
  workspace = await buildWorkspace(app);
  project = await buildProject(app, { workspace, budget: 0 });
  wallet = await app.database.reader.findOneByOrFail(Wallet, { workspaceId: workspace.id });
});

afterAll(() => app.close());

const keyRow = (at: number, values: Partial<ApiKey> = {}) => rows.keyRow(project, at, values);
const logRow = (at: number, values: Partial<RequestLog> = {}) => rows.logRow(project, at, values);
const projectRow = (at: number, values: Partial<Project> = {}) => rows.projectRow(workspace.id, at, values);

let seq = 0;
const entryRow = (at: number, values: Partial<LedgerEntry> = {}) => rows.entryRow(wallet.id, (seq += 1), at, values);

interface List {
  name: string;
  /** The query around the list. LIST stands for the arguments and the selection. */
  query: string;
  insert(times: number[]): Promise<unknown>;
}

const inWorkspace = (list: string) => `workspace(id: "WORKSPACE") { ${list} }`;
const inProject = (list: string) => `project(id: "PROJECT") { ${list} }`;

const LISTS: List[] = [
  {
    name: 'Query.workspaces',
    query: 'workspaces LIST',
    insert: (times) =>
      app.database.transaction((tx) =>
        tx.insert(
          Workspace,
          times.map((at) => rows.workspaceRow(at)),
        ),
      ),
  },
  {
    name: 'Workspace.projects',
    query: inWorkspace('projects LIST'),
    insert: (times) =>
      app.database.transaction((tx) =>
        tx.insert(
          Project,
          times.map((at) => projectRow(at)),
        ),
      ),
  },
  {
    name: 'Workspace.keys',
    query: inWorkspace('keys LIST'),
    insert: (times) =>
      app.database.transaction((tx) =>
        tx.insert(
          ApiKey,
          times.map((at) => keyRow(at)),
        ),
      ),
  },
  {
    name: 'Project.requestLogs',
    query: inProject('requestLogs LIST'),
    insert: (times) =>
      app.database.transaction((tx) =>
        tx.insert(
          RequestLog,
          times.map((at) => logRow(at)),
        ),
      ),
  },
  {
    name: 'Wallet.ledger',
    query: inWorkspace('wallet { ledger LIST }'),
    insert: (times) =>
      app.database.transaction((tx) =>
        tx.insert(
          LedgerEntry,
          times.map((at) => entryRow(at)),
        ),
      ),
  },
];

interface Page {
  edges: { cursor: string; node: { id: string } }[];
  nodes: { id: string; createdAt: string }[];
  pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null };
}

async function pageOf({ query }: Pick<List, 'query'>, page: string): Promise<Page> {
  const fields = 'edges { cursor node { id } } nodes { id createdAt } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }';
  const filled = query
    .replace('LIST', `${page === '' ? '' : `(${page})`} { ${fields} }`)
    .replace('WORKSPACE', workspace.id)
    .replace('PROJECT', project.id);
  const { data, errors } = await app.graphql(`{ ${filled} }`);
  expect(errors).toBeUndefined();
  let found = data;
  while (!found.pageInfo) found = Object.values(found)[0]; // descends to the connection
  return found;
}

describe.each(LISTS)('$name', (list) => {
  it('pages through 57 rows, newest first and each once, with equal times and with new rows between the pages', async () => {
    // Eight rows have the same millisecond, so that a page ends between rows of equal time.
    await list.insert(Array.from({ length: 57 }, (_, index) => START + Math.floor(index / 8)));
    const first100 = await pageOf(list, 'first: 100');
    const before = first100.nodes.map(({ id }) => id);
    const times = first100.nodes.map(({ createdAt }) => createdAt);
    expect(times).toEqual([...times].sort().reverse());
    const walked: string[] = [];
    for (let after: string | null = null, pages = 1; ; pages += 1) {
      const page: Page = await pageOf(list, `first: 10${after ? `, after: "${after}"` : ''}`);
      expect(page.edges.map(({ node }) => node.id)).toEqual(page.nodes.map(({ id }) => id));
      expect(page.pageInfo).toEqual({
        hasNextPage: walked.length + 10 < before.length,
        hasPreviousPage: after !== null,
        startCursor: page.edges[0]?.cursor,
        endCursor: page.edges.at(-1)?.cursor,
      });
      walked.push(...page.nodes.map(({ id }) => id));
      after = page.pageInfo.endCursor;
      if (!page.pageInfo.hasNextPage) break;
      await list.insert([START + 1_000 + pages]); // newer than all other rows
    }
    expect(walked).toEqual(before);
    expect(walked.length).toBeGreaterThanOrEqual(57);
  });

  it('continues after any cursor, and returns 25 rows by default', async () => {
    const { nodes, edges, pageInfo } = await pageOf(list, '');
    expect(nodes).toHaveLength(25);
    expect(pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });
    expect((await pageOf(list, `first: 3, after: "${edges[4]?.cursor}"`)).nodes).toEqual(nodes.slice(5, 8));
    expect((await pageOf(list, 'first: null, after: null')).nodes).toEqual(nodes);
  });

  it('returns an empty page after the last row', async () => {
    let last = await pageOf(list, 'first: 100');
    while (last.pageInfo.hasNextPage) last = await pageOf(list, `first: 100, after: "${last.pageInfo.endCursor}"`);
    const empty = await pageOf(list, `after: "${last.pageInfo.endCursor}"`);
    expect(empty).toEqual({
      edges: [],
      nodes: [],
      pageInfo: { hasNextPage: false, hasPreviousPage: true, startCursor: null, endCursor: null },
    });
  });

  it('refuses a size outside 1 to 100, and a cursor of another list', async () => {
    const others = await Promise.all(
      LISTS.filter((other) => other !== list).map(async (other) => (await pageOf(other, 'first: 1')).pageInfo.endCursor ?? ''),
    );
    const own = (await pageOf(list, 'first: 1')).pageInfo.endCursor as string;
    const actions = await app.graphql('{ actions(first: 1) { pageInfo { endCursor } } }');
    const numbers = Buffer.from('[1,2]').toString('base64url');
    const cursors = ['', 'x', own.slice(0, -1), `${own}=`, `${own} `, numbers, actions.data.actions.pageInfo.endCursor, ...others];
    const refused = async (page: string) => {
      const { errors } = await app.graphql(
        `{ ${list.query.replace('LIST', `(${page}) { nodes { id } }`).replace('WORKSPACE', workspace.id).replace('PROJECT', project.id)} }`,
      );
      return [errors?.[0]?.extensions.code, errors?.[0]?.extensions.issues?.map(({ path }) => path.join('.'))];
    };
    for (const first of [0, 101, -1]) expect(await refused(`first: ${first}`)).toEqual(['INVALID_REQUEST', ['first']]);
    for (const cursor of cursors) expect(await refused(`after: "${cursor}"`)).toEqual(['INVALID_REQUEST', ['after']]);
    expect(await refused('first: 0, after: "x"')).toEqual(['INVALID_REQUEST', ['first', 'after']]);
  });
});
