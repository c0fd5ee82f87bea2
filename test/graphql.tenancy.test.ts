import { createTestApp, type TestApp } from './support/app';
import { buildKey, buildProject, buildWorkspace, ghostOf } from './support/factories';
import { mutations } from './support/mutate';
import { buildPerson } from './support/people';

let app: TestApp;
let mutate: ReturnType<typeof mutations>['mutate'];
let refusal: ReturnType<typeof mutations>['refusal'];
let issuePaths: ReturnType<typeof mutations>['issuePaths'];

beforeAll(async () => {
  app = await createTestApp();
  ({ mutate, refusal, issuePaths } = mutations(app));
});

afterAll(() => app.close());

const NO_WORKSPACE = ghostOf('ws');
const NO_PROJECT = ghostOf('prj');

describe('createWorkspace', () => {
  it('creates a workspace that has only an empty wallet', async () => {
    const { workspace } = await mutate(
      'createWorkspace',
      { name: 'Acme, Inc. 🏢', slug: 'acme-inc', keyPrefix: 'acme' },
      `
        workspace {
          id name slug keyPrefix createdAt
          wallet { id balance workspace { id } }
          projects { nodes { id } }
          keys { nodes { id } }
          requestLogs { nodes { id } }
        }
      `,
    );
    expect(workspace).toEqual({
      id: expect.stringMatching(/^ws_[0-9A-Za-z_-]{1,61}$/),
      name: 'Acme, Inc. 🏢',
      slug: 'acme-inc',
      keyPrefix: 'acme',
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      wallet: { id: expect.stringMatching(/^wal_[0-9A-Za-z_-]{1,60}$/), balance: 0, workspace: { id: workspace.id } },
      projects: { nodes: [] },
      keys: { nodes: [] },
      requestLogs: { nodes: [] },
    });
    const { data } = await app.graphql('query ($id: ID!) { workspace(id: $id) { name } node(id: $id) { __typename id } }', {
      id: workspace.id,
    });
    expect(data).toEqual({ workspace: { name: 'Acme, Inc. 🏢' }, node: { __typename: 'Workspace', id: workspace.id } });
  });

  it.each([
    ['blue', 'blue'],
    ['big-blue', 'bigblue'],
    ['2fast', 'fast'],
    ['--x9--', 'x9'],
    ['a-company-of-a-long-name', 'acompanyofal'],
    ['99', 'key'],
    ['1-a', 'key'],
  ])('makes the key prefix from the slug if it is absent or null: %s gives %s', async (slug, keyPrefix) => {
    expect((await mutate('createWorkspace', { name: 'A', slug }, 'workspace { keyPrefix }')).workspace.keyPrefix).toBe(keyPrefix);
    const { workspace } = await mutate('createWorkspace', { name: 'A', slug: `${slug}-`, keyPrefix: null }, 'workspace { keyPrefix }');
    expect(workspace.keyPrefix).toBe(keyPrefix);
  });

  it('refuses a taken slug with CONFLICT, but lets workspaces share a key prefix', async () => {
    await mutate('createWorkspace', { name: 'First', slug: 'taken', keyPrefix: 'same' }, '__typename');
    expect(await refusal('createWorkspace', { name: 'Second', slug: 'taken' })).toMatchObject({ code: 'CONFLICT' });
    await mutate('createWorkspace', { name: 'Second', slug: 'not-taken', keyPrefix: 'same' }, '__typename');
  });

  it('gives a slug to one of many concurrent mutations', async () => {
    const asked = Array.from({ length: 8 }, () =>
      app.graphql('mutation { createWorkspace(input: { name: "A", slug: "wanted" }) { workspace { id } } }'),
    );
    const codes = (await Promise.all(asked)).map(({ errors }) => errors?.[0]?.extensions.code ?? 'created').sort();
    expect(codes).toEqual([...Array.from({ length: 7 }, () => 'CONFLICT'), 'created']);
  });

  it('lists every invalid part of the input', async () => {
    expect(await issuePaths('createWorkspace', { name: '', slug: 'A', keyPrefix: '1x' })).toEqual([
      'input.keyPrefix',
      'input.name',
      'input.slug',
    ]);
    for (const slug of ['a', 'a'.repeat(41), 'Acme', 'a_b', 'a b', 'é-é'])
      expect(await issuePaths('createWorkspace', { name: 'A', slug })).toEqual(['input.slug']);
    for (const keyPrefix of ['a', 'a'.repeat(13), '1a', 'A1', 'a-b', ''])
      expect(await issuePaths('createWorkspace', { name: 'A', slug: 'free', keyPrefix })).toEqual(['input.keyPrefix']);
    for (const name of ['', ' ', ' a', 'a\n', 'a\u0000b', '😀'.repeat(101)])
      expect(await issuePaths('createWorkspace', { name, slug: 'free' })).toEqual(['input.name']);
    await mutate('createWorkspace', { name: '😀'.repeat(100), slug: 'free' }, '__typename');
  });
});

