import { createTestApp, type TestApp } from './support/app';
import { buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';
import { prepareOutage } from './support/outage';
import { PASSWORD, buildPerson, enableSecondFactor, signIn, statusOf, tokenOf } from './support/people';
import { startSmtp, type Smtp } from './support/smtp';

let smtp: Smtp;
let app: TestApp;
/** A node that sends mail. */
let mailing: TestApp;

beforeAll(async () => {
  smtp = await startSmtp();
  app = await createTestApp();
  mailing = await createTestApp({ databaseUrl: app.databaseUrl, config: { mail: smtp.mail } });
});

afterAll(async () => {
  await mailing.close();
  await app.close();
});

const get = (url: string, headers: Record<string, string> = {}) => app.server.inject({ method: 'GET', url, headers });
const post = (url: string, fields: Record<string, string>, headers: Record<string, string> = {}) =>
  app.server.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    payload: new URLSearchParams(fields).toString(),
  });

async function invite(email: string, workspaceName = 'Acme'): Promise<string> {
  const { id: workspaceId } = await buildWorkspace(app, { name: workspaceName });
  return tokenOf((await mutations(app).mutate('inviteMember', { workspaceId, email, roleId: 'rol_viewer' }, 'link')).link);
}

/** The error that a page shows. */
const alertOf = (text: string): string | undefined => /role="alert">([^<]*)</.exec(text)?.[1];
const cookieIn = (answer: { headers: Record<string, unknown> }) => ({
  cookie: String(answer.headers['set-cookie']).split(';', 1)[0] as string,
});

describe('every page', () => {
  it('runs no script, loads nothing, is not cached and cannot be framed, even if a name contains HTML', async () => {
    const token = await invite('ada@example.com', '<script>alert("x")</script> & Söhne');
    for (const answer of [
      await get(`/invitation?token=${token}`),
      await get('/invitation?token=nonsense'),
      await get('/reset-password?token='),
      await post('/invitation', { token }),
    ]) {
      expect(answer.headers['content-type']).toBe('text/html; charset=utf-8');
      expect(answer.headers['cache-control']).toBe('no-store');
      expect(answer.headers['referrer-policy']).toBe('same-origin');
      expect(answer.headers['content-security-policy']).toMatch(
        /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'$/,
      );
      expect(answer.body).not.toMatch(/<script|https?:\/\/|\bon[a-z]+=|\bstyle=/i);
      expect(answer.body).toMatch(/<html lang="en">[\s\S]*<title>[^<]+<\/title>[\s\S]*<main>\s*<h1>[^<]+<\/h1>/);
      const labels = [...answer.body.matchAll(/<label for="(\w+)"/g)].map((match) => match[1]);
      const fields = [...answer.body.matchAll(/<input id="(\w+)"/g)].map((match) => match[1]);
      expect(labels).toEqual(fields);
    }
    expect((await get(`/invitation?token=${token}`)).body).toContain(
      '<h1>Join &lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; Söhne</h1>',
    );
  });

  it('is the same for every link that is invalid or has expired', async () => {
    const answers = await Promise.all([
      get('/invitation'),
      get('/invitation?token=nonsense'),
      get('/reset-password?token=a&token=b'),
      post('/reset-password', { token: 'nonsense', newPassword: PASSWORD }),
    ]);
    expect(new Set(answers.map(({ statusCode, body }) => `${statusCode} ${body}`)).size).toBe(1);
    expect([answers[0]?.statusCode, alertOf(answers[0]?.body ?? '')]).toEqual([
      404,
      'This link is invalid or has expired. Ask for a new one.',
    ]);
  });

  it('accepts only forms, and refuses forms of other sites', async () => {
    const token = await invite('forged@example.com');
    const fields = { token, name: 'Ada', password: PASSWORD };
    for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }] as Record<
      string,
      string
    >[]) {
      const { statusCode, body, headers: answered } = await post('/invitation', fields, headers);
      expect([statusCode, alertOf(body), answered['set-cookie']]).toEqual([
        403,
        'This form came from a page of another site. Open the page again and send the form from there.',
        undefined,
      ]);
    }
    const json = await app.server.inject({ method: 'POST', url: '/invitation', payload: fields });
    expect(json.statusCode).toBe(400);
    const large = await post('/invitation', { ...fields, name: 'x'.repeat(20_000) });
    expect(large.statusCode).toBe(400);
    expect(
      (await post('/invitation', fields, { origin: 'http://localhost:80', host: 'localhost:80', 'sec-fetch-site': 'same-origin' }))
        .statusCode,
    ).toBe(200);
  });
});

