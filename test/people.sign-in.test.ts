import { cookieOf } from './support/clients';
import { createTestApp, type TestApp } from './support/app';
import { buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';
import { PASSWORD, buildPerson, tokenOf } from './support/people';

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp();
});

afterAll(() => app.close());

it('an invited person accepts, signs out, signs in and is the viewer', async () => {
  const { mutate } = mutations(app);
  const { id: workspaceId } = await buildWorkspace(app, { name: 'Acme' });
  const invited = await mutate(
    'inviteMember',
    { workspaceId, email: ' Ada@Example.COM', roleId: 'rol_owner' },
    'invitation { id email role { id } expiresAt } link',
  );
  expect(invited).toMatchObject({
    invitation: { email: 'ada@example.com', role: { id: 'rol_owner' } },
    link: expect.stringMatching(`^${app.url}/invitation\\?token=invite_`),
  });

  const input = { token: tokenOf(invited.link), name: 'Ada', password: PASSWORD };
  const accepted = await app.graphql(
    'mutation ($input: AcceptInvitationInput!) { acceptInvitation(input: $input) { viewer { kind id name email } } }',
    { input },
    null,
  );
  expect(accepted).toMatchObject({
    status: 200,
    errors: undefined,
    data: { acceptInvitation: { viewer: { kind: 'USER', name: 'Ada', email: 'ada@example.com' } } },
  });
  const first = cookieOf(accepted);
  const viewer = `{
      viewer {
        kind id name email permissions secondFactorEnabled
        memberships { workspace { id name } role { id } user { email } joinedAt secondFactorMissing }
        sessions { id current }
      }
    }`;
  const { data } = await app.graphql(viewer, {}, first);
  expect(data.viewer).toMatchObject({
    kind: 'USER',
    id: accepted.data.acceptInvitation.viewer.id,
    email: 'ada@example.com',
    permissions: expect.arrayContaining(['admin.security']),
    secondFactorEnabled: false,
    memberships: [
      {
        workspace: { id: workspaceId, name: 'Acme' },
        role: { id: 'rol_owner' },
        user: { email: 'ada@example.com' },
        secondFactorMissing: false,
      },
    ],
    sessions: [{ current: true }],
  });

  expect((await app.graphql('mutation { signOut { session { endedAt } } }', {}, first)).data.signOut.session.endedAt).not.toBeNull();
  expect((await app.graphql('{ viewer { id } }', {}, first)).status).toBe(401);

  const signIn = { email: 'ADA@example.com', password: PASSWORD };
  const again = await app.graphql(
    'mutation ($input: SignInInput!) { signIn(input: $input) { viewer { id } secondFactorRequired } }',
    { input: signIn },
    null,
  );
  expect(again.data.signIn).toEqual({ viewer: { id: data.viewer.id }, secondFactorRequired: false });
  expect((await app.graphql(viewer, {}, cookieOf(again))).data.viewer.id).toBe(data.viewer.id);
});

it('buildPerson returns a person who is signed in', async () => {
  const { cookie, person } = await buildPerson(app, { roleId: 'rol_viewer' });
  expect((await app.graphql('{ viewer { actorId permissions } }', {}, cookie)).data.viewer).toEqual({
    actorId: person.id,
    permissions: ['read.keys', 'read.logs', 'read.wallet', 'read.members'],
  });
});
