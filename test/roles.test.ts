import { readFileSync } from 'node:fs';
import type { Authority } from '../src/access/authority';
import { ADMINISTRATIVE_PERMISSIONS, allows } from '../src/access/permissions';
import { Membership } from '../src/access/people/membership.entity';
import { BUILT_IN_ROLES, OWNER_ROLE_ID } from '../src/access/roles/role.entity';
import { Workspace } from '../src/tenancy/workspace.entity';
import type { TestApp } from './support/app';
import type { Credential } from './support/clients';
import { ORIGIN, buildKey, buildProject, buildServiceAccount, buildWorkspace, ghostOf } from './support/factories';
import { rowsOf, sectionOf } from './support/markdown';
import { mutations } from './support/mutate';
import { closeNodes, createNodes } from './support/nodes';
import { PASSWORD, buildPerson, insertMember, tokenOf, type BuiltPerson } from './support/people';

let app: TestApp;
let other: TestApp;
let workspace: Workspace;
let mutate: ReturnType<typeof mutations>['mutate'];
let refusal: ReturnType<typeof mutations>['refusal'];

beforeAll(async () => {
  [app, other] = await createNodes();
  ({ mutate, refusal } = mutations(app));
  workspace = await buildWorkspace(app);
});

afterAll(() => closeNodes(other, app));

const keyWith = (permissions: string[], roleId?: string) => buildKey(app, { workspace, permissions, ...(roleId && { roleId }) });

const roleWith = async (permissions: string[], secret?: string): Promise<string> =>
  (await mutate('createRole', { workspaceId: workspace.id, name: `Role ${Math.random()}`, permissions }, 'role { id }', secret)).role.id;

const join = (roleId: string, workspaceId = workspace.id): Promise<string> => insertMember(app, { workspaceId, roleId });

/** Returns the current authority of a person, for a request that runs later. */
async function authorityOf({ person }: BuiltPerson): Promise<Authority> {
  const { authenticator } = app;
  return { ...ORIGIN, actor: await authenticator.byId(app.database.reader, person.id), current: (tx) => authenticator.byId(tx, person.id) };
}

describe('the table of roles in the documents', () => {
  it('agrees with the built-in roles', () => {
    const section = sectionOf(readFileSync('docs/service-accounts-and-roles.md', 'utf8'), 'Roles');
    expect(section).toContain(`| permission | ${BUILT_IN_ROLES.map(({ name }) => name).join(' | ')} |`);
    const single = ADMINISTRATIVE_PERMISSIONS.filter(({ name }) => name.includes('.') || name === 'webhook');
    expect(rowsOf(section)).toEqual(
      single.map(({ name }) => [`\`${name}\``, ...BUILT_IN_ROLES.map(({ permissions }) => (allows(permissions, name) ? 'yes' : ''))]),
    );
  });
});

