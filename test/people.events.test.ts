import { entities } from '../src/entities';
import { newId } from '../src/lib/id';
import { Consent } from '../src/oauth/consent.entity';
import { createTestApp, type TestApp } from './support/app';
import { cookieOf } from './support/clients';
import { buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';
import { MUTATIONS_OF_PEOPLE, enableSecondFactor, signIn, tokenOf } from './support/people';
import { startSmtp, type Smtp } from './support/smtp';
import { eventsWhile } from './support/trail';

const FIRST_PASSWORD = 'the first horse, the first battery';
const SECOND_PASSWORD = 'the second horse, the second battery';
const THIRD_PASSWORD = 'the third horse, the third battery';

let smtp: Smtp;
let app: TestApp;
/** All secrets of the scenario. */
const secrets: string[] = [FIRST_PASSWORD, SECOND_PASSWORD, THIRD_PASSWORD];

beforeAll(async () => {
  smtp = await startSmtp();
  app = await createTestApp({ config: { mail: smtp.mail } });
});

afterAll(() => app.close());

/** The events that `work` and its background tasks record. */
const eventsOf = (work: () => Promise<unknown>) =>
  eventsWhile(app, async () => {
    await work();
    await app.people.background.idle();
  });

const actionsOf = async (work: () => Promise<unknown>): Promise<string[]> => (await eventsOf(work)).map(({ action }) => action).sort();

it('records every mutation of people in each of their workspaces, and no event, table or log line holds a secret', async () => {
  const { mutate, refusal } = mutations(app);
  const [first, second] = [await buildWorkspace(app), await buildWorkspace(app)];
  const email = 'ada@example.com';
  const done = new Set<string>();
  const run = async (name: string, input: Record<string, unknown>, selection: string, cookie?: { cookie: string } | null) => {
    done.add(name);
    return mutate(name, input, selection, cookie);
  };
  const invite = (workspaceId: string) => {
    app.travel(600_000); // mails to one address are limited
    return run('inviteMember', { workspaceId, email, roleId: 'rol_owner' }, 'invitation { id }');
  };

  const [invited] = await eventsOf(() => invite(first.id));
  expect(invited).toMatchObject({
    action: 'member.invited',
    actorKind: 'OPERATOR',
    workspaceId: first.id,
    after: { email, roleId: 'rol_owner' },
  });
  secrets.push(tokenOf(await smtp.linkTo(email)));
  expect(await actionsOf(() => invite(first.id))).toEqual(['invitation.withdrawn', 'member.invited']);
  const token = tokenOf(await smtp.linkTo(email));
  secrets.push(token);
  let cookie = { cookie: '' };
  const joined = await eventsOf(async () => {
    done.add('acceptInvitation');
    cookie = cookieOf(
      await app.graphql(
        'mutation ($input: AcceptInvitationInput!) { acceptInvitation(input: $input) { viewer { id } } }',
        { input: { token, name: 'Ada', password: FIRST_PASSWORD } },
        null,
      ),
    );
  });
  expect(joined.map(({ action, actorKind, workspaceId, ip }) => ({ action, actorKind, workspaceId, ip }))).toEqual(
    expect.arrayContaining(
      ['member.joined', 'session.started'].map((action) => ({ action, actorKind: 'USER', workspaceId: first.id, ip: '127.0.0.1' })),
    ),
  );
  const userId = joined[0]?.actorId as string;

  const { invitation } = await invite(second.id);
  secrets.push(tokenOf(await smtp.linkTo(email)));
  expect(await actionsOf(() => run('withdrawInvitation', { id: invitation.id }, 'invitation { id }'))).toEqual(['invitation.withdrawn']);
  await invite(second.id);
  const another = tokenOf(await smtp.linkTo(email));
  secrets.push(another);
  await run('acceptInvitation', { token: another }, 'viewer { id }', cookie);

  const refused = await eventsOf(() => signIn(app, { email, password: 'not this one' }));
  expect(refused.map(({ action, workspaceId, subjectId, after }) => ({ action, workspaceId, subjectId, after }))).toEqual(
    expect.arrayContaining(
      [first.id, second.id].map((workspaceId) => ({
        action: 'session.refused',
        workspaceId,
        subjectId: userId,
        after: { reason: 'PASSWORD' },
      })),
    ),
  );
  expect(refused).toHaveLength(2);
  expect(await eventsOf(() => signIn(app, { email: 'nobody@example.com', password: 'not this one' }))).toEqual([]);

  done.add('beginSecondFactor').add('confirmSecondFactor');
  const person = { person: { id: userId } as never, cookie, password: FIRST_PASSWORD, workspace: first };
  let factor = { secret: '', recoveryCodes: [] as string[] };
  const time = (await app.database.now()).getTime();
  expect(await actionsOf(async () => (factor = await enableSecondFactor(app, person, time)))).toEqual([
    'second-factor.enabled',
    'second-factor.enabled',
  ]);
  secrets.push(factor.secret, ...factor.recoveryCodes);
  const wrongCode = await eventsOf(() => signIn(app, { email, password: FIRST_PASSWORD, code: '000000' }));
  expect(wrongCode.map(({ after }) => after)).toEqual([{ reason: 'CODE' }, { reason: 'CODE' }]);
  const code = factor.recoveryCodes[0] as string;
  let other = { cookie: '' };
  done.add('signIn');
  expect(await actionsOf(async () => ({ cookie: other } = await signIn(app, { email, password: FIRST_PASSWORD, code })))).toEqual([
    'session.started',
    'session.started',
  ]);
  const remove = { password: FIRST_PASSWORD, code: factor.recoveryCodes[1] };
  expect(await actionsOf(() => run('removeSecondFactor', remove, 'user { id }', cookie))).toEqual([
    'second-factor.removed',
    'second-factor.removed',
  ]);

  const consent = {
    id: newId('con', time),
    workspaceId: first.id,
    projectId: 'prj_1',
    clientId: 'app_1',
    userId,
    scopes: ['openid'],
    expiresAt: new Date(time + 3_600_000),
    endedAt: null,
    createdAt: new Date(time),
  };
  await app.database.transaction((tx) => tx.insert(Consent, { ...consent }));
  expect(await actionsOf(() => run('withdrawConsent', { id: consent.id }, 'consent { endedAt }', cookie))).toEqual(['consent.withdrawn']);

  const { data } = await app.graphql('{ viewer { sessions { id current } } }', {}, cookie);
  const { id } = data.viewer.sessions.find(({ current }: { current: boolean }) => !current);
  expect(await actionsOf(() => run('endSession', { id }, 'session { id }', cookie))).toEqual(['session.ended', 'session.ended']);
  expect(await eventsOf(() => refusal('endSession', { id }, cookie))).toEqual([]);
  const change = { currentPassword: FIRST_PASSWORD, newPassword: SECOND_PASSWORD };
  expect(await actionsOf(() => run('changePassword', change, 'user { id }', cookie))).toEqual(['password.changed', 'password.changed']);
  for (const name of ['signOut { session { id } }', 'signOutEverywhere { sessions { id } }']) {
    const { cookie: again } = await signIn(app, { email, password: SECOND_PASSWORD });
    secrets.push(again.cookie.split('=')[1] as string);
    done.add(name.split(' ', 1)[0] as string);
    expect(new Set(await actionsOf(() => app.graphql(`mutation { ${name} }`, {}, again)))).toEqual(new Set(['session.ended']));
  }

  const requested = await eventsOf(() => run('requestPasswordReset', { email }, 'accepted', null));
  expect(requested.map(({ action, actorKind }) => [action, actorKind])).toEqual([
    ['password.reset-requested', 'SYSTEM'],
    ['password.reset-requested', 'SYSTEM'],
  ]);
  expect(await eventsOf(() => run('requestPasswordReset', { email: 'nobody@example.com' }, 'accepted', null))).toEqual([]);
  const resetToken = tokenOf(await smtp.linkTo(email));
  secrets.push(resetToken, ...[cookie, other].map((session) => session.cookie.split('=')[1] as string));
  expect(await actionsOf(() => run('resetPassword', { token: resetToken, newPassword: THIRD_PASSWORD }, 'changed'))).toEqual([
    'password.reset',
    'password.reset',
  ]);

  const throttled = await eventsOf(async () => {
    for (let time = 0; time < 15; time++) await signIn(app, { email, password: 'not this one' });
  });
  expect(throttled.filter(({ after }) => after?.reason === 'THROTTLED')).toHaveLength(2); // once a minute, in each workspace
  expect([...done].sort()).toEqual([...MUTATIONS_OF_PEOPLE].sort());

  const kept = [...app.logLines];
  for (const entity of entities)
    kept.push(
      JSON.stringify(await app.database.reader.query(`SELECT * FROM ${app.database.reader.getRepository(entity).metadata.tableName}`)),
    );
  expect(secrets.every((secret) => secret.length >= 11)).toBe(true);
  for (const secret of secrets) for (const text of kept) expect(text.includes(secret)).toBe(false);
});
