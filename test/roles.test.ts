import { readFileSync } from 'node:fs';
import { IsNull } from 'typeorm';
import { Membership } from '../src/access/people/membership.entity';
import type { Authority } from '../src/access/authority';
import { ADMINISTRATIVE_PERMISSIONS, allows } from '../src/access/permissions';
import { BUILT_IN_ROLES, OWNER_ROLE_ID } from '../src/access/roles/role.entity';
import { AuditEvent } from '../src/audit/event.entity';
import { ApiKey } from '../src/keys/key.entity';
import { Workspace } from '../src/tenancy/workspace.entity';
import type { TestApp } from './support/app';
import { ORIGIN, buildKey, buildProject, buildWorkspace, ghostOf } from './support/factories';
import { rowsOf, sectionOf } from './support/markdown';
import { mutations } from './support/mutate';
import { closeNodes, createNodes } from './support/nodes';
import { longestTurnOf } from './support/processor-time';
import { PASSWORD, buildPerson, tokenOf, type BuiltPerson } from './support/people';

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

async function join(roleId: string, workspaceId = workspace.id): Promise<string> {
  const userId = `usr_${Math.random().toString(36).slice(2)}`;
  await app.database.transaction((tx) => tx.insert(Membership, { userId, workspaceId, roleId, createdAt: new Date() }));
  return userId;
}

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

