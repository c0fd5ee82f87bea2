import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Page } from 'playwright-core';
import { ADMINISTRATIVE_PERMISSIONS } from '../src/access/permissions';
import { createTestApp, type TestApp } from './support/app';
import { codeAt } from './support/authenticator';
import { withBrowserPage } from './support/browser';
import { VERIFIER, Visitor, authorizationUrl, buildClient, redeem } from './support/oauth';
import { enableSecondFactor } from './support/people';
import { until } from './support/until';

// The pages that a person sees when an application sends them here.

let app: TestApp;
/** Redirect address of an application on the person's device. */
let device: Server;
let callback: string;

beforeAll(async () => {
  app = await createTestApp();
  device = createServer((_request, response) =>
    response
      .writeHead(200, { 'content-type': 'text/html' })
      .end('<!doctype html><html lang="en"><title>Back</title><link rel="icon" href="data:,"><h1>Back in the application</h1>'),
  );
  await new Promise<void>((resolve) => device.listen(0, '127.0.0.1', resolve));
  callback = `http://127.0.0.1:${(device.address() as AddressInfo).port}/callback`;
});

afterAll(async () => {
  await new Promise((resolve) => device.close(resolve));
  await app.close();
});

const alertOf = (text: string): string | undefined => /role="alert">([^<]*)</.exec(text)?.[1];

/** Returns accessibility problems that axe-core finds. */
async function problemsOf(page: Page): Promise<string[]> {
  await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
  const found = (await page.evaluate('axe.run()')) as { violations: { id: string; impact: string; nodes: { html: string }[] }[] };
  return found.violations.map(({ id, impact, nodes }) => `${impact}: ${id} at ${nodes.map(({ html }) => html).join(', ')}`);
}

it.each(['light', 'dark'] as const)(
  'a person signs in with their second factor and agrees, in a real browser without scripts (%s)',
  async (colorScheme) => {
    const built = await buildClient(app, { confidential: false });
    const { secret } = await enableSecondFactor(app, built.person, Date.now() - 30_000);
    await withBrowserPage(
      async (page, record) => {
        await page.goto(authorizationUrl(app, built, { redirect_uri: callback }).href);
        expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Sign in');
        expect(await problemsOf(page)).toEqual([]);
        await page.getByLabel('Your e-mail address').fill(built.person.person.email);
        await page.getByLabel('Your password').fill(built.person.password);
        await page.getByRole('button', { name: 'Sign in' }).click();
        expect(await page.getByRole('alert').textContent()).toContain('second factor');
        expect(await problemsOf(page)).toEqual([]);
        await page.getByLabel('Your password').fill(built.person.password);
        await page.getByLabel('Authentication code').fill(codeAt(secret, Date.now()));
        await page.keyboard.press('Enter');
        await page.getByRole('heading', { name: 'Allow Shop?' }).waitFor();
        expect(await problemsOf(page)).toEqual([]);
        await page.getByLabel('In which project').selectOption(built.project.id);
        await page.getByRole('button', { name: 'Allow' }).click();
        await page.getByRole('heading', { name: 'Back in the application' }).waitFor();
        const back = new URL(page.url());
        expect([back.origin, back.pathname]).toEqual([new URL(callback).origin, '/callback']);
        const form = { code_verifier: VERIFIER, redirect_uri: callback };
        expect((await redeem(app, built, back.searchParams.get('code') ?? '', form)).status).toBe(200);
        // The 401 is the sign-in without a code
        expect(record).toMatchObject({ foreignRequests: [], pageErrors: [], consoleErrors: [expect.stringContaining('401')] });
      },
      { colorScheme },
    );
  },
  60_000,
);

const hasIpv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === '::1'));

it.each([
  ['at an IPv6 address', '::1'],
  ['that redirects to another origin', '127.0.0.1'],
])('a person who agrees comes back to an application %s, in a real browser', async (_where, host) => {
  if (host === '::1' && !hasIpv6) return void process.stderr.write('\nSKIPPED, NOT TESTED: this machine has no ::1.\n');
  const first = createServer((_request, response) => response.writeHead(302, { location: callback }).end());
  await new Promise<void>((resolve) => first.listen(0, host, resolve));
  const named = `http://${host.includes(':') ? `[${host}]` : host}`;
  const built = await buildClient(app, { confidential: false, redirectUris: [`${named}/first`] });
  try {
    await withBrowserPage(async (page, record) => {
      const [name = '', value = ''] = built.person.cookie.cookie.split('=');
      await page.context().addCookies([{ name, value, url: app.url }]);
      await page.goto(authorizationUrl(app, built, { redirect_uri: `${named}:${(first.address() as AddressInfo).port}/first` }).href);
      await page.getByRole('button', { name: 'Allow' }).click();
      await page.getByRole('heading', { name: 'Back in the application' }).waitFor({ timeout: 15_000 });
      expect(record).toMatchObject({ foreignRequests: [], pageErrors: [], consoleErrors: [] });
    });
  } finally {
    await new Promise((resolve) => first.close(resolve));
  }
}, 60_000);

