import { ApiKey, Project, RequestLog, Workspace, insertRows, keyRow, logRow, projectRow, workspaceRow } from './support/rows';
import { createTestApp, type TestApp } from './support/app';
import { buildProject, buildWorkspace } from './support/factories';
import { buildPerson } from './support/people';

// The promises of pages that test/graphql.lists.test.ts does not check: both directions, orders, counts and limits of work.

const START = Date.parse('2026-11-01T00:00:00.000Z');

let app: TestApp;
let workspace: Workspace;

beforeAll(async () => {
  app = await createTestApp();
  workspace = await buildWorkspace(app);
});

afterAll(() => app.close());

interface Page {
  edges: { cursor: string; node: { id: string } }[];
  nodes: { id: string }[];
  pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null; isCutShort: boolean };
  totalCount: number;
  totalCountIsExact: boolean;
}

const FIELDS = 'edges { cursor node { id } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor isCutShort }';

async function ask(list: string, args: string, fields = FIELDS, of = workspace): Promise<{ page: Page; issues: string[] | undefined }> {
  const { data, errors } = await app.graphql(
    `query ($id: ID!) { workspace(id: $id) { ${list}${args === '' ? '' : `(${args})`} { ${fields} } } }`,
    { id: of.id },
  );
  return { page: data?.workspace?.[list] as Page, issues: errors?.[0]?.extensions.issues?.map(({ path }) => path.join('.')) };
}

async function pageOf(list: string, args: string, fields = FIELDS, of = workspace): Promise<Page> {
  const { page, issues } = await ask(list, args, fields, of);
  expect(issues).toBeUndefined();
  return page;
}

const idsOf = ({ nodes }: Page): string[] => nodes.map(({ id }) => id);

describe('both directions', () => {
  let all: string[];

  beforeAll(async () => {
    await insertRows(
      app,
      Project,
      Array.from({ length: 33 }, (_, index) => projectRow(workspace.id, START + Math.floor(index / 4), { name: `Project ${index % 5}` })),
    );
    all = idsOf(await pageOf('projects', 'first: 100'));
    expect(all).toHaveLength(33);
  });

  it.each([
    '',
    'orderBy: { field: CREATED_AT, direction: ASC }',
    'orderBy: { field: NAME, direction: ASC }',
    'orderBy: { field: NAME, direction: DESC }',
  ])('return the same rows in the same order, each once: %s', async (orderBy) => {
    const order = orderBy === '' ? '' : `, ${orderBy}`;
    const expected = idsOf(await pageOf('projects', `first: 100${order}`));
    expect([...expected].sort()).toEqual([...all].sort());
    const forwards: string[] = [];
    for (let cursor: string | null = null; ;) {
      const page: Page = await pageOf('projects', `first: 10${cursor ? `, after: "${cursor}"` : ''}${order}`);
      forwards.push(...idsOf(page));
      expect(page.pageInfo).toMatchObject({ hasPreviousPage: cursor !== null, hasNextPage: forwards.length < 33 });
      cursor = page.pageInfo.endCursor;
      if (!page.pageInfo.hasNextPage) break;
    }
    expect(forwards).toEqual(expected);
    let backwards: string[] = [];
    for (let cursor: string | null = null; ;) {
      const page: Page = await pageOf('projects', `last: 10${cursor ? `, before: "${cursor}"` : ''}${order}`);
      backwards = [...idsOf(page), ...backwards];
      expect(page.pageInfo).toMatchObject({
        hasNextPage: cursor !== null,
        hasPreviousPage: backwards.length < 33,
        startCursor: page.edges[0]?.cursor,
        endCursor: page.edges.at(-1)?.cursor,
      });
      cursor = page.pageInfo.startCursor;
      if (!page.pageInfo.hasPreviousPage) break;
    }
    expect(backwards).toEqual(expected);
  });

  it('accept a cursor on either side', async () => {
    const { edges } = await pageOf('projects', 'first: 100');
    const [from, to] = [edges[4]?.cursor, edges[20]?.cursor];
    expect(idsOf(await pageOf('projects', `first: 100, after: "${from}", before: "${to}"`))).toEqual(all.slice(5, 20));
    expect(idsOf(await pageOf('projects', `first: 3, after: "${from}", before: "${to}"`))).toEqual(all.slice(5, 8));
    expect(idsOf(await pageOf('projects', `last: 3, after: "${from}", before: "${to}"`))).toEqual(all.slice(17, 20));
    expect(idsOf(await pageOf('projects', `first: 3, before: "${to}"`))).toEqual(all.slice(0, 3));
    expect(idsOf(await pageOf('projects', `before: "${edges[30]?.cursor}"`))).toEqual(all.slice(5, 30)); // the 25 rows before the cursor
  });

  it('are refused in one page, and so are invalid sizes and cursors of another order', async () => {
    const own = (await pageOf('projects', 'first: 1')).pageInfo.endCursor;
    const named = (await pageOf('projects', 'first: 1, orderBy: { field: NAME, direction: ASC }')).pageInfo.endCursor;
    const issuesOf = async (args: string) => (await ask('projects', args)).issues;
    expect(await issuesOf('first: 1, last: 1')).toEqual(['last']);
    for (const last of [0, 101, -1]) expect(await issuesOf(`last: ${last}`)).toEqual(['last']);
    expect(await issuesOf(`last: 1, before: "${named}"`)).toEqual(['before']);
    expect(await issuesOf(`first: 1, after: "${own}", orderBy: { field: NAME, direction: ASC }`)).toEqual(['after']);
    expect(await issuesOf(`first: 1, after: "${named}", orderBy: { field: NAME, direction: DESC }`)).toEqual(['after']);
    expect(await issuesOf(`first: 1, after: "${named}", orderBy: { field: NAME, direction: ASC }`)).toBeUndefined();
    expect(await issuesOf(`first: 1, after: "${own}", orderBy: { field: CREATED_AT, direction: DESC }`)).toBeUndefined();
    expect(await issuesOf('first: null, last: null, after: null, before: null')).toBeUndefined();
  });
});