describe('a key that administers', () => {
  it('can use its permissions in its workspace, and each refusal names the missing permission', async () => {
    const { secret, key } = await keyWith(['read.keys', 'demo.*']);
    const { data, errors } = await app.graphql(
      'query ($id: ID!) { workspace(id: $id) { name keys { nodes { id } } wallet { balance } requestLogs { nodes { id } } } }',
      { id: workspace.id },
      secret,
    );
    expect(data.workspace).toEqual({
      name: 'Workspace',
      keys: { nodes: expect.arrayContaining([{ id: key.id }]) },
      wallet: null,
      requestLogs: null,
    });
    expect(errors?.map(({ message, path, extensions }) => [path?.join('.'), extensions.code, message])).toEqual([
      ['workspace.wallet', 'FORBIDDEN', 'This needs the permission read.wallet.'],
      ['workspace.requestLogs', 'FORBIDDEN', 'This needs the permission read.logs.'],
    ]);
    expect(await refusal('revokeKey', { id: key.id }, secret)).toMatchObject({
      code: 'FORBIDDEN',
      message: 'This needs the permission write.keys.',
    });
  });

  it('is never an operator, with any permissions', async () => {
    const { secret } = await keyWith(['admin', 'demo.*']);
    expect(await refusal('createWorkspace', { name: 'Mine', slug: 'mine-all-mine' }, secret)).toMatchObject({ code: 'FORBIDDEN' });
    expect(await refusal('topUpWallet', { workspaceId: workspace.id, amount: 5, reference: 'free' }, secret)).toMatchObject({
      code: 'FORBIDDEN',
    });
    expect((await app.graphql('{ viewer { kind } workspaces { nodes { id } } }', {}, secret)).data).toEqual({
      viewer: { kind: 'API_KEY' },
      workspaces: { nodes: [{ id: workspace.id }] },
    });
  });

  it('gets NOT_FOUND for objects of other tenants', async () => {
    const { secret } = await keyWith(['admin', 'demo.*']);
    const { key: foreign, project } = await buildKey(app);
    for (const [mutation, input] of [
      ['rotateKey', { id: foreign.id }],
      ['updateKey', { id: foreign.id, name: 'Mine' }],
      ['mintKey', { projectId: project.id, name: 'Mine', permissions: [] }],
      ['createRole', { workspaceId: project.workspaceId, name: 'Mine', permissions: [] }],
      ['setMemberRole', { workspaceId: project.workspaceId, userId: await join('rol_viewer', project.workspaceId), roleId: 'rol_owner' }],
    ] as const) {
      expect([mutation, await refusal(mutation, input, secret)]).toMatchObject([mutation, { code: 'NOT_FOUND' }]);
    }
  });

  it('also has the permissions of its role, and sees changes of the role with the next call on every node', async () => {
    const roleId = await roleWith(['read.wallet']);
    const { secret } = await keyWith(['demo.*'], roleId);
    const balance = async () =>
      (await other.graphql('query ($id: ID!) { workspace(id: $id) { wallet { balance } } }', { id: workspace.id }, secret)).data.workspace;
    expect(await balance()).toEqual({ wallet: { balance: expect.any(Number) } });
    await mutate('updateRole', { id: roleId, permissions: ['read.keys'] }, '__typename');
    expect(await balance()).toEqual({ wallet: null });
    await mutate('updateRole', { id: roleId, permissions: [] }, '__typename');
    expect(await balance()).toBeNull();
  });
});