describe('the keys that a member minted', () => {
  const CREATED_BY = 'key { id createdBy { actorKind actorId userId } } secret';
  const LIVE = `query ($ws: ID!) { workspace(id: $ws) {
    members(first: 1) { nodes { user { id } liveKeysMinted { nodes { id name } totalCount } } }
  } }`;

  /** Counts the keys of a workspace that a person minted and that are neither revoked nor have an end. */
  const liveKeysOf = (workspaceId: string, createdByUserId: string) =>
    app.database.reader.countBy(ApiKey, { workspaceId, createdByUserId, revokedAt: IsNull(), expiresAt: IsNull() });

  const keyWith = async (id: string, permissions: string[]) =>
    buildKey(app, { workspace: await app.database.reader.findOneByOrFail(Workspace, { id }), permissions });

  /** Creates a member with four keys: live, disabled, revoked and expired. The live key minted a fifth key, `own`. */
  async function minter() {
    const built = await buildPerson(app, { workspace: await buildWorkspace(app), roleId: 'rol_admin' });
    const { id } = built.workspace;
    const project = await buildProject(app, { workspace: built.workspace });
    const mint = (name: string, credential: typeof built.cookie | string | undefined = built.cookie, permissions = ['demo.*']) =>
      mutate('mintKey', { projectId: project.id, name, permissions }, CREATED_BY, credential);
    const live = await mint('live', undefined, ['demo.*', 'write.keys']);
    const [disabled, revoked, expired] = [await mint('disabled'), await mint('revoked'), await mint('expired')];
    const own = await mint('own', live.secret);
    const operators = await mint('of the operator', app.rootKey);
    await mutate('updateKey', { id: disabled.key.id, enabled: false }, '__typename');
    await mutate('revokeKey', { id: revoked.key.id }, '__typename');
    await mutate('updateKey', { id: expired.key.id, expiresAt: '2020-01-01T00:00:00Z' }, '__typename');
    const status = async ({ secret }: { secret: string }, node = app) => (await node.rest({ secret })).body.error?.code ?? 'ok';
    return { ...built, id, project, mint, live, disabled, own, operators, status };
  }

  it('name the actor that minted them, as the audit trail does, and the person behind that actor', async () => {
    const { person, live, own, operators } = await minter();
    expect(live.key.createdBy).toEqual({ actorKind: 'USER', actorId: person.id, userId: person.id });
    expect(own.key.createdBy).toEqual({ actorKind: 'API_KEY', actorId: live.key.id, userId: person.id });
    expect(operators.key.createdBy).toEqual({ actorKind: 'OPERATOR', actorId: 'operator', userId: null });
    const unknown = { createdByKind: null, createdById: null, createdByUserId: null };
    await app.database.transaction((tx) => tx.update(ApiKey, { id: live.key.id }, unknown));
    const { data } = await app.graphql('query ($id: ID!) { key(id: $id) { createdBy { actorId } } }', { id: live.key.id });
    expect(data.key.createdBy).toBeNull(); // like a key that is older than these columns
  });

  it('are listed while they work, for callers with read.keys, also after the member was removed', async () => {
    const { id, person, live, disabled, own } = await minter();
    const listed = async (credential?: string) => (await app.graphql(LIVE, { ws: id }, credential)).data.workspace.members.nodes[0];
    const alive = [own, disabled, live].map(({ key }) => key.id);
    const { user, liveKeysMinted } = await listed();
    expect([user.id, liveKeysMinted.nodes.map((key: { id: string }) => key.id), liveKeysMinted.totalCount]).toEqual([person.id, alive, 3]);
    const { secret } = await keyWith(id, ['read.members', 'demo.*']);
    expect((await listed(secret)).liveKeysMinted).toBeNull();
    expect((await mutate('removeMember', { workspaceId: id, userId: person.id }, 'keysRevoked')).keysRevoked).toBe(0);
    const query = 'query ($ws: ID!, $filter: ApiKeyFilter) { workspace(id: $ws) { keys(filter: $filter) { nodes { id } } } }';
    const { data } = await app.graphql(query, { ws: id, filter: { createdByUserId: [person.id], status: ['ACTIVE', 'DISABLED'] } });
    expect(data.workspace.keys.nodes.map((key: { id: string }) => key.id)).toEqual(alive);
  });

  it('keep working after the member is removed, or with revokeKeys end on every node at once, each with its event', async () => {
    const [kept, ended] = [await minter(), await minter()];
    await mutate('removeMember', { workspaceId: kept.id, userId: kept.person.id }, '__typename');
    expect([await kept.status(kept.live), await kept.status(kept.own)]).toEqual(['ok', 'ok']);
    const query = 'mutation ($input: RemoveMemberInput!) { removeMember(input: $input) { keysRevoked workspace { id } } }';
    const body = JSON.stringify({ query, variables: { input: { workspaceId: ended.id, userId: ended.person.id, revokeKeys: true } } });
    const headers = { 'content-type': 'application/json', 'x-api-key': app.rootKey, 'idempotency-key': 'remove-once' };
    const remove = async () => (await fetch(`${app.url}/graphql`, { method: 'POST', headers, body })).json() as Promise<object>;
    for (const answer of [await remove(), await remove()]) {
      expect(answer).toMatchObject({ data: { removeMember: { keysRevoked: 3, workspace: { id: ended.id } } } });
    }
    for (const node of [app, other]) {
      const statuses = [await ended.status(ended.live, node), await ended.status(ended.own, node)];
      expect(statuses).toEqual(['REVOKED_API_KEY', 'REVOKED_API_KEY']);
    }
    expect(await ended.status(ended.operators)).toBe('ok');
    const events = await app.database.reader.findBy(AuditEvent, { workspaceId: ended.id, action: 'key.revoked', actorId: 'operator' });
    const reason = 'The member who minted it was removed.';
    const subjects = events.filter(({ after }) => after?.revokedReason === reason).map(({ subjectId }) => subjectId);
    expect(subjects.sort()).toEqual([ended.live, ended.disabled, ended.own].map(({ key }) => key.id).sort());
  });

  it('are revoked only if the caller has write.keys; a refused removal leaves the member and the keys', async () => {
    const { id, person, live, status } = await minter();
    const { secret } = await keyWith(id, ['admin.members', 'read', 'demo.*']);
    await mutate('setMemberRole', { workspaceId: id, userId: person.id, roleId: 'rol_viewer' }, '__typename');
    const input = { workspaceId: id, userId: person.id, revokeKeys: true };
    const message = 'This needs the permission write.keys.';
    expect(await refusal('removeMember', input, secret)).toMatchObject({ code: 'FORBIDDEN', message });
    expect(await app.database.reader.existsBy(Membership, { workspaceId: id, userId: person.id })).toBe(true);
    expect(await status(live)).toBe('ok');
  });

  it('are revoked without blocking the process, even if there are a thousand', async () => {
    const { id, person, live } = await minter();
    const key = await app.database.reader.findOneByOrFail(ApiKey, { id: live.key.id });
    const copies = Array.from({ length: 1_000 }, (_, index) => ({ ...key, id: `${key.id.slice(0, -4)}${String(index).padStart(4, '0')}` }));
    for (let at = 0; at < copies.length; at += 200) await app.database.transaction((tx) => tx.insert(ApiKey, copies.slice(at, at + 200)));
    const remove = () => mutate('removeMember', { workspaceId: id, userId: person.id, revokeKeys: true }, 'keysRevoked');
    const { answer, longestMs } = await longestTurnOf(remove);
    expect(answer.keysRevoked).toBe(1_003);
    expect(longestMs).toBeLessThan(150);
    expect(await liveKeysOf(id, person.id)).toBe(0);
    expect(await app.database.reader.countBy(AuditEvent, { workspaceId: id, action: 'key.revoked' })).toBeGreaterThanOrEqual(1_003);
  });

  it('include keys that are minted during the removal: the mint is refused, or its key is revoked too', async () => {
    for (let round = 0; round < 4; round += 1) {
      const { id, person, cookie, project } = await minter();
      const document = 'mutation ($input: MintKeyInput!) { mintKey(input: $input) { secret } }';
      const input = { projectId: project.id, name: 'late', permissions: ['demo.*'] };
      const mint = (node: TestApp) => node.graphql(document, { input }, cookie);
      const mints = [app, other, app, other].map(mint);
      const removed = mutations(app).mutate('removeMember', { workspaceId: id, userId: person.id, revokeKeys: true }, 'keysRevoked');
      await Promise.all([removed, ...mints]);
      expect(await liveKeysOf(id, person.id)).toBe(0);
    }
  });
});