describe('many lists in one answer', () => {
  it('have the same content as each list in a separate query', async () => {
    const tenant = await buildWorkspace(app);
    const projects = Array.from({ length: 12 }, (_, index) => projectRow(tenant.id, START + index));
    await insertRows(app, Project, projects);
    // From none in the first project to eleven in the last, with equal times and different values.
    const keys = projects.flatMap((project, count) =>
      Array.from({ length: count }, (_, index) =>
        keyRow(project, START + Math.floor(index / 3), {
          name: `Key ${index % 4}`,
          permissions: ['demo.*'],
          enabled: index % 2 === 0,
          expiresAt: index % 3 === 0 ? new Date(START) : null,
        }),
      ),
    );
    await insertRows(app, ApiKey, keys);
    const fields = `totalCount totalCountIsExact
      edges { cursor node { id name enabled: status permissions createdAt expiresAt revokedReason project { id } } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor isCutShort }`;
    for (const args of [
      '(first: 3)',
      '(last: 4)',
      '(first: 2, orderBy: { field: NAME, direction: ASC })',
      '(first: 2, filter: { name: "key 1" })',
      '(first: 5, filter: { environment: TEST })',
    ]) {
      const together = await app.graphql(
        `query ($id: ID!) { workspace(id: $id) { projects(first: 20) { nodes { id keys${args} { ${fields} } } } } }`,
        { id: tenant.id },
      );
      expect(together.errors).toBeUndefined();
      for (const { id, keys: found } of together.data.workspace.projects.nodes) {
        const alone = await app.graphql(`query ($id: ID!) { project(id: $id) { keys${args} { ${fields} } } }`, { id });
        expect([args, found]).toEqual([args, alone.data.project.keys]);
      }
    }
  });
});

describe('totalCount', () => {
  it('counts the whole filtered list, and says that the count is exact', async () => {
    const tenant = await buildWorkspace(app);
    const project = projectRow(tenant.id, START);
    await insertRows(app, Project, [project]);
    await insertRows(
      app,
      ApiKey,
      Array.from({ length: 30 }, (_, index) => keyRow(project, START + index, { name: index < 7 ? 'Till' : 'Door' })),
    );
    const count = async (args: string) => pageOf('keys', args, 'totalCount totalCountIsExact', tenant);
    expect(await count('first: 2')).toEqual({ totalCount: 30, totalCountIsExact: true });
    expect(await count('first: 2, filter: { name: "till" }')).toEqual({ totalCount: 7, totalCountIsExact: true });
    expect(await count('first: 2, filter: { name: "roof" }')).toEqual({ totalCount: 0, totalCountIsExact: true });
    expect(await count(`first: 2, filter: { projectId: ["${project.id}"] }`)).toEqual({ totalCount: 30, totalCountIsExact: true });
    expect(await count('filter: { projectId: [] }')).toEqual({ totalCount: 0, totalCountIsExact: true });
  });
});

