import { AuditEvent } from '../src/audit/event.entity';
import { ConfigError, loadConfig } from '../src/config';
import { createTestApp, type TestApp } from './support/app';
import { buildKey, buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';
import { PASSWORD, buildPerson, enableSecondFactor, signIn, statusOf, tokenOf } from './support/people';
import { startSmtp, type Smtp } from './support/smtp';
import { until } from './support/until';

const NEW_PASSWORD = 'another horse, another battery';
const HOUR_MS = 3_600_000;

let smtp: Smtp;
/** A node without a mail server, so that its answers contain the links. */
let silent: TestApp;
let app: TestApp;

beforeAll(async () => {
  smtp = await startSmtp();
  silent = await createTestApp();
  app = await createTestApp({ databaseUrl: silent.databaseUrl, config: { mail: smtp.mail, publicUrl: 'http://tollgate.example.com' } });
});

afterAll(async () => {
  await app.close();
  await silent.close();
});

const requestReset = (email: string, node = app) =>
  node.graphql(
    'mutation ($input: RequestPasswordResetInput!) { requestPasswordReset(input: $input) { accepted } }',
    { input: { email } },
    null,
  );
const reset = async (token: string, newPassword = NEW_PASSWORD, node = app) => {
  const answer = await node.graphql(
    'mutation ($input: ResetPasswordInput!) { resetPassword(input: $input) { changed } }',
    { input: { token, newPassword } },
    null,
  );
  return {
    code: answer.errors?.[0]?.extensions.code ?? 'ok',
    cookies: answer.headers.getSetCookie(),
    answer: JSON.stringify(answer.errors),
  };
};
const tokenFor = async (email: string): Promise<string> => {
  await requestReset(email);
  return tokenOf(await smtp.linkTo(email));
};

describe('an invitation', () => {
  it('is sent by mail if there is a mail server, and then no answer contains its link', async () => {
    const { id: workspaceId } = await buildWorkspace(app, { name: 'Acme & Söhne' });
    const { link } = await mutations(app).mutate('inviteMember', { workspaceId, email: 'ada@example.com', roleId: 'rol_owner' }, 'link');
    expect(link).toBeNull();
    const sent = await smtp.linkTo('ada@example.com');
    expect(sent).toMatch(/^http:\/\/tollgate\.example\.com\/invitation\?token=invite_[0-9A-Za-z]{43}$/);
    const { data } = await app.graphql(
      'mutation ($input: AcceptInvitationInput!) { acceptInvitation(input: $input) { viewer { email } } }',
      { input: { token: tokenOf(sent), name: 'Ada', password: PASSWORD } },
      null,
    );
    expect(data.acceptInvitation.viewer.email).toBe('ada@example.com');
  });

  it('is limited to 3 mails at once to one address from one workspace, and to 12 from all workspaces', async () => {
    const { mutate, refusal } = mutations(app);
    const input = { email: 'victim@example.com', roleId: 'rol_viewer' };
    for (let workspaces = 0; workspaces < 4; workspaces++) {
      const { id: workspaceId } = await buildWorkspace(app);
      for (let time = 0; time < 3; time++) await mutate('inviteMember', { ...input, workspaceId }, 'link');
      expect((await refusal('inviteMember', { ...input, workspaceId })).code).toBe('RATE_LIMITED');
    }
    expect((await refusal('inviteMember', { ...input, workspaceId: (await buildWorkspace(app)).id })).code).toBe('RATE_LIMITED');
    await app.people.background.idle();
    expect(smtp.mails.filter(({ to }) => to === 'victim@example.com')).toHaveLength(12);
  });

  it('that is refused does not count against the limits of mails to its address', async () => {
    const { person, workspace } = await buildPerson(silent);
    const { mutate, refusal } = mutations(app);
    for (let time = 0; time < 15; time++) {
      const refused = time % 2 ? { roleId: 'rol_none' } : { roleId: 'rol_viewer' };
      expect((await refusal('inviteMember', { workspaceId: workspace.id, email: person.email, ...refused })).code).not.toBe('RATE_LIMITED');
    }
    await mutate('inviteMember', { workspaceId: (await buildWorkspace(app)).id, email: person.email, roleId: 'rol_viewer' }, 'link');
  });

  it('to an address without an account can be created by a member, who does not get its link', async () => {
    const { workspace, cookie } = await buildPerson(silent);
    expect(
      (
        await mutations(app).mutate(
          'inviteMember',
          { workspaceId: workspace.id, email: 'mailed@example.com', roleId: 'rol_viewer' },
          'link',
          cookie,
        )
      ).link,
    ).toBeNull();
    expect(await smtp.linkTo('mailed@example.com')).toContain('/invitation?token=');
  });

  it('is sent again if the mail server was busy', async () => {
    smtp.refusals = 2;
    const { id: workspaceId } = await buildWorkspace(app);
    await mutations(app).mutate('inviteMember', { workspaceId, email: 'busy@example.com', roleId: 'rol_owner' }, 'link');
    expect(await smtp.linkTo('busy@example.com')).toContain('/invitation?token=');
  });

  it('that could not be sent is logged without the address and the link', async () => {
    smtp.refusals = 4;
    const { id: workspaceId } = await buildWorkspace(app);
    const { errors } = await app.graphql('mutation ($input: InviteMemberInput!) { inviteMember(input: $input) { link } }', {
      input: { workspaceId, email: 'lost@example.com', roleId: 'rol_owner' },
    });
    expect(errors).toBeUndefined();
    await until(() => app.logLines.some((line) => line.includes('mail: a mail was not sent')), 'the line of the log');
    expect(app.logLines.join('\n')).not.toMatch(/lost@example\.com|invite_/);
  });
});

it('refuses to start with SMTP_URL and without MAIL_FROM', () => {
  const SMTP_URL = 'smtp://user:password@mail.example.com:587';
  expect(() => loadConfig({ SMTP_URL })).toThrow(new ConfigError('With SMTP_URL also MAIL_FROM must be set: the sender address of mails.'));
  for (const MAIL_FROM of ['nobody', 'Tollgate <a@example.com>\r\nBcc: b@example.com'])
    expect(() => loadConfig({ SMTP_URL, MAIL_FROM })).toThrow('MAIL_FROM');
  expect(() => loadConfig({ SMTP_URL: 'http://mail.example.com', MAIL_FROM: 'a@example.com' })).toThrow('SMTP_URL');
  expect(loadConfig({ SMTP_URL, MAIL_FROM: 'Tollgate <a@example.com>' }).mail).toEqual({
    smtpUrl: SMTP_URL,
    from: 'Tollgate <a@example.com>',
  });
});

describe('a forgotten password', () => {
  it('gets the same answer with and without an account, and only an account gets a mail', async () => {
    const { person } = await buildPerson(silent);
    const answers = await Promise.all(['nobody@example.com', 'no address at all', person.email].map((email) => requestReset(email)));
    for (const { data, errors } of answers)
      expect({ data, errors }).toEqual({ data: { requestPasswordReset: { accepted: true } }, errors: undefined });
    expect(await smtp.linkTo(person.email)).toMatch(/^http:\/\/tollgate\.example\.com\/reset-password\?token=reset_[0-9A-Za-z]{43}$/);
    expect(smtp.mails.filter(({ to }) => to.startsWith('no'))).toEqual([]);
  });

  it('is CONFLICT on a server without mail, and limited for each address', async () => {
    const { person } = await buildPerson(silent);
    expect((await requestReset(person.email, silent)).errors?.[0]?.extensions.code).toBe('CONFLICT');
    const codes = await Promise.all(
      Array.from({ length: 5 }, async () => (await requestReset('often@example.com')).errors?.[0]?.extensions.code ?? 'ok'),
    );
    expect(codes.sort()).toEqual(['RATE_LIMITED', 'RATE_LIMITED', 'ok', 'ok', 'ok']);
  });

  it('can be set once by a link, even in parallel requests, and every session ends on every node', async () => {
    const { person, cookie } = await buildPerson(silent);
    const token = await tokenFor(person.email);
    expect((await reset(token, 'too short')).code).toBe('INVALID_REQUEST');
    expect((await reset(token, person.email)).code).toBe('INVALID_REQUEST');
    expect(await statusOf(silent, cookie)).toBe(200);
    const outcomes = await Promise.all([app, silent, app, silent].map((node) => reset(token, NEW_PASSWORD, node)));
    expect(outcomes.map(({ code }) => code).sort()).toEqual(['NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND', 'ok']);
    expect(outcomes.flatMap(({ cookies }) => cookies)).toEqual([expect.stringContaining('tollgate_device=')]); // no session cookie
    expect(await statusOf(silent, cookie)).toBe(401);
    const outcome = async (password: string) => (await signIn(silent, { email: person.email, password })).outcome;
    expect([await outcome(PASSWORD), await outcome(NEW_PASSWORD)]).toEqual(['UNAUTHENTICATED', 'ok']);
  });

  it('is refused with the same message if the link is an hour old, replaced by another change, or unknown', async () => {
    const { person, cookie, password } = await buildPerson(silent);
    const old = await tokenFor(person.email);
    app.travel(HOUR_MS);
    const expired = await reset(old);
    app.travel(-HOUR_MS);
    await mutations(app).mutate('changePassword', { currentPassword: password, newPassword: NEW_PASSWORD }, 'user { id }', cookie);
    const answers = [expired, await reset(old), await reset('reset_nonsense')];
    expect(answers.map(({ code }) => code)).toEqual(['NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND']);
    expect(new Set(answers.map(({ answer }) => answer)).size).toBe(1);
  });

  it('returns the link only to the operator, with and without a mail server', async () => {
    const { person, cookie, workspace } = await buildPerson(silent);
    const { mutate } = mutations(app);
    for (const node of [app, silent]) {
      const { link } = await mutations(node).mutate('requestPasswordReset', { email: person.email.toUpperCase() }, 'link');
      expect((await reset(tokenOf(link), NEW_PASSWORD, silent)).code).toBe('ok');
    }
    expect((await signIn(silent, { email: person.email, password: NEW_PASSWORD })).outcome).toBe('ok');
    expect((await mutate('requestPasswordReset', { email: 'nobody@example.com' }, 'link')).link).toBeNull();
    expect((await mutate('requestPasswordReset', { email: person.email }, 'link', null)).link).toBeNull();
    const { secret } = await buildKey(silent, { workspace, permissions: ['admin'] });
    for (const credential of [cookie, secret])
      expect((await mutate('requestPasswordReset', { email: person.email }, 'link', credential)).link).toBeNull();
    const events = await app.database.reader.findBy(AuditEvent, {
      action: 'password.reset-requested',
      subjectId: person.id,
      actorKind: 'OPERATOR',
    });
    expect(events).toHaveLength(2);
  });

  it('lets the owner sign in at once after strangers used up the tries', async () => {
    const { person } = await buildPerson(silent);
    const token = await tokenFor(person.email);
    for (let time = 0; time < 11; time++) await signIn(silent, { email: person.email, password: 'not this one' });
    expect((await signIn(silent, { email: person.email, password: PASSWORD })).outcome).toBe('RATE_LIMITED');
    expect((await reset(token)).code).toBe('ok');
    expect((await signIn(silent, { email: person.email, password: NEW_PASSWORD })).outcome).toBe('ok');
  });

  it('still needs the second factor after a reset', async () => {
    const ada = await buildPerson(silent);
    await enableSecondFactor(silent, ada, (await silent.database.now()).getTime());
    expect((await reset(await tokenFor(ada.person.email))).code).toBe('ok');
    expect((await signIn(app, { email: ada.person.email, password: NEW_PASSWORD })).outcome).toBe('SECOND_FACTOR_REQUIRED');
  });
});