describe('a caller', () => {
  it('cannot grant a permission that it lacks to a new key, by name, wildcard or role', async () => {
    const { secret, project } = await keyWith(['write.keys', 'read.keys', 'demo.echo']);
    const mint = (input: object) => refusal('mintKey', { projectId: project.id, name: 'More', permissions: [], ...input }, secret);
    for (const name of ['write.projects', 'write', 'read', 'read.*', 'admin', 'demo.*', 'demo.fail']) {
      expect([name, await mint({ permissions: [name] })]).toMatchObject([
        name,
        { code: 'FORBIDDEN', message: `This needs the permission ${name}.` },
      ]);
    }
    for (const roleId of ['rol_owner', 'rol_admin', 'rol_developer', 'rol_viewer', await roleWith(['read.audit'])]) {
      expect([roleId, await mint({ roleId })]).toMatchObject([roleId, { code: 'FORBIDDEN' }]);
    }
    const { key } = await mutate(
      'mintKey',
      { projectId: project.id, name: 'Less', permissions: ['demo.echo', 'read.keys'] },
      'key { permissions }',
      secret,
    );
    expect(key.permissions).toEqual(['demo.echo', 'read.keys']);
  });

  it('cannot grant a permission that it lacks to itself or another key, and cannot rotate or re-enable a key that has it', async () => {
    const { secret, key, project } = await keyWith(['write.keys', 'demo.echo']);
    const { key: stronger } = await keyWith(['demo.echo', 'admin']);
    const { key: byRole } = await keyWith(['demo.echo'], 'rol_owner');
    expect(await refusal('updateKey', { id: key.id, permissions: ['write.keys', 'demo.echo', 'admin'] }, secret)).toMatchObject({
      code: 'FORBIDDEN',
    });
    expect(await refusal('updateKey', { id: key.id, roleId: 'rol_owner' }, secret)).toMatchObject({ code: 'FORBIDDEN' });
    for (const { id } of [stronger, byRole]) {
      expect(await refusal('rotateKey', { id }, secret)).toMatchObject({ code: 'FORBIDDEN' });
      expect(await refusal('updateKey', { id, allowedIps: [] }, secret)).toMatchObject({ code: 'FORBIDDEN' });
      expect(await refusal('updateKey', { id, enabled: true }, secret)).toMatchObject({ code: 'FORBIDDEN' });
      expect((await mutate('updateKey', { id, enabled: false }, 'key { status }', secret)).key.status).toBe('DISABLED');
      expect((await mutate('revokeKey', { id }, 'key { status }', secret)).key.status).toBe('REVOKED');
    }
    expect(project.workspaceId).toBe(workspace.id);
  });

  it('cannot grant a permission that it lacks by a new or changed role', async () => {
    const { secret } = await keyWith(['admin.roles', 'read.keys', 'demo.*']);
    expect(await refusal('createRole', { workspaceId: workspace.id, name: 'Mine', permissions: ['read.logs'] }, secret)).toMatchObject({
      code: 'FORBIDDEN',
    });
    const id = await roleWith(['read.keys'], secret);
    expect(await refusal('updateRole', { id, permissions: ['read.keys', 'write.keys'] }, secret)).toMatchObject({ code: 'FORBIDDEN' });
  });

  it('cannot remove a permission that it lacks from a role, because every holder of the role would lose it', async () => {
    const { secret } = await keyWith(['admin.roles', 'read.keys', 'demo.*']);
    const id = await roleWith(['admin', 'read.keys']);
    for (const permissions of [[], ['read.keys']])
      expect(await refusal('updateRole', { id, permissions }, secret)).toMatchObject({ code: 'FORBIDDEN' });
    expect((await mutate('updateRole', { id, name: `Renamed ${id}` }, 'role { permissions }', secret)).role.permissions).toEqual([
      'admin',
      'read.keys',
    ]);
  });

  it('cannot hand on the right to make credentials, in any form, unless it is a person', async () => {
    const { secret, key, project } = await keyWith(['admin', 'demo.*']);
    const { key: peer } = await keyWith(['write.keys']);
    const [developer, another, viewer] = [await join('rol_developer'), await join('rol_developer'), await join('rol_viewer')];
    const member = (userId: string, roleId: string) => ({ workspaceId: workspace.id, userId, roleId });
    for (const permissions of [['write.keys'], ['write.*'], ['write'], ['admin']]) {
      const message = `Only a person may grant the permission ${permissions[0]}.`;
      expect(await refusal('mintKey', { projectId: project.id, name: 'Heir', permissions }, secret)).toMatchObject({
        code: 'FORBIDDEN',
        message,
      });
      expect(await refusal('createRole', { workspaceId: workspace.id, name: 'Heirs', permissions }, secret)).toMatchObject({
        code: 'FORBIDDEN',
        message,
      });
    }
    for (const [mutation, input] of [
      ['mintKey', { projectId: project.id, name: 'Heir', permissions: [], roleId: 'rol_developer' }],
      ['rotateKey', { id: key.id }],
      ['rotateKey', { id: peer.id }],
      ['updateKey', { id: peer.id, expiresAt: null }],
      ['inviteMember', { workspaceId: workspace.id, email: 'heir@example.com', roleId: 'rol_developer' }],
      ['setMemberRole', member(viewer, 'rol_developer')],
    ] as const) {
      expect([mutation, await refusal(mutation, input, secret)]).toMatchObject([
        mutation,
        { code: 'FORBIDDEN', message: expect.stringContaining('Only a person may grant') },
      ]);
    }
    await mutate('mintKey', { projectId: project.id, name: 'Reader', permissions: ['read', 'demo.*'] }, '__typename', secret);
    await mutate('setMemberRole', member(developer, 'rol_viewer'), '__typename', secret);
    await mutate('removeMember', { workspaceId: workspace.id, userId: another }, '__typename', secret);
    await mutate('updateRole', { id: await roleWith(['write.keys', 'read.keys']), permissions: ['read.keys'] }, '__typename', secret);
  });

  it('cannot grant a permission that it lacks to a member, and cannot remove or demote a member who has it', async () => {
    const { secret } = await keyWith(['admin.members', 'read', 'demo.*']);
    const [viewer, owner, spare] = [await join('rol_viewer'), await join(OWNER_ROLE_ID), await join(OWNER_ROLE_ID)];
    const set = (userId: string, roleId: string) => ({ workspaceId: workspace.id, userId, roleId });
    for (const roleId of ['rol_owner', 'rol_admin', 'rol_developer', 'rol_billing'])
      expect(await refusal('setMemberRole', set(viewer, roleId), secret)).toMatchObject({ code: 'FORBIDDEN' });
    expect(await refusal('setMemberRole', set(owner, 'rol_viewer'), secret)).toMatchObject({ code: 'FORBIDDEN' });
    expect(await refusal('removeMember', { workspaceId: workspace.id, userId: owner }, secret)).toMatchObject({ code: 'FORBIDDEN' });
    await mutate('removeMember', { workspaceId: workspace.id, userId: viewer }, '__typename', secret);
    await mutate('removeMember', { workspaceId: workspace.id, userId: spare }, '__typename');
  });
});