describe('a list with more rows than the server reads for one page', () => {
  const ROWS = 10_050;
  const RARE = 9_000;
  let tenant: Workspace;
  let project: Project;

  beforeAll(async () => {
    tenant = await buildWorkspace(app);
    project = await buildProject(app, { workspace: tenant, budget: 0 });
    const logs = Array.from({ length: ROWS }, (_, index) =>
      logRow(project, START + index, { credentialId: 'key_a', action: index % RARE === 0 ? 'demo.rare' : 'demo.echo' }),
    );
    await insertRows(app, RequestLog, logs);
  }, 60_000);

  it('is counted exactly up to 10,000, and above that says that the count is not exact', async () => {
    expect(await pageOf('requestLogs', 'first: 1', 'totalCount totalCountIsExact', tenant)).toEqual({
      totalCount: 10_000,
      totalCountIsExact: false,
    });
    const to = new Date(START + 10_000).toISOString();
    expect(await pageOf('requestLogs', `first: 1, filter: { to: "${to}" }`, 'totalCount totalCountIsExact', tenant)).toEqual({
      totalCount: 10_000,
      totalCountIsExact: true,
    });
    expect(await pageOf('requestLogs', 'first: 1, filter: { action: "demo.rare" }', 'totalCount totalCountIsExact', tenant)).toEqual({
      totalCount: 1,
      totalCountIsExact: false,
    });
  });

  it.each(['forwards', 'backwards'])('returns each row of a rare filter once, in pages that are cut short: %s', async (direction) => {
    const found: string[] = [];
    let pages = 0;
    let cuts = 0;
    for (let cursor: string | null = null; ;) {
      const bounds =
        direction === 'forwards' ? `first: 10${cursor ? `, after: "${cursor}"` : ''}` : `last: 10${cursor ? `, before: "${cursor}"` : ''}`;
      const page: Page = await pageOf('requestLogs', `${bounds}, filter: { action: ["demo.rare"] }`, FIELDS, tenant);
      pages += 1;
      found.push(...idsOf(page));
      const { hasNextPage, hasPreviousPage, startCursor, endCursor, isCutShort } = page.pageInfo;
      const more = direction === 'forwards' ? hasNextPage : hasPreviousPage;
      expect(isCutShort).toBe(more); // no page is full, so a page with more rows behind it is cut short
      if (isCutShort) cuts += 1;
      cursor = direction === 'forwards' ? endCursor : startCursor;
      if (!more) break;
      expect(cursor).not.toBeNull();
    }
    expect(found).toHaveLength(2);
    expect(new Set(found).size).toBe(2);
    expect(pages).toBe(6); // the server reads 2,000 of 10,050 rows per page
    expect(cuts).toBe(5);
  });

  it('shows no calls of another tenant when a filter names its key or project', async () => {
    const { secret, stranger } = await outsider();
    for (const filter of [
      `keyId: ["key_a"]`,
      `keyId: ["key_a"], action: ["demo.never"]`,
      `projectId: ["${project.id}"]`,
      `projectId: ["${project.id}"], action: ["demo.never"]`,
    ]) {
      const { data, errors } = await app.graphql(
        `query ($id: ID!) { workspace(id: $id) { requestLogs(filter: { ${filter} }) { totalCount totalCountIsExact ${FIELDS} } } }`,
        { id: stranger.id },
        secret,
      );
      const nothing = { hasNextPage: false, hasPreviousPage: false, startCursor: null, endCursor: null, isCutShort: false };
      expect([errors, data?.workspace?.requestLogs]).toEqual([
        undefined,
        { totalCount: 0, totalCountIsExact: true, edges: [], nodes: [], pageInfo: nothing },
      ]);
    }
  });

  async function outsider() {
    const { workspace: stranger, cookie } = await buildPerson(app);
    return { stranger, secret: cookie };
  }
});

