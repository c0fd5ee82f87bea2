import { IsNull } from 'typeorm';
import { Membership } from '../src/access/people/membership.entity';
import { OWNER_ROLE_ID } from '../src/access/roles/role.entity';
import { AuditEvent } from '../src/audit/event.entity';
import { ApiKey } from '../src/keys/key.entity';
import { Workspace } from '../src/tenancy/workspace.entity';
import type { TestApp } from './support/app';
import { buildKey, buildProject, buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';
import { closeNodes, createNodes } from './support/nodes';
import { longestTurnOf } from './support/processor-time';
import { buildPerson, insertMember } from './support/people';

// The removal of members: what happens to the keys that they minted, and who stays.

let app: TestApp;
let other: TestApp;
let mutate: ReturnType<typeof mutations>['mutate'];
let refusal: ReturnType<typeof mutations>['refusal'];

beforeAll(async () => {
  [app, other] = await createNodes();
  ({ mutate, refusal } = mutations(app));
});

afterAll(() => closeNodes(other, app));

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
      const owners = await Promise.all([1, 2, 3, 4].map(() => insertMember(app, { workspaceId, roleId: OWNER_ROLE_ID })));
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
    const first = await insertMember(app, { workspaceId, roleId: OWNER_ROLE_ID });
    const second = await insertMember(app, { workspaceId, roleId: 'rol_viewer' });
    expect(await refusal('removeMember', { workspaceId, userId: first })).toMatchObject({ code: 'CONFLICT' });
    await mutate('setMemberRole', { workspaceId, userId: second, roleId: OWNER_ROLE_ID }, '__typename');
    await mutate('removeMember', { workspaceId, userId: first }, '__typename');
  });
});
