import { Session } from '../src/access/sessions/session.entity';
import { createTestApp, type TestApp } from './support/app';
import type { Credential } from './support/clients';
import { buildKey, buildProject, ghostOf } from './support/factories';
import { mutations } from './support/mutate';
import { buildClient, tokensFor } from './support/oauth';
import { buildPerson, type BuiltPerson } from './support/people';

// Objects of people and applications, found by their ids. test/tenancy.test.ts tests each look-up for every kind of caller.

let app: TestApp;
let owner: BuiltPerson;
/** An id of each type, in the owner's workspace. */
let ids: Record<string, string>;

const typesOf = async (asked: string[], credential: Credential): Promise<(string | undefined)[]> => {
  const { data } = await app.graphql('query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }', { ids: asked }, credential);
  const found = data.nodes as ({ __typename: string; id: string } | null)[];
  expect(found.map((node, index) => node === null || node.id === asked[index])).toEqual(asked.map(() => true));
  return found.map((node) => node?.__typename);
};

beforeAll(async () => {
  app = await createTestApp();
  const built = await buildClient(app);
  owner = built.person;
  await tokensFor(app, built, { scope: 'read.keys' });
  const { invitation } = await mutations(app).mutate(
    'inviteMember',
    { workspaceId: owner.workspace.id, email: 'invited@example.com', roleId: 'rol_viewer' },
    'invitation { id }',
  );
  const { data } = await app.graphql(
    '{ viewer { id actorId memberships { id } consents { nodes { id } } } }',
    {},
    owner.cookie,
  );
  const { id: session } = await app.database.reader.findOneByOrFail(Session, { userId: owner.person.id });
  ids = {
    OAuthClient: built.client.id,
    Consent: data.viewer.consents.nodes[0].id,
    Invitation: invitation.id,
    Membership: data.viewer.memberships[0].id,
    Session: session,
    User: data.viewer.actorId,
    Viewer: data.viewer.id,
  };
});

afterAll(() => app.close());

const oneOfEach = (): [string[], string[]] => [Object.keys(ids), Object.values(ids)];

it('node finds every object that has an id, with its type', async () => {
  const [types, asked] = oneOfEach();
  expect(await typesOf(asked, owner.cookie)).toEqual(types);
  const queries = ['oauthClient', 'consent', 'invitation', 'membership', 'session', 'user'];
  for (const [index, query] of queries.entries()) {
    const { data } = await app.graphql(`query ($id: ID!) { ${query}(id: $id) { __typename id } }`, { id: asked[index] }, owner.cookie);
    expect(data[query]).toEqual({ __typename: types[index], id: asked[index] });
  }
});

it('gives a person without read.members only what is its own', async () => {
  const colleague = await buildPerson(app, { workspace: owner.workspace, roleId: 'rol_billing' });
  const { data } = await app.graphql('{ viewer { id actorId memberships { id } sessions { id } } }', {}, colleague.cookie);
  const { id, actorId, memberships, sessions } = data.viewer;
  const own = [id, actorId, memberships[0].id, sessions[0].id];
  expect(await typesOf(own, colleague.cookie)).toEqual(['Viewer', 'User', 'Membership', 'Session']);
  const [types, asked] = oneOfEach();
  const { data: seen, errors } = await app.graphql(
    'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }',
    { ids: asked },
    colleague.cookie,
  );
  expect(seen.nodes).toEqual(asked.map(() => null));
  const refused = (errors ?? []).map(({ path, extensions }) => [types[path?.[1] as number], extensions.code]); // in any order
  expect(refused.sort()).toEqual(['Consent', 'Invitation', 'Membership', 'OAuthClient', 'User'].map((type) => [type, 'FORBIDDEN']));
});

it('gives other tenants the same as for an unknown id, and nobody else’s session to the operator', async () => {
  const stranger = await buildPerson(app);
  const key = await buildKey(app, { permissions: ['admin'] });
  const [types, asked] = oneOfEach();
  for (const credential of [stranger.cookie, key.secret]) {
    expect(await typesOf(asked, credential)).toEqual(asked.map(() => undefined));
    expect(await typesOf(asked.map(ghostOf), credential)).toEqual(asked.map(() => undefined));
  }
  expect(await typesOf(asked, app.rootKey)).toEqual(types.map((type) => (['Session', 'Viewer'].includes(type) ? undefined : type)));
});

it('hides a person from a former colleague at once', async () => {
  const former = await buildPerson(app, { workspace: owner.workspace });
  expect(await typesOf([former.person.id], owner.cookie)).toEqual(['User']);
  await mutations(app).mutate('removeMember', { workspaceId: owner.workspace.id, userId: former.person.id }, '__typename');
  expect(await typesOf([former.person.id], owner.cookie)).toEqual([undefined]);
  expect(await typesOf([owner.person.id], former.cookie)).toEqual([undefined]);
});

describe('workspaceBySlug and projectBySlug', () => {
  const QUERY = `query ($slug: String!, $id: ID!, $project: String!) {
    workspaceBySlug(slug: $slug) { id }
    projectBySlug(workspaceId: $id, slug: $project) { id }
  }`;
  const find = async (slug: string, id: string, project: string, credential: Credential = owner.cookie) =>
    (await app.graphql(QUERY, { slug, id, project }, credential)).data;
  const NOTHING = { workspaceBySlug: null, projectBySlug: null };

  it('find a workspace, and a project of this workspace, by the whole slug', async () => {
    const { workspace } = owner;
    const project = await buildProject(app, { workspace });
    const elsewhere = await buildProject(app);
    expect(await find(workspace.slug, workspace.id, project.slug)).toEqual({
      workspaceBySlug: { id: workspace.id },
      projectBySlug: { id: project.id },
    });
    for (const other of [`${project.slug} `, project.slug.slice(1), project.slug.toUpperCase(), elsewhere.slug, ''])
      expect((await find(workspace.slug, workspace.id, other)).projectBySlug).toBeNull();
    for (const other of [`${workspace.slug} `, workspace.slug.toUpperCase(), '']) expect(await find(other, workspace.id, '')).toEqual(NOTHING);
  });

  it('give other tenants the same as for an unknown slug', async () => {
    const { workspace } = owner;
    const project = await buildProject(app, { workspace });
    const stranger = await buildPerson(app);
    const { secret } = await buildKey(app, { permissions: ['demo.*', 'admin'] });
    for (const credential of [stranger.cookie, secret]) {
      expect(await find(workspace.slug, workspace.id, project.slug, credential)).toEqual(NOTHING);
      expect(await find('nobody-has-it', ghostOf(workspace.id), project.slug, credential)).toEqual(NOTHING);
      expect((await find('nobody-has-it', stranger.workspace.id, project.slug, stranger.cookie)).projectBySlug).toBeNull();
    }
  });
});