describe('updateWorkspace', () => {
  it('changes the given fields and keeps the absent ones', async () => {
    const { id, slug } = await buildWorkspace(app, { name: 'Old', keyPrefix: 'old' });
    const all = 'workspace { id name slug keyPrefix }';
    expect(await mutate('updateWorkspace', { id, name: 'New' }, all)).toEqual({ workspace: { id, name: 'New', slug, keyPrefix: 'old' } });
    expect(await mutate('updateWorkspace', { id, keyPrefix: 'new' }, all)).toEqual({
      workspace: { id, name: 'New', slug, keyPrefix: 'new' },
    });
    expect(await mutate('updateWorkspace', { id }, all)).toEqual({ workspace: { id, name: 'New', slug, keyPrefix: 'new' } });
  });

  it('refuses null for either field, and returns NOT_FOUND for a workspace that does not exist', async () => {
    const { id } = await buildWorkspace(app);
    expect(await issuePaths('updateWorkspace', { id, name: null, keyPrefix: null })).toEqual(['input.keyPrefix', 'input.name']);
    expect(await refusal('updateWorkspace', { id: NO_WORKSPACE, name: 'New' })).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('lets only the operator change the key prefix; a refused attempt by others changes nothing', async () => {
    const owner = await buildPerson(app);
    const { id } = owner.workspace;
    const key = await buildKey(app, { workspace: owner.workspace, permissions: ['write', 'admin', 'demo.*'] });
    const stranger = await buildPerson(app);
    for (const credential of [owner.cookie, key.secret]) {
      expect(await refusal('updateWorkspace', { id, name: 'Mine', keyPrefix: 'mine' }, credential)).toMatchObject({ code: 'FORBIDDEN' });
      expect(await mutate('updateWorkspace', { id, name: 'Named' }, 'workspace { name keyPrefix }', credential)).toEqual({
        workspace: { name: 'Named', keyPrefix: 'acme' },
      });
    }
    expect(await refusal('updateWorkspace', { id, keyPrefix: 'mine' }, stranger.cookie)).toMatchObject({ code: 'NOT_FOUND' });
    expect(await mutate('updateWorkspace', { id, keyPrefix: 'brand' }, 'workspace { keyPrefix }')).toEqual({
      workspace: { keyPrefix: 'brand' },
    });
  });

  it('changes the prefix of new secrets only; existing secrets keep working', async () => {
    const workspace = await buildWorkspace(app, { keyPrefix: 'before' });
    const { secret, project } = await buildKey(app, { workspace });
    await mutate('updateWorkspace', { id: workspace.id, keyPrefix: 'after' }, '__typename');
    const minted = await buildKey(app, { project });
    expect([secret.split('_', 1)[0], minted.secret.split('_', 1)[0]]).toEqual(['before', 'after']);
    expect((await app.rest({ secret })).status).toBe(200);
    expect((await app.rest({ secret: minted.secret })).status).toBe(200);
  });
});

describe('createProject', () => {
  const all = `
    project {
      id name slug galleryMode galleryId
      workspace { id }
      budget { balance held available }
      rateLimit { sustainedRps burst }
      archivedAt
    }
  `;

  it('creates a project with an empty budget, the default rate limit and a separate gallery', async () => {
    const workspace = await buildWorkspace(app);
    const { project } = await mutate('createProject', { workspaceId: workspace.id, name: 'Web', slug: 'web' }, all);
    expect(project).toEqual({
      id: expect.stringMatching(/^prj_[0-9A-Za-z_-]{1,60}$/),
      name: 'Web',
      slug: 'web',
      galleryMode: 'ISOLATED',
      galleryId: expect.stringMatching(/^gal_[0-9A-Za-z_-]{1,60}$/),
      workspace: { id: workspace.id },
      budget: { balance: 0, held: 0, available: 0 },
      rateLimit: { sustainedRps: 1000, burst: 2000 },
      archivedAt: null,
    });
  });

  it('accepts a rate limit and a gallery mode; only SHARED projects of one workspace have the same gallery', async () => {
    const [workspace, other] = [await buildWorkspace(app), await buildWorkspace(app)];
    const create = async (workspaceId: string, slug: string, galleryMode: string) =>
      (await mutate('createProject', { workspaceId, name: 'P', slug, galleryMode, rateLimit: { sustainedRps: 0.5, burst: 3 } }, all))
        .project;
    const one = await create(workspace.id, 'one', 'SHARED');
    const two = await create(workspace.id, 'two', 'SHARED');
    const alone = await create(workspace.id, 'alone', 'ISOLATED');
    const elsewhere = await create(other.id, 'one', 'SHARED');
    expect(one.rateLimit).toEqual({ sustainedRps: 0.5, burst: 3 });
    expect(two.galleryId).toBe(one.galleryId);
    expect(new Set([one, alone, elsewhere].map(({ galleryId }) => galleryId)).size).toBe(3);
  });

  it('refuses a slug that is taken in its workspace with CONFLICT, and accepts it in another workspace', async () => {
    const [one, other] = [await buildWorkspace(app), await buildWorkspace(app)];
    await mutate('createProject', { workspaceId: one.id, name: 'P', slug: 'same' }, '__typename');
    expect(await refusal('createProject', { workspaceId: one.id, name: 'P', slug: 'same' })).toMatchObject({ code: 'CONFLICT' });
    await mutate('createProject', { workspaceId: other.id, name: 'P', slug: 'same', rateLimit: null }, '__typename');
  });

  it('lists every invalid part of the input, and returns NOT_FOUND for a workspace that does not exist', async () => {
    const { id: workspaceId } = await buildWorkspace(app);
    const wrong = { workspaceId, name: 'x'.repeat(101), slug: 'x', rateLimit: { sustainedRps: -1, burst: 0 } };
    expect(await issuePaths('createProject', wrong)).toEqual([
      'input.name',
      'input.rateLimit.burst',
      'input.rateLimit.sustainedRps',
      'input.slug',
    ]);
    const limits = [
      { sustainedRps: 1_000_001, burst: 1 },
      { sustainedRps: -1, burst: 1 },
      { sustainedRps: 1, burst: 1_000_001 },
      { sustainedRps: 1e-9, burst: 1_000_000 },
    ];
    for (const rateLimit of limits)
      expect((await issuePaths('createProject', { workspaceId, name: 'P', slug: 'web', rateLimit }))[0]).toMatch(/^input\.rateLimit/);
    expect(await refusal('createProject', { workspaceId: NO_WORKSPACE, name: 'P', slug: 'web' })).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('updateProject', () => {
  it('changes the given fields and keeps the absent ones', async () => {
    const project = await buildProject(app, { budget: 0, rateLimit: { sustainedRps: 5, burst: 6 } });
    const all = 'project { name slug galleryMode rateLimit { sustainedRps burst } }';
    const before = { name: 'Project', slug: project.slug, galleryMode: 'ISOLATED', rateLimit: { sustainedRps: 5, burst: 6 } };
    expect(await mutate('updateProject', { id: project.id }, all)).toEqual({ project: before });
    expect(await mutate('updateProject', { id: project.id, name: 'New' }, all)).toEqual({ project: { ...before, name: 'New' } });
    const rest = { galleryMode: 'SHARED', rateLimit: { sustainedRps: 7, burst: 6 } };
    expect(await mutate('updateProject', { id: project.id, ...rest }, all)).toEqual({ project: { ...before, ...rest, name: 'New' } });
  });

  it('refuses null for any field, an invalid limit, and a project that does not exist', async () => {
    const { id } = await buildProject(app, { budget: 0 });
    const nulls = await issuePaths('updateProject', { id, name: null, galleryMode: null, rateLimit: null });
    expect(nulls).toEqual(['input.galleryMode', 'input.name', 'input.rateLimit']);
    expect(await issuePaths('updateProject', { id, rateLimit: { sustainedRps: 1, burst: 0 } })).toEqual(['input.rateLimit.burst']);
    expect(await refusal('updateProject', { id: NO_PROJECT, name: 'New' })).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('gives a project one of several concurrent rate limits, never a mixture', async () => {
    const { id } = await buildProject(app, { budget: 0, rateLimit: { sustainedRps: 1, burst: 1 } });
    const limits = [{ sustainedRps: 1, burst: 10 }, { sustainedRps: 20, burst: 1 }];
    for (let round = 0; round < 10; round += 1) {
      await mutate('updateProject', { id, rateLimit: { sustainedRps: 1, burst: 1 } }, '__typename');
      await Promise.all(limits.map((rateLimit) => mutate('updateProject', { id, rateLimit }, '__typename')));
      const { data } = await app.graphql('query ($id: ID!) { project(id: $id) { rateLimit { sustainedRps burst } } }', { id });
      expect(limits).toContainEqual(data.project.rateLimit);
    }
  });
});

describe('archiveProject', () => {
  it('stops its keys at once and refuses new keys', async () => {
    const { key, secret, project } = await buildKey(app);
    expect((await app.rest({ secret })).status).toBe(200);
    const { project: archived } = await mutate('archiveProject', { id: project.id }, 'project { id archivedAt keys { nodes { status } } }');
    expect(archived).toEqual({ id: project.id, archivedAt: expect.stringMatching(/Z$/), keys: { nodes: [{ status: 'DISABLED' }] } });
    const { status, body } = await app.rest({ secret });
    expect({ status, error: body.error }).toMatchObject({ status: 401, error: { code: 'DISABLED_API_KEY', details: { key_id: key.id } } });
    expect(await refusal('mintKey', { projectId: project.id, name: 'Late', permissions: [] })).toMatchObject({ code: 'CONFLICT' });
    expect(await mutate('updateKey', { id: key.id, enabled: true }, 'key { status }')).toEqual({ key: { status: 'DISABLED' } });
    expect((await app.rest({ secret })).body.error.code).toBe('DISABLED_API_KEY');
  });

  it('lets credits be taken back from its budget, and accepts no more credits', async () => {
    const project = await buildProject(app, { budget: 5_000 });
    await mutate('archiveProject', { id: project.id }, '__typename');
    expect(await refusal('allocateBudget', { projectId: project.id, amount: 1 })).toMatchObject({ code: 'CONFLICT' });
    const { wallet, project: emptied } = await mutate(
      'allocateBudget',
      { projectId: project.id, amount: -5_000 },
      'wallet { balance } project { budget { balance } }',
    );
    expect([wallet.balance, emptied.budget.balance]).toEqual([5_000, 0]);
  });

  it('changes nothing when repeated, and returns NOT_FOUND for a project that does not exist', async () => {
    const { id } = await buildProject(app, { budget: 0 });
    const first = await mutate('archiveProject', { id }, 'project { archivedAt }');
    app.travel(1_000);
    expect(await mutate('archiveProject', { id }, 'project { archivedAt }')).toEqual(first);
    expect(await refusal('archiveProject', { id: NO_PROJECT })).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('removes the project from the list of projects, unless the list includes archived projects', async () => {
    const workspace = await buildWorkspace(app);
    const [living, archived] = [await buildProject(app, { workspace, budget: 0 }), await buildProject(app, { workspace, budget: 0 })];
    await mutate('archiveProject', { id: archived.id }, '__typename');
    const { data } = await app.graphql(
      'query ($id: ID!) { workspace(id: $id) { living: projects { nodes { id } } all: projects(includeArchived: true) { nodes { id } } } }',
      { id: workspace.id },
    );
    expect(data.workspace.living.nodes).toEqual([{ id: living.id }]);
    expect(data.workspace.all.nodes).toHaveLength(2);
    expect(data.workspace.all.nodes).toContainEqual({ id: archived.id });
  });
});
