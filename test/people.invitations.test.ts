import { Invitation } from '../src/access/people/invitation.entity';
import { Membership } from '../src/access/people/membership.entity';
import { Role } from '../src/access/roles/role.entity';
import { Workspace } from '../src/tenancy/workspace.entity';
import type { TestApp } from './support/app';
import { cookieOf } from './support/clients';
import { ORIGIN, buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';
import { closeNodes, createNodes } from './support/nodes';
import { PASSWORD, buildPerson, enableSecondFactor, signIn, statusOf, tokenOf, type BuiltPerson } from './support/people';

const DAY_MS = 86_400_000;

let app: TestApp;
let other: TestApp;

beforeAll(async () => {
  [app, other] = await createNodes();
});

afterAll(() => closeNodes(other, app));

const linkFor = async (workspaceId: string, email: string, roleId = 'rol_viewer'): Promise<string> =>
  tokenOf((await mutations(app).mutate('inviteMember', { workspaceId, email, roleId }, 'link')).link);
const accept = (
  token: string,
  rest: object = { name: 'Ada', password: PASSWORD },
  credential: { cookie: string } | null = null,
  node = app,
) =>
  node.graphql(
    'mutation ($input: AcceptInvitationInput!) { acceptInvitation(input: $input) { viewer { actorId email } } }',
    { input: { token, ...rest } },
    credential,
  );
const codeOf = ({ errors }: Awaited<ReturnType<typeof accept>>): string => errors?.[0]?.extensions.code ?? 'ok';

describe('an invitation', () => {
  it('can be created only with admin.members, and only for a role that the inviter may grant', async () => {
    const owner = await buildPerson(app);
    const { workspace } = owner;
    const admin = await buildPerson(app, { workspace, roleId: 'rol_admin' });
    const developer = await buildPerson(app, { workspace, roleId: 'rol_developer' });
    const stranger = await buildPerson(app);
    const { email } = (await buildPerson(app)).person;
    const refusal = async ({ cookie }: BuiltPerson, roleId: string) =>
      (
        await app.graphql(
          'mutation ($input: InviteMemberInput!) { inviteMember(input: $input) { link } }',
          { input: { workspaceId: workspace.id, email, roleId } },
          cookie,
        )
      ).errors?.[0]?.extensions.code;
    expect(await refusal(owner, 'rol_owner')).toBeUndefined();
    expect(await refusal(admin, 'rol_admin')).toBeUndefined();
    expect(await refusal(admin, 'rol_owner')).toBe('FORBIDDEN');
    expect(await refusal(developer, 'rol_viewer')).toBe('FORBIDDEN');
    expect(await refusal(stranger, 'rol_viewer')).toBe('NOT_FOUND');
  });

  it('to an address without an account needs the operator or a mail server', async () => {
    const { workspace, cookie } = await buildPerson(app);
    const { mutate, refusal } = mutations(app);
    const input = { workspaceId: workspace.id, email: 'ceo@example.com', roleId: 'rol_viewer' };
    expect(await refusal('inviteMember', input, cookie)).toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/operator.*SMTP_URL/),
    });
    expect((await mutate('inviteMember', input, 'link')).link).toContain('/invitation?token=');
    expect((await mutate('inviteMember', { ...input, email: (await buildPerson(app)).person.email }, 'link', cookie)).link).toContain(
      '/invitation?token=',
    );
  });

  it('is limited to 100 at once for each workspace, then one a minute', async () => {
    const { id: workspaceId } = await buildWorkspace(app);
    const { id: elsewhere } = await buildWorkspace(app);
    const { mutate, refusal } = mutations(app);
    const input = { workspaceId, email: 'often@example.com', roleId: 'rol_viewer' };
    const inviteInput = `{ workspaceId: "${workspaceId}", email: "often@example.com", roleId: "rol_viewer" }`;
    const invite = `inviteMember(input: ${inviteInput}) { __typename }`;
    const document = `mutation { ${Array.from({ length: 50 }, (_, index) => `m${index}: ${invite}`).join(' ')} }`;
    for (const half of [document, document]) expect((await app.graphql(half)).errors).toBeUndefined();
    expect((await refusal('inviteMember', input)).code).toBe('RATE_LIMITED');
    await mutate('inviteMember', { ...input, workspaceId: elsewhere }, 'link');
    app.travel(60_000);
    await mutate('inviteMember', input, 'link');
    expect((await refusal('inviteMember', input)).code).toBe('RATE_LIMITED');
    app.travel(-60_000);
  });

  it('needs a built-in role or a role of the same workspace', async () => {
    const [mine, others] = [await buildWorkspace(app), await buildWorkspace(app)];
    const role = (workspaceId: string) => ({
      id: `rol_of_${workspaceId}`,
      workspaceId,
      name: 'Own',
      permissions: ['read.logs'],
      createdAt: new Date(),
    });
    await app.database.transaction((tx) => tx.insert(Role, [role(mine.id), role(others.id)]));
    const { refusal, mutate } = mutations(app);
    const input = (roleId: string) => ({ workspaceId: mine.id, email: 'new@example.com', roleId });
    expect((await mutate('inviteMember', input(`rol_of_${mine.id}`), 'invitation { role { name } }')).invitation.role.name).toBe('Own');
    for (const roleId of [`rol_of_${others.id}`, 'rol_nobody', mine.id])
      expect((await refusal('inviteMember', input(roleId))).code).toBe('NOT_FOUND');
  });

  it('is CONFLICT for a member, and replaces an earlier invitation of the same address', async () => {
    const { workspace, person } = await buildPerson(app);
    expect(
      (await mutations(app).refusal('inviteMember', { workspaceId: workspace.id, email: person.email.toUpperCase(), roleId: 'rol_viewer' }))
        .code,
    ).toBe('CONFLICT');
    const earlier = await linkFor(workspace.id, 'bob@example.com');
    const later = await linkFor(workspace.id, 'Bob@example.com ');
    const open = await app.graphql(
      `query ($id: ID!) {
        workspace(id: $id) {
          invitations { nodes { email role { id } } }
          members { nodes { user { id } role { id } } }
        }
      }`,
      { id: workspace.id },
    );
    expect(open.data.workspace).toEqual({
      invitations: { nodes: [{ email: 'bob@example.com', role: { id: 'rol_viewer' } }] },
      members: { nodes: [{ user: { id: person.id }, role: { id: 'rol_owner' } }] },
    });
    expect([codeOf(await accept(earlier)), codeOf(await accept(later))]).toEqual(['NOT_FOUND', 'ok']);
  });

  it('is refused with the same message if it is withdrawn, expired, used or does not exist', async () => {
    const { id } = await buildWorkspace(app);
    const { mutate, refusal } = mutations(app);
    const { invitation, link } = await mutate(
      'inviteMember',
      { workspaceId: id, email: 'a@example.com', roleId: 'rol_viewer' },
      'invitation { id } link',
    );
    for (let time = 0; time < 2; time++)
      expect(
        (await mutate('withdrawInvitation', { id: invitation.id }, 'invitation { withdrawnAt }')).invitation.withdrawnAt,
      ).not.toBeNull();
    const used = await linkFor(id, 'b@example.com');
    await accept(used);
    const accepted = await app.database.reader.findOneByOrFail(Invitation, { workspaceId: id, email: 'b@example.com' });
    expect((await refusal('withdrawInvitation', { id: accepted.id })).code).toBe('CONFLICT');
    const expired = await linkFor(id, 'c@example.com');
    app.travel(7 * DAY_MS - 60_000);
    const alive = await linkFor(id, 'd@example.com');
    app.travel(60_000);
    const answers = await Promise.all(
      [tokenOf(link), used, expired, 'invite_nonsense', '', 'x'.repeat(5_000)].map((token) => accept(token)),
    );
    app.travel(-7 * DAY_MS);
    expect(new Set(answers.map(({ errors }) => JSON.stringify(errors)))).toEqual(new Set([JSON.stringify(answers[0]?.errors)]));
    expect(codeOf(answers[0] as (typeof answers)[0])).toBe('NOT_FOUND');
    expect(codeOf(await accept(alive))).toBe('ok');
  });

  it('lets only one request join if several use its link at once on two nodes', async () => {
    const { id } = await buildWorkspace(app);
    const token = await linkFor(id, 'twice@example.com');
    const answers = await Promise.all(
      [app, other, app, other].map((node) => accept(token, { name: 'Ada', password: PASSWORD }, null, node)),
    );
    expect(answers.filter((answer) => codeOf(answer) === 'ok')).toHaveLength(1);
    expect(await app.database.reader.countBy(Membership, { workspaceId: id })).toBe(1);
  });

  it('needs a name and a valid password for a new account', async () => {
    const token = await linkFor((await buildWorkspace(app)).id, 'new-person@example.com');
    const bad = [
      { password: PASSWORD },
      { name: '', password: PASSWORD },
      { name: 'Ada' },
      { name: 'Ada', password: 'elevenchars' },
      { name: 'Ada', password: 'x'.repeat(257) },
      { name: 'Ada', password: 'New-Person@example.com' },
    ];
    for (const input of bad) expect(codeOf(await accept(token, input))).toBe('INVALID_REQUEST');
    expect(codeOf(await accept(token, { name: 'Ada', password: 'ﬃ'.repeat(4) }))).toBe('ok'); // twelve letters, written as four ligatures
    expect((await signIn(app, { email: 'new-person@example.com', password: 'ffi'.repeat(4) })).outcome).toBe('ok');
  });

  it('needs the password or a session of an existing account', async () => {
    const ada = await buildPerson(app);
    const [first, second, third] = [await buildWorkspace(app), await buildWorkspace(app), await buildWorkspace(app)];
    const token = await linkFor(first.id, ada.person.email);
    expect(codeOf(await accept(token, { name: 'Eve', password: 'another password' }))).toBe('UNAUTHENTICATED');
    const eve = await buildPerson(app);
    expect(codeOf(await accept(token, {}, eve.cookie))).toBe('UNAUTHENTICATED');
    const byPassword = await accept(token, { password: ada.password });
    expect(await statusOf(app, cookieOf(byPassword))).toBe(200);
    const bySession = await accept(await linkFor(second.id, ada.person.email), {}, ada.cookie);
    expect(bySession.data.acceptInvitation.viewer).toEqual({ actorId: ada.person.id, email: ada.person.email });
    await enableSecondFactor(app, ada, (await app.database.now()).getTime());
    const withFactor = await accept(await linkFor(third.id, ada.person.email), { password: ada.password });
    expect(withFactor.data.acceptInvitation.viewer).toBeNull();
    expect(withFactor.headers.getSetCookie()).toEqual([]);
    expect(await app.database.reader.countBy(Membership, { userId: ada.person.id })).toBe(4);
  });
});

