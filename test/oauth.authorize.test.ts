import { Consent } from '../src/oauth/consent.entity';
import { createTestApp, type TestApp } from './support/app';
import { ORIGIN } from './support/factories';
import {
  INVALID_GRANT,
  REDIRECT_URI,
  Visitor,
  agree,
  ask,
  authorizationUrl,
  buildClient,
  codeFor,
  redeem,
  tokensFor,
  type BuiltClient,
} from './support/oauth';

// Attacks on the way to a code: redirect addresses, scopes and the consent page.

let app: TestApp;
let built: BuiltClient;
let publicly: BuiltClient;

beforeAll(async () => {
  app = await createTestApp();
  built = await buildClient(app);
  publicly = await buildClient(app, { confidential: false });
});

afterAll(() => app.close());

describe('a redirect address', () => {
  const LOOK_ALIKES = [
    'https://evil.example/callback',
    'https://shop.example.evil.example/callback',
    'https://shop.example@evil.example/callback',
    'https://shop.example:444/callback',
    'http://shop.example/callback',
    'https://shop.example/callback/',
    'https://shop.example/callback/../evil',
    'https://shop.example/callback?next=https://evil.example',
    'https://shop.example/Callback',
    'https://SHOP.example/callback',
    'https://shop.example/callback#',
    'https://shop.example/%63allback',
    ' https://shop.example/callback',
    '//evil.example/callback',
    'javascript:alert(1)',
    '',
  ];

  it('that was removed is refused: in a new request, in a pending request, and for a code that was sent to it', async () => {
    const moving = await buildClient(app, { redirectUris: [REDIRECT_URI, 'https://shop.example/new'] });
    const { client, person, project } = moving;
    const begin = async () => {
      const visitor = new Visitor(app.url, person.cookie);
      return { visitor, asked: await visitor.go(authorizationUrl(app, moving).href) };
    };
    const code = await codeFor(app, moving);
    const { visitor, asked } = await begin();
    const agreed = await begin();
    const { address: onItsWay } = await agreed.visitor.go(
      agreed.asked.address,
      { decision: 'allow', projectId: project.id },
      {},
      { follow: false },
    );
    await app.oauth.clients.update(ORIGIN, { id: client.id, redirectUris: ['https://shop.example/new'] });
    expect(await redeem(app, moving, code)).toEqual(INVALID_GRANT);
    const late = new URL((await agreed.visitor.go(onItsWay)).address);
    expect(await redeem(app, moving, late.searchParams.get('code') ?? '')).toEqual(INVALID_GRANT);
    expect((await visitor.go(asked.address)).status).toBe(404);
    for (const decision of ['allow', 'refuse'])
      expect(await visitor.go(asked.address, { decision, projectId: project.id })).toMatchObject({ status: 404, address: asked.address });
  });

  it.each(LOOK_ALIKES)('that only looks like a registered one is refused: %j', async (redirectUri) => {
    const { status, address, body } = await new Visitor(app.url, built.person.cookie).go(
      authorizationUrl(app, built, { redirect_uri: redirectUri }).href,
    );
    expect([status, new URL(address).origin]).toEqual([400, app.url]);
    expect(body).toContain('role="alert"');
    expect(body).not.toContain('evil');
  });

  it('gets an error without a script if the request wants a response mode that needs a script', async () => {
    const { status, address } = await new Visitor(app.url, built.person.cookie).go(
      authorizationUrl(app, built, { response_mode: 'form_post' }).href,
    );
    expect([status, address.split('?', 1)[0], new URL(address).searchParams.get('error')]).toEqual([
      303,
      REDIRECT_URI,
      'unsupported_response_mode',
    ]);
    const unknown = await new Visitor(app.url).go(authorizationUrl(app, built, { response_mode: 'form_post', client_id: 'app_no' }).href);
    expect([unknown.status, new URL(unknown.address).origin, /<script/i.test(unknown.body)]).toEqual([400, app.url, false]);
    const page = {
      'content-security-policy': expect.stringContaining("frame-ancestors 'none'"),
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
    };
    expect(Object.fromEntries(unknown.headers)).toMatchObject(page);
  });

  it('of a public client may be its loopback address on any port, and no other host', async () => {
    const at = (redirectUri: string) =>
      new Visitor(app.url, publicly.person.cookie).go(authorizationUrl(app, publicly, { redirect_uri: redirectUri }).href);
    expect((await at('http://127.0.0.1:61023/callback')).status).toBe(200);
    for (const no of [
      'http://localhost:61023/callback',
      'http://127.0.0.1:61023/elsewhere',
      'http://127.0.0.1.evil.example/callback',
      'https://127.0.0.1/callback',
    ])
      expect((await at(no)).status).toBe(400);
  });

  it('cannot be registered if another party could receive its codes', async () => {
    const problems = async (confidential: boolean, ...redirectUris: string[]) =>
      app.oauth.clients.create(ORIGIN, { workspaceId: built.workspace.id, name: 'Shop', confidential, redirectUris }).then(
        () => [],
        (error: { details: { issues: { path: unknown[] }[] } }) => error.details.issues.map(({ path }) => path.join('.')),
      );
    for (const uri of [
      'http://shop.example/cb',
      'https://shop.example/#a',
      'https://a@shop.example/',
      'https://*.shop.example/',
      'javascript:alert(1)',
      'data:text/html,x',
      'com.example.app:/cb',
      'no uri',
      'http://127.0.0.1/cb',
    ]) {
      expect([uri, await problems(true, uri)]).toEqual([uri, ['input.redirectUris.0']]);
    }
    for (const uri of ['http://shop.example/cb', 'http://localhost/cb', 'myapp:/cb', 'javascript:alert(1)', 'file:///etc'])
      expect([uri, await problems(false, uri)]).toEqual([uri, ['input.redirectUris.0']]);
    for (const uri of ['https://shop.example/cb', 'http://127.0.0.1/cb', 'http://[::1]/cb', 'com.example.app:/cb'])
      expect([uri, await problems(false, uri)]).toEqual([uri, []]);
    expect(await problems(true)).toEqual(['input.redirectUris']);
  });
});