it('a page answers 503 while the database is down, and its form works afterwards', async () => {
  const token = await invite('patient@example.com');
  const outage = await prepareOutage(app.databaseUrl);
  const cut = await createTestApp({ databaseUrl: outage.url });
  const accept = () =>
    cut.server.inject({
      method: 'POST',
      url: '/invitation',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams({ token, name: 'Ada', password: PASSWORD }).toString(),
    });
  try {
    await outage.begin();
    const away = await accept();
    expect([away.statusCode, away.headers['set-cookie']]).toEqual([503, undefined]);
    await outage.end();
    expect((await accept()).statusCode).toBe(200);
  } finally {
    await cut.close();
  }
});

describe('the page of an invitation', () => {
  it('does not use the link when it is read, shows errors and keeps the name, and signs a new person in', async () => {
    const token = await invite('new@example.com');
    for (let time = 0; time < 2; time++)
      expect((await get(`/invitation?token=${token}`)).body).toContain('This invitation is for new@example.com.');
    const wrong = await post('/invitation', { token, name: 'Ada "Countess" Lovelace', password: 'elevenchars' });
    expect([wrong.statusCode, alertOf(wrong.body)]).toEqual([400, 'The password must be at least 12 characters.']);
    expect(wrong.body).toContain('value="Ada &quot;Countess&quot; Lovelace"');
    expect(wrong.body).not.toContain('elevenchars');
    expect(wrong.body).toMatch(/id="password"[^>]*aria-invalid="true"/);
    expect(alertOf((await post('/invitation', { token, name: '', password: PASSWORD })).body)).toBe('The name must not be empty.');
    const right = await post('/invitation', { token, name: 'Ada', password: PASSWORD });
    expect([right.statusCode, alertOf(right.body)]).toEqual([200, undefined]);
    expect(right.body).toContain('You are a member now, and signed in.');
    expect(await statusOf(app, cookieIn(right))).toBe(200);
    expect((await get(`/invitation?token=${token}`)).statusCode).toBe(404);
  });

  it('asks for the password of an existing account, unless the person is signed in', async () => {
    const ada = await buildPerson(app);
    const token = await invite(ada.person.email);
    expect((await get(`/invitation?token=${token}`)).body).toMatch(/autocomplete="current-password"/);
    expect((await get(`/invitation?token=${token}`)).body).not.toContain('id="name"');
    const wrong = await post('/invitation', { token, password: 'not this one' });
    expect([wrong.statusCode, alertOf(wrong.body)]).toEqual([
      401,
      'The e-mail, the password or the code is wrong. Check them and try again.',
    ]);
    expect((await get(`/invitation?token=${token}`, ada.cookie)).body).not.toContain('type="password"');
    const right = await post('/invitation', { token }, ada.cookie);
    expect([right.statusCode, right.headers['set-cookie']]).toEqual([200, undefined]);
    await enableSecondFactor(app, ada, (await app.database.now()).getTime());
    const withFactor = await post('/invitation', { token: await invite(ada.person.email), password: ada.password });
    expect(withFactor.headers['set-cookie']).toBeUndefined();
    expect(withFactor.body).toContain('sign in with your password and a code');
  });
});

describe('the page of a password reset', () => {
  it('does not use the link when it is read, sets the password once, and does not sign in', async () => {
    const { person, cookie } = await buildPerson(app);
    await mutations(mailing).mutate('requestPasswordReset', { email: person.email }, 'accepted', cookie);
    const link = new URL(await smtp.linkTo(person.email));
    expect(link.origin).toBe(mailing.url);
    const token = tokenOf(link.href);
    for (let time = 0; time < 2; time++) expect((await get(`${link.pathname}${link.search}`)).statusCode).toBe(200);
    const newPassword = 'another horse, another battery';
    expect(alertOf((await post('/reset-password', { token, newPassword: 'short' })).body)).toBe(
      'The password must be at least 12 characters.',
    );
    const right = await post('/reset-password', { token, newPassword });
    expect([right.statusCode, right.headers['set-cookie']]).toEqual([200, expect.stringContaining('tollgate_device=')]);
    expect(right.body).toContain('all your sessions have ended');
    expect((await post('/reset-password', { token, newPassword })).statusCode).toBe(404);
    expect(await statusOf(app, cookie)).toBe(401);
    expect((await signIn(app, { email: person.email, password: newPassword })).outcome).toBe('ok');
  });
});