describe('a right that has ended', () => {
  it('is not used by a request that was authenticated before: when two owners remove each other, the second is refused', async () => {
    const { id } = await buildWorkspace(app);
    const own = await app.database.reader.findOneByOrFail(Workspace, { id });
    const project = await buildProject(app, { workspace: own });
    const [ada, bob] = [await buildPerson(app, { workspace: own }), await buildPerson(app, { workspace: own })];
    const [asAda, asBob] = [await authorityOf(ada), await authorityOf(bob)];
    const { members, roles, keys } = app.services;
    await members.remove(asAda, { workspaceId: id, userId: bob.person.id });
    for (const late of [
      () => members.remove(asBob, { workspaceId: id, userId: ada.person.id }),
      () => members.setRole(asBob, { workspaceId: id, userId: ada.person.id, roleId: 'rol_viewer' }),
      () => roles.create(asBob, { workspaceId: id, name: 'Late', permissions: [] }),
      () => keys.mint(asBob, { projectId: project.id, name: 'Late', permissions: [] }),
      () => app.people.invitations.invite(asBob, { workspaceId: id, email: 'late@example.com', roleId: 'rol_owner' }),
    ]) {
      await expect(late()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }
  });

  it('is not used by the rest of a document after a mutation in it has ended the right', async () => {
    const { id } = await buildWorkspace(app);
    const own = await app.database.reader.findOneByOrFail(Workspace, { id });
    const { person, cookie } = await buildPerson(app, { workspace: own });
    await buildPerson(app, { workspace: own });
    const document = `mutation {
      leave: removeMember(input: { workspaceId: "${id}", userId: "${person.id}" }) { __typename }
      invite: inviteMember(input: { workspaceId: "${id}", email: "again@example.com", roleId: "rol_owner" }) { link }
      make: createProject(input: { workspaceId: "${id}", name: "Late", slug: "late" }) { __typename }
    }`;
    const { data, errors } = await app.graphql(document, {}, cookie);
    expect(data).toEqual({ leave: { __typename: 'RemoveMemberPayload' }, invite: null, make: null });
    expect(errors?.map(({ extensions }) => extensions.code)).toEqual(['NOT_FOUND', 'NOT_FOUND']);
  });

  it('makes the inviter’s invitations unusable until the inviter has it again', async () => {
    const { id } = await buildWorkspace(app);
    const own = await app.database.reader.findOneByOrFail(Workspace, { id });
    const inviter = await buildPerson(app, { workspace: own, roleId: 'rol_admin' });
    const { person } = inviter;
    const authority = await authorityOf(inviter);
    const friends = [await buildPerson(app), await buildPerson(app)] as const;
    const invited = async ({ person: { email } }: BuiltPerson) =>
      tokenOf((await app.people.invitations.invite(authority, { workspaceId: id, email, roleId: 'rol_admin' })).link ?? '');
    const [beforeLowering, beforeRemoval] = [await invited(friends[0]), await invited(friends[1])];
    const accept = (token: string) =>
      app.people.invitations.accept(undefined, { token, password: PASSWORD }, { ip: null, userAgent: null });
    await mutate('setMemberRole', { workspaceId: id, userId: person.id, roleId: 'rol_developer' }, '__typename');
    await expect(accept(beforeLowering)).rejects.toThrow('This link is invalid or has expired. Ask for a new one.');
    await mutate('setMemberRole', { workspaceId: id, userId: person.id, roleId: 'rol_admin' }, '__typename');
    await accept(beforeLowering);
    await mutate('removeMember', { workspaceId: id, userId: person.id }, '__typename');
    await expect(accept(beforeRemoval)).rejects.toThrow('This link is invalid or has expired. Ask for a new one.');
  });
});

describe('a role of another tenant', () => {
  it('gives NOT_FOUND like an unknown role, in mutations of keys, members and roles', async () => {
    const { project } = await buildKey(app);
    const foreign = (await mutate('createRole', { workspaceId: project.workspaceId, name: 'Theirs', permissions: [] }, 'role { id }')).role
      .id;
    const { secret, project: own } = await keyWith(['admin', 'demo.*']);
    const { key } = await buildKey(app, { project: own });
    const userId = await join('rol_viewer');
    for (const roleId of [foreign, ghostOf(foreign)]) {
      for (const credential of [secret, app.rootKey]) {
        expect(await refusal('mintKey', { projectId: own.id, name: 'K', permissions: [], roleId }, credential)).toMatchObject({
          code: 'NOT_FOUND',
        });
        expect(await refusal('updateKey', { id: key.id, roleId }, credential)).toMatchObject({ code: 'NOT_FOUND' });
        expect(await refusal('setMemberRole', { workspaceId: workspace.id, userId, roleId }, credential)).toMatchObject({
          code: 'NOT_FOUND',
        });
      }
      expect(await refusal('updateRole', { id: roleId, name: 'Mine' }, secret)).toMatchObject({ code: 'NOT_FOUND' });
      expect(await refusal('deleteRole', { id: roleId }, secret)).toMatchObject({ code: 'NOT_FOUND' });
      expect((await app.graphql('query ($id: ID!) { node(id: $id) { id } }', { id: roleId }, secret)).data).toEqual({ node: null });
    }
    const { secret: reader } = await keyWith(['read.logs', 'demo.*']);
    const { errors } = await app.graphql('query ($id: ID!) { node(id: $id) { id } }', { id: await roleWith([]) }, reader);
    expect(errors?.[0]?.message).toBe('This needs the permission read.members.');
  });
});

describe('a role in use', () => {
  it('cannot be deleted', async () => {
    const byKey = await roleWith(['read.keys']);
    const { key } = await keyWith([], byKey);
    expect(await refusal('deleteRole', { id: byKey })).toMatchObject({
      code: 'CONFLICT',
      message: 'This role cannot be deleted while a key has it. Give another role first.',
    });
    await mutate('revokeKey', { id: key.id }, '__typename');
    await mutate('deleteRole', { id: byKey }, '__typename');
    const byMember = await roleWith(['read.keys']);
    await join(byMember);
    expect(await refusal('deleteRole', { id: byMember })).toMatchObject({
      code: 'CONFLICT',
      message: 'This role cannot be deleted while a person has it. Give another role first.',
    });
  });
});

describe('a project that a key creates', () => {
  it('can only be in a workspace where the key may create projects', async () => {
    const { secret } = await keyWith(['write.projects', 'demo.*']);
    const { project } = await mutate(
      'createProject',
      { workspaceId: workspace.id, name: 'Made', slug: 'made-by-key' },
      'project { workspace { id } }',
      secret,
    );
    expect(project.workspace.id).toBe(workspace.id);
    const foreign = await buildProject(app);
    expect(await refusal('createProject', { workspaceId: foreign.workspaceId, name: 'Made', slug: 'made-by-key' }, secret)).toMatchObject({
      code: 'NOT_FOUND',
    });
  });
});

describe('viewerPermissions', () => {
  /** Returns the caller's permissions in the workspace, and in each project of the list. */
  async function heldBy(credential: Credential, of: Workspace, projectIds: string[] = []): Promise<string[][]> {
    const query = `query ($id: ID!, $ids: [ID!]!) {
      workspace(id: $id) { viewerPermissions }
      nodes(ids: $ids) { ... on Project { viewerPermissions } }
    }`;
    const { data } = await app.graphql(query, { id: of.id, ids: projectIds }, credential);
    return [data.workspace, ...data.nodes].map(({ viewerPermissions }) => viewerPermissions);
  }

  it('expands wildcards and bundles to names of Query.permissions, in each workspace of a person separately', async () => {
    const { data } = await app.graphql('{ permissions { name } }');
    const all: string[] = data.permissions.map(({ name }: { name: string }) => name);
    const project = await buildProject(app, { workspace });
    expect(await heldBy(app.rootKey, workspace, [project.id])).toEqual([all, all]);
    const person = await buildPerson(app, { workspace });
    const elsewhere = await buildWorkspace(app);
    await app.database.transaction((tx) =>
      tx.insert(Membership, { userId: person.person.id, workspaceId: elsewhere.id, roleId: 'rol_billing', createdAt: new Date() }),
    );
    const administrative = all.filter((name) => ADMINISTRATIVE_PERMISSIONS.some((permission) => permission.name === name));
    expect(await heldBy(person.cookie, workspace, [project.id])).toEqual([administrative, administrative]);
    expect(await heldBy(person.cookie, elsewhere)).toEqual([['read.logs', 'read.wallet', 'write.budgets']]);
  });

  it('has the permissions of actions only in the projects in which the caller may call', async () => {
    const home = await buildProject(app, { workspace });
    const next = await buildProject(app, { workspace });
    const values = { permissions: ['demo.*', 'read.keys'] };
    const { secret } = await buildKey(app, { project: home, ...values });
    const account = await buildServiceAccount(app, { projects: [home], ...values });
    for (const credential of [secret, account.secret]) {
      const [inWorkspace = [], atHome = [], elsewhere = []] = await heldBy(credential, workspace, [home.id, next.id]);
      expect(inWorkspace).toEqual(['demo.echo', 'demo.fail', 'read.keys']);
      expect([atHome, elsewhere]).toEqual([inWorkspace, ['read.keys']]);
    }
  });

  it('is empty for an owner without the second factor that the workspace requires', async () => {
    const owner = await buildPerson(app);
    await mutate('updateWorkspace', { id: owner.workspace.id, requiresSecondFactor: true }, '__typename');
    expect(await heldBy(owner.cookie, owner.workspace)).toEqual([[]]);
  });

  it('of a role: effectivePermissions has each permission that its wildcards and bundles grant', async () => {
    await roleWith(['read.*', 'webhook']);
    const { data } = await app.graphql('query ($id: ID!) { workspace(id: $id) { roles { permissions effectivePermissions } } }', {
      id: workspace.id,
    });
    for (const { permissions, effectivePermissions } of data.workspace.roles)
      expect(effectivePermissions).toEqual(ADMINISTRATIVE_PERMISSIONS.map(({ name }) => name).filter((name) => allows(permissions, name)));
    const own = data.workspace.roles.find(({ permissions }: { permissions: string[] }) => permissions.includes('read.*'));
    expect(own.effectivePermissions).toEqual(['read.keys', 'read.logs', 'read.wallet', 'read.members', 'read.audit', 'webhook']);
  });
});