describe('a member', () => {
  it('loses permissions at once on every node after removal, a lower role, or a new requirement of a second factor', async () => {
    const { workspace, person, cookie } = await buildPerson(app);
    const rename = async (node: TestApp) =>
      (
        await node.graphql(
          'mutation ($id: ID!) { updateWorkspace(input: { id: $id, name: "Renamed" }) { workspace { id } } }',
          { id: workspace.id },
          cookie,
        )
      ).errors?.[0]?.extensions.code ?? 'ok';
    const write = (work: Parameters<TestApp['database']['transaction']>[0]) => app.database.transaction(work);
    expect(await rename(other)).toBe('ok');
    await write((tx) => tx.update(Membership, { userId: person.id }, { roleId: 'rol_viewer' }));
    expect(await rename(other)).toBe('FORBIDDEN');
    await write((tx) => tx.update(Membership, { userId: person.id }, { roleId: 'rol_owner' }));
    await write((tx) => tx.update(Workspace, { id: workspace.id }, { requiresSecondFactor: true }));
    expect(await rename(other)).toBe('FORBIDDEN');
    const { data } = await other.graphql('{ viewer { permissions memberships { workspace { id } secondFactorMissing } } }', {}, cookie);
    expect(data.viewer).toEqual({ permissions: [], memberships: [{ workspace: { id: workspace.id }, secondFactorMissing: true }] });
    await write((tx) => tx.update(Workspace, { id: workspace.id }, { requiresSecondFactor: false }));
    expect(await rename(other)).toBe('ok');
    await write((tx) => tx.delete(Membership, { userId: person.id }));
    expect(await rename(other)).toBe('NOT_FOUND');
  });

  it.each([
    [
      'leaves',
      async ({ workspace, person }: BuiltPerson) => `removeMember(input: { workspaceId: "${workspace.id}", userId: "${person.id}" })`,
    ],
    [
      'sets a new password with a link, which ends the session,',
      async ({ person }: BuiltPerson) => {
        const token = tokenOf((await app.people.passwords.resetLink(ORIGIN, person.email)) ?? '');
        return `resetPassword(input: { token: "${token}", newPassword: "a third horse, a third battery" })`;
      },
    ],
  ])('who %s has no permissions in the later mutations of the same document', async (_name, ending) => {
    const leaver = await buildPerson(app);
    const { workspace, cookie } = leaver;
    await buildPerson(app, { workspace });
    const document = `mutation {
      a: ${await ending(leaver)} { __typename }
      b: updateWorkspace(input: { id: "${workspace.id}", name: "Renamed" }) { workspace { wallet { balance } } }
    }`;
    const { data, errors } = await app.graphql(document, {}, cookie);
    expect(data).toMatchObject({ a: expect.anything(), b: null });
    expect(errors?.[0]).toMatchObject({ path: ['b'], extensions: { code: 'NOT_FOUND' } });
  });
});