describe('filters by name', () => {
  it('find workspaces and projects by a part of the name or slug', async () => {
    const tenant = await buildWorkspace(app, { name: 'Half_Moon 50%' });
    await insertRows(app, Project, [
      projectRow(tenant.id, START, { name: 'Front Door', slug: 'front-door' }),
      projectRow(tenant.id, START + 1, { name: 'Back Door', slug: 'back-door' }),
    ]);
    const names = async (filter: string) =>
      (await pageOf('projects', `filter: { ${filter} }`, 'nodes { id: name }', tenant)).nodes.map(({ id }) => id);
    expect(await names('name: "DOOR"')).toEqual(['Back Door', 'Front Door']);
    expect(await names('name: "front"')).toEqual(['Front Door']);
    expect(await names('slug: "t-d"')).toEqual(['Front Door']);
    expect(await names('name: "back", slug: "front"')).toEqual([]);
    const { data } = await app.graphql('{ workspaces(filter: { name: "half_moon 50%" }) { totalCount nodes { id } } }');
    expect(data.workspaces).toEqual({ totalCount: 1, nodes: [{ id: tenant.id }] });
    expect((await app.graphql('{ workspaces(filter: { name: "half_moon_50" }) { nodes { id } } }')).data.workspaces.nodes).toEqual([]);
  });

  it('find only workspaces that the caller may see', async () => {
    const { workspace: own, cookie } = await buildPerson(app);
    await insertRows(app, Workspace, [workspaceRow(START)]);
    for (const args of ['', '(last: 3)', '(orderBy: { field: NAME, direction: ASC })', `(filter: { slug: "${own.slug}" })`]) {
      const { data } = await app.graphql(`{ workspaces${args} { totalCount nodes { id } } }`, {}, cookie);
      expect(data.workspaces).toEqual({ totalCount: 1, nodes: [{ id: own.id }] });
    }
  });

  it('find members by name, address or role', async () => {
    const { workspace: tenant } = await buildPerson(app, { email: 'grace@hopper.example' });
    await buildPerson(app, { workspace: tenant, email: 'alan@turing.example', roleId: 'rol_viewer' });
    const emails = async (filter: string) => {
      const { data } = await app.graphql(
        `query ($id: ID!) { workspace(id: $id) { members(filter: { ${filter} }) { nodes { user { email } } } } }`,
        { id: tenant.id },
      );
      return data.workspace.members.nodes.map(({ user }: { user: { email: string } }) => user.email);
    };
    expect(await emails('email: "HOPPER"')).toEqual(['grace@hopper.example']);
    expect(await emails('name: "ada"')).toHaveLength(2);
    expect(await emails('name: "nobody"')).toEqual([]);
    expect(await emails('roleId: ["rol_viewer"]')).toEqual(['alan@turing.example']);
  });

  it('find actions by service, a part of the name, and whether they are enabled', async () => {
    const names = async (filter: string) =>
      (await app.graphql(`{ actions(filter: { ${filter} }) { nodes { name } } }`)).data.actions.nodes.map(
        ({ name }: { name: string }) => name,
      );
    const all = await names('');
    expect(await names('service: ["demo"]')).toEqual(all);
    expect(await names('service: ["face"]')).toEqual([]);
    expect(await names('name: "ECHO"')).toEqual(['demo.echo']);
    expect(await names('enabled: true, service: ["demo"]')).toEqual(all);
    expect(await names('enabled: false')).toEqual([]);
  });
});

describe('nodes', () => {
  it('returns each object in the place of its id, null for an unknown id, and an error only for an object that is forbidden', async () => {
    const { workspace: own, cookie } = await buildPerson(app, { roleId: 'rol_billing' });
    const project = projectRow(own.id, START);
    const key = keyRow(project, START);
    await insertRows(app, Project, [project]);
    await insertRows(app, ApiKey, [key]);
    const ids = [project.id, 'prj_never', key.id, own.id, project.id, 'nonsense'];
    const { data, errors } = await app.graphql('query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }', { ids }, cookie);
    expect(data.nodes).toEqual([
      { __typename: 'Project', id: project.id },
      null,
      null,
      { __typename: 'Workspace', id: own.id },
      { __typename: 'Project', id: project.id },
      null,
    ]);
    expect(errors?.map(({ path, extensions }) => [path, extensions.code])).toEqual([[['nodes', 2], 'FORBIDDEN']]);
  });

  it('accepts zero to a hundred ids', async () => {
    const ask = async (count: number) =>
      app.graphql('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids: Array.from({ length: count }, () => workspace.id) });
    expect((await ask(0)).data.nodes).toEqual([]);
    expect((await ask(100)).data.nodes).toHaveLength(100);
    expect((await ask(101)).errors?.[0]?.extensions).toMatchObject({
      code: 'INVALID_REQUEST',
      issues: [{ path: ['ids'], message: 'must be at most 100' }],
    });
  });
});
