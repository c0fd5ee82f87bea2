import { setTimeout as wait } from 'node:timers/promises';
import { In } from 'typeorm';
import type { UserPrincipal } from '../src/access/principal';
import { Action } from '../src/actions/action.entity';
import { AuditEvent } from '../src/audit/event.entity';
import { OAuthToken } from '../src/oauth/token.entity';
import { RequestLog } from '../src/requests/request-log.entity';
import { Budget } from '../src/wallet/wallet.entity';
import { createTestApp, type TestApp } from './support/app';
import { ORIGIN, buildAction, buildProject, buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';
import { ask, buildClient, refresh, tokensFor, type BuiltClient } from './support/oauth';
import { buildPerson, tokenOf, type BuiltPerson } from './support/people';

// Rights of tokens, and causes that end them at once on every node.

let app: TestApp;
let other: TestApp;

beforeAll(async () => {
  app = await createTestApp();
  other = await createTestApp({ databaseUrl: app.databaseUrl, config: { publicUrl: app.url } });
});

afterAll(async () => {
  await other.close();
  await app.close();
});

const run = (token: string, node = app, action = 'demo.echo') =>
  node.rest({ headers: { authorization: `Bearer ${token}` }, body: { action } });
const permissionsOf = async (token: string, node = app): Promise<string[] | number> => {
  const { status, data } = await node.graphql('{ viewer { permissions } }', {}, token);
  return status === 200 ? data.viewer.permissions : status;
};

const NOWHERE = { ip: null, userAgent: null };

async function joinAsOwner({ person }: BuiltPerson, workspaceId: string): Promise<void> {
  const { link } = await app.people.invitations.invite(ORIGIN, { workspaceId, email: person.email, roleId: 'rol_owner' });
  await app.people.invitations.accept(person.id, { token: tokenOf(link ?? '') }, NOWHERE);
}

async function resetPassword({ person }: BuiltPerson): Promise<void> {
  const link = await app.people.passwords.resetLink(ORIGIN, person.email);
  await app.people.passwords.reset({ token: tokenOf(link ?? ''), newPassword: 'a third horse, a third battery' }, NOWHERE, undefined);
}

describe('a token', () => {
  it('runs only its permitted actions, and only in the chosen project, which is billed', async () => {
    const built = await buildClient(app);
    const { access } = await tokensFor(app, built);
    for (const node of [app, other])
      expect((await run(access, node)).body).toMatchObject({ ok: true, billing: { chargedMicroCredits: 1_000 } });
    expect((await run(access, app, 'demo.fail')).body.error).toMatchObject({
      code: 'FORBIDDEN',
      details: { required_permission: 'demo.fail' },
    });
    expect(await app.database.reader.findOneByOrFail(Budget, { projectId: built.project.id })).toMatchObject({ balance: 998_000 });
    const logs = await app.database.reader.findBy(RequestLog, { projectId: built.project.id });
    expect(new Set(logs.map(({ credentialKind }) => credentialKind))).toEqual(new Set(['OAUTH_CLIENT']));
    const { data } = await app.graphql('query ($id: ID!) { project(id: $id) { requestLogs { nodes { outcome key { id } } } } }', {
      id: built.project.id,
    });
    expect(data.project.requestLogs.nodes[0]).toMatchObject({ key: null });
  });

  it('administers its workspace within its permissions, is named in the audit trail, and does not count as a person', async () => {
    const built = await buildClient(app);
    const { access } = await tokensFor(app, built, { scope: 'write.projects write.keys read.keys' });
    const minted = await mutations(app).mutate(
      'mintKey',
      { projectId: built.project.id, name: 'By Shop', permissions: ['read.keys'] },
      'key { createdBy { actorKind actorId userId } }',
      access,
    );
    const createdBy = { actorKind: 'OAUTH_CLIENT', actorId: expect.stringMatching(/^con_/) as string, userId: built.person.person.id };
    expect(minted.key.createdBy).toEqual(createdBy);
    const { project } = await mutations(app).mutate(
      'createProject',
      { workspaceId: built.workspace.id, name: 'By Shop', slug: 'by-shop' },
      'project { id }',
      access,
    );
    const event = await app.database.reader.findOneByOrFail(AuditEvent, { subjectId: project.id });
    expect(event).toMatchObject({ actorKind: 'OAUTH_CLIENT', actorId: expect.stringMatching(/^con_/) });
    const { refusal } = mutations(app);
    expect((await refusal('createRole', { workspaceId: built.workspace.id, name: 'Role', permissions: [] }, access)).code).toBe(
      'FORBIDDEN',
    );
    for (const [name, input] of [
      ['signOut', undefined],
      ['changePassword', { currentPassword: 'a', newPassword: 'b' }],
    ] as const) {
      const call = input ? `${name}(input: { currentPassword: "a", newPassword: "b" })` : name;
      expect((await app.graphql(`mutation { ${call} { __typename } }`, {}, access)).errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    }
    expect((await refusal('withdrawConsent', { id: event.actorId }, access)).code).toBe('NOT_FOUND');
    expect(
      (await refusal('createProject', { workspaceId: (await buildClient(app)).workspace.id, name: 'Foreign', slug: 'foreign' }, access))
        .code,
    ).toBe('NOT_FOUND');
  });

  it('has only permissions that its person may grant, at consent and at each use', async () => {
    const built = await buildClient(app);
    const viewer = await buildPerson(app, { workspace: built.workspace, roleId: 'rol_viewer' });
    const asViewer = await tokensFor(app, { ...built, person: viewer }, { scope: 'read.keys demo.echo admin' });
    expect(asViewer.scope).toBe('read.keys');
    expect((await run(asViewer.access)).body.error.code).toBe('FORBIDDEN');
    const developer = await buildPerson(app, { workspace: built.workspace, roleId: 'rol_developer' });
    const tokens = await tokensFor(app, { ...built, person: developer }, { scope: 'read.keys demo.echo' });
    expect([(await run(tokens.access)).status, await permissionsOf(tokens.access)]).toEqual([200, ['read.keys', 'demo.echo']]);
    await mutations(app).mutate(
      'setMemberRole',
      { workspaceId: built.workspace.id, userId: developer.person.id, roleId: 'rol_billing' },
      '__typename',
    );
    for (const node of [app, other])
      expect([(await run(tokens.access, node)).status, await permissionsOf(tokens.access, node)]).toEqual([403, []]);
    expect((await refresh(app, built, tokens.refresh)).body.scope ?? '').toBe('');
  });

  it('cannot run an action with an identity scope, even if the action requires a permission of that name', async () => {
    const { id, service, name } = await buildAction(app, { upstreamUrl: 'http://127.0.0.1:9/' });
    await app.database.transaction((tx) => tx.update(Action, { id }, { permission: 'email' })); // earlier versions allowed this name
    const { access } = await tokensFor(app, await buildClient(app), { scope: 'openid email' });
    const answer = await app.rest({ service, headers: { authorization: `Bearer ${access}` }, body: { action: name } });
    expect([answer.status, answer.body.error.code]).toEqual([403, 'FORBIDDEN']);
    await app.services.actions.update(ORIGIN, { id, enabled: false, permission: name });
  });

  it('cannot create credentials, because they would outlive it', async () => {
    const built = await buildClient(app);
    const { access } = await tokensFor(app, built, { scope: 'write.keys read.keys' });
    const { mutate, refusal } = mutations(app);
    const input = { projectId: built.project.id, name: 'Heir', permissions: ['write.keys'] };
    expect(await refusal('mintKey', input, access)).toMatchObject({ code: 'FORBIDDEN', message: expect.stringContaining('Only a person') });
    await mutate('mintKey', { ...input, permissions: ['read.keys'] }, '__typename', access);
  });

  it('is refused in a workspace that requires a second factor if its person has none', async () => {
    const built = await buildClient(app);
    const { access } = await tokensFor(app, built);
    await mutations(app).mutate('updateWorkspace', { id: built.workspace.id, requiresSecondFactor: true }, '__typename');
    for (const node of [app, other]) expect([(await run(access, node)).status, await permissionsOf(access, node)]).toEqual([403, []]);
  });
});

describe('all tokens of a consent end at once, on every node, when', () => {
  const ENDS: [string, (built: BuiltClient) => Promise<unknown>, (built: BuiltClient) => Promise<unknown>][] = [
    [
      'the person withdraws it',
      async ({ person }) => {
        const { data } = await app.graphql(
          '{ viewer { consents { nodes { id clientName scopes project { id } user { id } } } } }',
          {},
          person.cookie,
        );
        await mutations(app).mutate('withdrawConsent', { id: data.viewer.consents.nodes[0].id }, 'consent { endedAt }', person.cookie);
      },
      () => Promise.resolve(),
    ],
    [
      'the client is deleted',
      ({ client }) => mutations(app).mutate('deleteOAuthClient', { id: client.id }, 'client { deletedAt }'),
      () => Promise.resolve(),
    ],
    [
      'the person is removed, and they stay ended when the person returns',
      async ({ workspace, person }) => {
        await buildPerson(app, { workspace });
        await mutations(app).mutate('removeMember', { workspaceId: workspace.id, userId: person.person.id }, '__typename');
      },
      ({ workspace, person }) => joinAsOwner(person, workspace.id),
    ],
    [
      'the person resets the password by a link, which is recorded with their number, but not on a password change or sign-out everywhere',
      async (built) => {
        const { person } = built;
        const { access } = await tokensFor(app, built);
        await mutations(app).mutate(
          'changePassword',
          { currentPassword: person.password, newPassword: 'another horse, another battery' },
          '__typename',
          person.cookie,
        );
        await app.graphql('mutation { signOutEverywhere { sessions { id } } }', {}, person.cookie);
        expect((await run(access)).status).toBe(200);
        const elsewhere = await buildWorkspace(app);
        await joinAsOwner(person, elsewhere.id);
        await resetPassword(person);
        const recorded = await app.database.reader.findBy(AuditEvent, { action: 'password.reset', subjectId: person.person.id });
        expect(recorded.map(({ workspaceId, after }) => [workspaceId, after])).toEqual(
          expect.arrayContaining([
            [built.workspace.id, { consents: 2 }],
            [elsewhere.id, { consents: 0 }],
          ]),
        );
      },
      () => Promise.resolve(),
    ],
    [
      'the project is archived',
      ({ project }) => mutations(app).mutate('archiveProject', { id: project.id }, '__typename'),
      () => Promise.resolve(),
    ],
  ];

  it.each(ENDS)('%s', async (_name, end, comeBack) => {
    const built = await buildClient(app);
    const tokens = await tokensFor(app, built);
    for (const node of [app, other])
      expect([(await run(tokens.access, node)).status, await permissionsOf(tokens.access, node)]).toEqual([
        200,
        ['demo.echo', 'read.keys'],
      ]);
    await end(built);
    const isOver = async () => {
      for (const node of [app, other])
        expect([(await run(tokens.access, node)).status, await permissionsOf(tokens.access, node)]).toEqual([401, 401]);
      for (const node of [app, other]) expect([400, 401]).toContain((await refresh(node, built, tokens.refresh)).status);
    };
    await isOver();
    await comeBack(built);
    await isOver();
  });
});

it('a session that a concurrent password reset has ended cannot give consent', async () => {
  const { person, client, project } = await buildClient(app);
  const letIn = (await app.people.sessions.principalOf(person.cookie.cookie.split('=')[1] as string)) as UserPrincipal;
  await resetPassword(person);
  const asked = { clientId: client.id, projectId: project.id, scopes: ['openid'] };
  await expect(app.oauth.consents.give(letIn, asked, NOWHERE)).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

it('a consent given during the removal of its person is ended, and stays ended when the person is back', async () => {
  const built = await buildClient(app);
  const { person, workspace, client, project } = built;
  await buildPerson(app, { workspace });
  const letIn = (await app.people.sessions.principalOf(person.cookie.cookie.split('=')[1] as string)) as UserPrincipal;
  const principalById = app.people.sessions.principalById.bind(app.people.sessions);
  let removal: Promise<unknown> | undefined;
  jest.spyOn(app.people.sessions, 'principalById').mockImplementationOnce(async (tx, id) => {
    const found = await principalById(tx, id); // still a member
    removal = mutations(other).mutate('removeMember', { workspaceId: workspace.id, userId: person.person.id }, '__typename');
    await Promise.race([removal, wait(500)]); // until it is done or waits for a lock
    return found;
  });
  const { id } = await app.oauth.consents.give(letIn, { clientId: client.id, projectId: project.id, scopes: ['openid'] }, NOWHERE);
  await removal;
  await joinAsOwner(person, workspace.id);
  expect(await app.oauth.consents.living(app.database.lookups, id)).toBeNull();
});

it('withdrawing ends all consents to the application in that project, and no others', async () => {
  const built = await buildClient(app);
  const elsewhere = { ...built, project: await buildProject(app, { workspace: built.workspace }) };
  const another = await buildClient(app, { workspace: built.workspace });
  const { person } = built;
  const [first, second] = [await tokensFor(app, built), await tokensFor(app, built)];
  const kept = [
    await tokensFor(app, elsewhere),
    await tokensFor(app, { ...another, person }),
    await tokensFor(app, { ...built, person: another.person }),
  ];
  const { access } = await tokensFor(app, built);
  const { nodes } = (await app.graphql('{ viewer { consents { nodes { id project { id } clientName } } } }', {}, person.cookie)).data.viewer
    .consents;
  const id = nodes.at(-1).id as string; // the oldest
  const withdraw = () => mutations(app).mutate('withdrawConsent', { id }, 'consent { id endedAt }', person.cookie);
  const { consent } = await withdraw();
  expect(consent).toEqual({ id, endedAt: expect.any(String) });
  for (const token of [first.access, second.access, access])
    for (const node of [app, other]) expect((await run(token, node)).status).toBe(401);
  for (const { refresh: token } of [first, second]) expect((await refresh(other, built, token)).status).toBe(400);
  for (const { access: token } of kept) expect((await run(token)).status).toBe(200);
  const again = await tokensFor(app, built);
  expect((await withdraw()).consent).toEqual(consent);
  expect((await run(again.access)).status).toBe(200);
  const recorded = await app.database.reader.findBy(AuditEvent, { workspaceId: built.workspace.id, action: 'consent.withdrawn' });
  expect(recorded).toMatchObject([
    { subjectId: id, actorId: person.person.id, after: { consents: 3, clientId: built.client.id, projectId: built.project.id } },
  ]);
});

it('the audit trail has each step, with its actor and the person', async () => {
  const built = await buildClient(app);
  const tokens = await tokensFor(app, built);
  await refresh(app, built, tokens.refresh);
  await refresh(app, built, tokens.refresh);
  const events = await app.database.reader.find(AuditEvent, {
    where: { workspaceId: built.workspace.id },
    order: { createdAt: 'ASC', id: 'ASC' },
  });
  const recorded = events.filter(({ action }) => /^(oauth-client|consent|token)\.(?!refused)/.test(action));
  expect(recorded.map(({ action, actorKind }) => [action, actorKind])).toEqual([
    ['oauth-client.created', 'SYSTEM'],
    ['consent.given', 'USER'],
    ['token.issued', 'OAUTH_CLIENT'],
    ['token.refreshed', 'OAUTH_CLIENT'],
    ['token.reused', 'OAUTH_CLIENT'],
  ]);
  for (const { subjectId, after } of recorded.slice(2))
    expect([subjectId, after]).toEqual([
      recorded[1]?.subjectId,
      expect.objectContaining({ clientId: built.client.id, userId: built.person.person.id }),
    ]);
});

it('the audit trail records a revoked token as revoked, not as reused', async () => {
  const built = await buildClient(app);
  const { refresh: token } = await tokensFor(app, built);
  expect((await ask(app, '/oauth/revoke', built, { token })).status).toBe(200);
  const recorded = await app.database.reader.findBy(AuditEvent, {
    workspaceId: built.workspace.id,
    action: In(['token.revoked', 'token.reused']),
  });
  expect(recorded).toMatchObject([
    { action: 'token.revoked', actorKind: 'OAUTH_CLIENT', after: { clientId: built.client.id, userId: built.person.person.id } },
  ]);
  expect(recorded[0]?.actorId).toBe(recorded[0]?.subjectId);
});

describe('a refresh', () => {
  it.each([1, 2, 3, 4])(
    'that fails at write number %d consumes no code or token: a retry does not count as reuse',
    async (nth) => {
      const built = await buildClient(app);
      const { refresh: token } = await tokensFor(app, built);
      const transaction = app.database.transaction.bind(app.database);
      let begun = 0;
      const failing = jest
        .spyOn(app.database, 'transaction')
        .mockImplementation((work) => (++begun === nth ? Promise.reject(new Error('the database is gone')) : transaction(work)));
      const { status } = await refresh(app, built, token);
      failing.mockRestore();
      expect(status).toBe(begun >= nth ? 500 : 200);
      if (begun < nth) return; // it has fewer writes
      const { status: again, body } = await refresh(app, built, token);
      expect({ again, body }).toMatchObject({ again: 200, body: { access_token: expect.any(String) } });
      expect((await run(body.access_token)).status).toBe(200);
    },
  );
});

it('expired tokens are deleted, and others are kept', async () => {
  const built = await buildClient(app);
  await tokensFor(app, built);
  const kinds = async () => (await app.database.reader.find(OAuthToken)).map(({ kind }) => kind);
  expect(await kinds()).toEqual(expect.arrayContaining(['AccessToken', 'AuthorizationCode', 'RefreshToken']));
  for (const node of [app, other]) node.travel(7_200_000);
  for (const forgetter of app.forgetters) await forgetter.once();
  expect(new Set(await kinds())).toEqual(new Set(['RefreshToken']));
  for (const node of [app, other]) node.travel(-7_200_000);
});