describe('a scope that is not a permission', () => {
  const scopesOf = async (clientId: string) => (await app.database.reader.findBy(Consent, { clientId })).map(({ scopes }) => scopes);

  it.each<Record<string, string>>([
    { scope: 'openid demo.* admin.* nonsense' },
    { scope: 'openid demo.*', resource: 'https://api.example' },
  ])('is in no consent and no token, with any rights of the person: %j', async (parameters) => {
    const own = await buildClient(app);
    const { access, scope } = await tokensFor(app, own, parameters);
    expect([scope, await scopesOf(own.client.id)]).toEqual(['openid', [['openid']]]);
    expect((await ask(app, '/oauth/introspect', own, { token: access })).body).toMatchObject({ active: true, scope: 'openid' });
    expect((await app.rest({ headers: { authorization: `Bearer ${access}` } })).status).toBe(403);
  });

  it('is in no consent even if it reaches the consent page, because only shown scopes are granted', async () => {
    const own = await buildClient(app);
    const { authorizations } = app.oauth;
    const asked = authorizations.asked.bind(authorizations);
    const smuggled = jest
      .spyOn(authorizations, 'asked')
      .mockImplementation(async (...given) => ({ ...(await asked(...given)), scopes: ['demo.echo', 'demo.*', 'admin.*', 'nonsense'] }));
    try {
      await agree(app, authorizationUrl(app, own), own);
    } finally {
      smuggled.mockRestore();
    }
    expect(await scopesOf(own.client.id)).toEqual([['openid', 'demo.echo']]);
  });
});