describe('the last owner', () => {
  it('cannot be removed or demoted, even by many concurrent requests', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { id: workspaceId } = await buildWorkspace(app);
      const owners = await Promise.all([1, 2, 3, 4].map(() => join(OWNER_ROLE_ID, workspaceId)));
      const tries = owners.flatMap((userId, index) => [
        (index % 2 === 0 ? app : other).graphql('mutation ($input: RemoveMemberInput!) { removeMember(input: $input) { __typename } }', {
          input: { workspaceId, userId },
        }),
        (index % 2 === 0 ? other : app).graphql('mutation ($input: SetMemberRoleInput!) { setMemberRole(input: $input) { __typename } }', {
          input: { workspaceId, userId, roleId: 'rol_viewer' },
        }),
      ]);
      const codes = (await Promise.all(tries)).map(({ errors }) => errors?.[0]?.extensions.code);
      expect(codes.filter((code) => code !== undefined && code !== 'CONFLICT' && code !== 'NOT_FOUND')).toEqual([]);
      expect(await app.database.reader.countBy(Membership, { workspaceId, roleId: OWNER_ROLE_ID })).toBe(1);
    }
  });

  it('can be removed once there is another owner', async () => {
    const { id: workspaceId } = await buildWorkspace(app);
    const [first, second] = [await join(OWNER_ROLE_ID, workspaceId), await join('rol_viewer', workspaceId)];
    expect(await refusal('removeMember', { workspaceId, userId: first })).toMatchObject({ code: 'CONFLICT' });
    await mutate('setMemberRole', { workspaceId, userId: second, roleId: OWNER_ROLE_ID }, '__typename');
    await mutate('removeMember', { workspaceId, userId: first }, '__typename');
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