it('the consent page separates permissions in the project from those in the workspace, and says that access continues', async () => {
  const built = await buildClient(app);
  const namesIn = (body: string) =>
    body
      .split('<h2>')
      .slice(1)
      .map((part) => [part.slice(0, part.indexOf('</h2>')), [...part.matchAll(/<code>([^<]*)</g)].map(([, name]) => name)]);
  const asked = async (scope: string) =>
    (await new Visitor(app.url, built.person.cookie).go(authorizationUrl(app, built, { scope }).href)).body;
  const body = await asked('openid email read.logs demo.echo admin');
  expect(namesIn(body)).toEqual([
    ['About you, it would', ['email']],
    ['In the project that you choose, it could', ['demo.echo']],
    [`In the whole workspace ${built.workspace.name}, it could`, ['read.logs', 'admin']],
  ]);
  // <bdi> isolates names in any writing direction
  expect(body).toContain(`<strong><bdi>Shop</bdi></strong>, an application of <bdi>${built.workspace.name}</bdi>, asks`);
  expect(body).toContain('Access continues until you withdraw it.');
  expect(body.indexOf('<select')).toBeLessThan(body.indexOf('In the project that you choose'));
  expect(namesIn(await asked('openid demo.echo'))).toEqual([['In the project that you choose, it could', ['demo.echo']]]);
  for (const { name, description } of ADMINISTRATIVE_PERMISSIONS)
    expect([name, description]).toEqual([name, expect.stringMatching(/\bworkspace\b/)]);
});

describe('the sign-in page', () => {
  it('has one message for all wrong input, keeps the e-mail address but not the password, and accepts a code once', async () => {
    const built = await buildClient(app);
    const visitor = new Visitor(app.url);
    const asked = await visitor.go(authorizationUrl(app, built, { login_hint: 'ada"<b>@example.com' }).href);
    expect(asked.body).toContain('value="ada&quot;&lt;b&gt;@example.com"');
    const signIn = (fields: Record<string, string>) => visitor.go(`${asked.address}/sign-in`, fields);
    const { email } = built.person.person;
    const wrong = [
      await signIn({ email, password: 'not this one' }),
      await signIn({ email: 'nobody@example.com', password: 'not this one' }),
    ];
    const refusal = [401, 'The e-mail, the password or the code is wrong. Check them and try again.'];
    expect(wrong.map(({ status, body }) => [status, alertOf(body)])).toEqual([refusal, refusal]);
    expect(wrong[0]?.body).toContain(`value="${email}"`);
    expect(wrong[0]?.body).not.toContain('not this one');
    await until(() => Date.now() % 30_000 < 20_000, 'a step that lasts for the next three lines');
    const { secret } = await enableSecondFactor(app, built.person, Date.now() - 30_000);
    const code = codeAt(secret, Date.now());
    expect((await signIn({ email, password: built.person.password })).body).toContain('second factor');
    expect((await signIn({ email, password: built.person.password, code })).body).toContain('Allow Shop?');
    expect(alertOf((await new Visitor(app.url).go(asked.address)).body)).toContain('another browser');
  });

  it('is shown again if the application requires a new sign-in, or the person uses another account', async () => {
    const built = await buildClient(app);
    const { email } = built.person.person;
    const h1 = ({ body }: { body: string }) => /<h1>([^<]*)</.exec(body)?.[1];
    const isAsked = async (parameters: Record<string, string>) => {
      const visitor = new Visitor(app.url, built.person.cookie);
      const asked = await visitor.go(authorizationUrl(app, built, parameters).href);
      return { visitor, asked };
    };
    const { visitor, asked } = await isAsked({});
    expect(h1(await visitor.go(`${asked.address}/sign-out`, {}))).toBe('Sign in');
    expect(h1(await visitor.go(asked.address))).toBe('Sign in');
    expect(h1(await visitor.go(`${asked.address}/sign-in`, { email, password: built.person.password }))).toBe('Allow Shop?');
    expect(h1(await visitor.go(authorizationUrl(app, built, { max_age: '3600' }).href))).toBe('Allow Shop?');
    app.travel(2_000);
    expect(h1(await visitor.go(authorizationUrl(app, built, { prompt: 'login' }).href))).toBe('Sign in');
    app.travel(7_200_000);
    expect(h1(await visitor.go(authorizationUrl(app, built, { max_age: '3600' }).href))).toBe('Sign in');
    app.travel(-7_202_000);
  });

  it('limits new authorizations of one address, and says when to try again', async () => {
    const built = await buildClient(app);
    const answers: [number, string | undefined][] = [];
    for (let turn = 0; turn < 70; turn += 1) {
      const { statusCode, headers } = await app.server.inject({
        url: authorizationUrl(app, built).href.slice(app.url.length),
        remoteAddress: '203.0.113.7',
      });
      answers.push([statusCode, headers['retry-after']?.toString()]);
    }
    expect(answers.slice(0, 60)).toEqual(Array(60).fill([303, undefined]));
    expect(answers).toContainEqual([429, '1']);
  });
});