describe('the consent page', () => {
  const isAsked = async () => {
    const visitor = new Visitor(app.url, built.person.cookie);
    return { visitor, asked: await visitor.go(authorizationUrl(app, built).href) };
  };

  it('allows no frames, scripts or foreign form targets; only the form for consent may redirect to another site', async () => {
    const { asked } = await isAsked();
    expect(asked.headers.get('x-frame-options')).toBe('DENY');
    expect(asked.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; frame-ancestors 'none'; base-uri 'none'$/,
    );
    const { pathname } = new URL(asked.address);
    expect([...asked.body.matchAll(/\b(?:form)?action="([^"]*)"/g)].map(([, action]) => action)).toEqual([
      pathname,
      `${pathname}/sign-out`,
    ]);
    const signIn = await new Visitor(app.url).go(authorizationUrl(app, built).href);
    expect(signIn.headers.get('content-security-policy')).toContain("form-action 'self';");
    expect(asked.headers.get('cache-control')).toBe('no-store');
    expect(asked.body).not.toMatch(/<script|\bon[a-z]+=/i);
    for (const shown of [
      'Allow Shop?',
      built.person.person.email,
      'Run demo/demo.echo.',
      'See the keys and service accounts of the workspace',
      'shop.example',
      built.project.name,
      built.workspace.name,
    ])
      expect(asked.body).toContain(shown);
  });

  it('refuses an answer from a page of another site, from another browser, and a second answer', async () => {
    const { visitor, asked } = await isAsked();
    const answer = { decision: 'allow', projectId: built.project.id };
    const before = await app.database.reader.countBy(Consent, { clientId: built.client.id });
    for (const origin of ['https://evil.example', 'null']) expect((await visitor.go(asked.address, answer, { origin })).status).toBe(403);
    expect((await new Visitor(app.url, built.person.cookie).go(asked.address, answer)).status).toBe(404);
    expect((await new Visitor(app.url).go(asked.address, answer)).status).toBe(404);
    expect(await app.database.reader.countBy(Consent, { clientId: built.client.id })).toBe(before);
    expect((await visitor.go(asked.address, answer)).address).toContain(REDIRECT_URI);
    expect((await visitor.go(asked.address, answer)).status).toBe(404);
    expect(await app.database.reader.countBy(Consent, { clientId: built.client.id })).toBe(before + 1);
  });

  it('makes one consent if it is answered twice, and an unused consent expires when its code would', async () => {
    const own = await buildClient(app);
    const consents = () => app.database.reader.findBy(Consent, { clientId: own.client.id });
    const lifeOf = ({ createdAt, expiresAt }: Consent) => expiresAt.getTime() - createdAt.getTime();
    const visitor = new Visitor(app.url, own.person.cookie);
    const asked = await visitor.go(authorizationUrl(app, own).href);
    const answer = () => visitor.go(asked.address, { decision: 'allow', projectId: own.project.id }, {}, { follow: false });
    const [first, second] = [await answer(), await answer()];
    expect([first.status, second.status]).toEqual([303, 404]);
    expect((await consents()).map(lifeOf)).toEqual([960_000]);
    const code = new URL((await visitor.go(first.address)).address).searchParams.get('code');
    expect((await redeem(app, own, code as string)).status).toBe(200);
    expect((await consents()).map(lifeOf)).toEqual([expect.any(Number)]);
    expect(lifeOf((await consents())[0] as Consent)).toBeGreaterThanOrEqual(30 * 86_400_000);
  });

  it('refuses a project of another workspace, and a person who is not a member', async () => {
    const { visitor, asked } = await isAsked();
    expect((await visitor.go(asked.address, { decision: 'allow', projectId: publicly.project.id })).status).toBe(404);
    const stranger = new Visitor(app.url, publicly.person.cookie);
    const page = await stranger.go(authorizationUrl(app, built).href);
    expect(page.body).toContain('You are in no project');
    expect(page.body).not.toContain('value="allow"');
    expect(page.body).not.toContain(built.workspace.id);
    expect((await stranger.go(page.address, { decision: 'allow', projectId: built.project.id })).status).toBe(404);
  });

  it('redirects a person who refuses with only an error', async () => {
    const back = await agree(app, authorizationUrl(app, built), built, 'refuse');
    expect(Object.fromEntries(back.searchParams)).toEqual({
      error: 'access_denied',
      error_description: 'the person refused',
      state: 'state',
      iss: app.url,
    });
  });
});
