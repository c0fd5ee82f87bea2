import * as oauth from 'oauth4webapi';
import { AuditEvent } from '../src/audit/event.entity';
import { Consent } from '../src/oauth/consent.entity';
import { createTestApp, type TestApp } from './support/app';
import { ORIGIN } from './support/factories';
import {
  REDIRECT_URI,
  VERIFIER,
  Visitor,
  agree,
  ask,
  authorizationUrl,
  buildClient,
  codeFor,
  redeem,
  refresh,
  tokensFor,
  type BuiltClient,
} from './support/oauth';
import { buildPerson } from './support/people';
import { until } from './support/until';

// Attacks and faults that the flow must refuse.

let app: TestApp;
let other: TestApp;
let built: BuiltClient;
let publicly: BuiltClient;

beforeAll(async () => {
  app = await createTestApp();
  other = await createTestApp({ databaseUrl: app.databaseUrl, config: { publicUrl: app.url } });
  built = await buildClient(app);
  publicly = await buildClient(app, { confidential: false });
});

afterAll(async () => {
  await other.close();
  await app.close();
});

const REFUSED = { status: 400, body: { error: 'invalid_grant', error_description: 'grant request is invalid' } };
const works = async (token: string, node = app): Promise<boolean> => (await node.graphql('{ viewer { id } }', {}, token)).status === 200;
const events = (action: string, workspaceId = built.workspace.id) => app.database.reader.findBy(AuditEvent, { workspaceId, action });

describe('a code', () => {
  it('is refused without its verifier or with a wrong one, for confidential and public clients', async () => {
    for (const client of [built, publicly]) {
      for (const form of [{}, { code_verifier: `${VERIFIER}x` }] as Record<string, string>[])
        expect(await redeem(app, client, await codeFor(app, client), form)).toEqual(REFUSED);
    }
  });

  it('is not issued without a challenge, or for a plain one', async () => {
    const wrong: Record<string, string | null>[] = [
      { code_challenge: null, code_challenge_method: null },
      { code_challenge_method: null },
      { code_challenge: VERIFIER, code_challenge_method: 'plain' },
    ];
    for (const parameters of wrong) {
      const { address } = await new Visitor(app.url, built.person.cookie).go(authorizationUrl(app, built, parameters).href);
      const { origin, searchParams } = new URL(address);
      expect([origin, searchParams.get('error'), searchParams.get('code'), searchParams.get('iss')]).toEqual([
        'https://shop.example',
        'invalid_request',
        null,
        app.url,
      ]);
    }
  });

  it('that is used twice ends all tokens of its consent, also on the other node', async () => {
    const code = await codeFor(app, built);
    const { body } = await redeem(app, built, code);
    expect(await works(body.access_token)).toBe(true);
    expect(await redeem(other, built, code)).toEqual(REFUSED);
    expect([await works(body.access_token), await works(body.access_token, other)]).toEqual([false, false]);
    expect(await refresh(app, built, body.refresh_token)).toEqual(REFUSED);
    expect(await events('token.reused')).toHaveLength(1);
  });

  it('is redeemed at most once by concurrent requests', async () => {
    const code = await codeFor(app, built);
    const answers = await Promise.all([app, other, app, other].map((node) => redeem(node, built, code)));
    expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(1);
    for (const { status, body } of answers) if (status === 200) expect(await works(body.access_token)).toBe(false);
  });

  it('expires after one minute by the clock of the database', async () => {
    const code = await codeFor(app, built);
    app.travel(61_000);
    expect(await redeem(app, built, code)).toEqual(REFUSED);
    app.travel(-61_000);
  });

  it('is refused for another client, or with another redirect address', async () => {
    const another = await buildClient(app, { workspace: built.workspace });
    expect(await redeem(app, another, await codeFor(app, built))).toEqual(REFUSED);
    expect(await redeem(app, built, await codeFor(app, built), { code_verifier: VERIFIER, redirect_uri: `${REDIRECT_URI}/` })).toEqual(
      REFUSED,
    );
  });
});

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
    expect(await redeem(app, moving, code)).toEqual(REFUSED);
    const late = new URL((await agreed.visitor.go(onItsWay)).address);
    expect(await redeem(app, moving, late.searchParams.get('code') ?? '')).toEqual(REFUSED);
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

describe('a refresh token', () => {
  it('that is used twice ends its whole family on every node, because it must be stolen', async () => {
    const first = await tokensFor(app, built);
    const { body: second } = await refresh(app, built, first.refresh);
    expect((await refresh(other, built, second.refresh_token)).status).toBe(200);
    const before = (await events('token.reused')).length;
    expect(await refresh(other, built, first.refresh)).toEqual(REFUSED);
    for (const token of [first.access, second.access_token])
      expect([await works(token), await works(token, other)]).toEqual([false, false]);
    expect((await refresh(app, built, second.refresh_token)).status).toBe(400);
    expect(await events('token.reused')).toHaveLength(before + 1);
  });

  it('is accepted at most once from two concurrent requests on two nodes, and then never again', async () => {
    const { refresh: stolen } = await tokensFor(app, built);
    const answers = await Promise.all([refresh(app, built, stolen), refresh(other, built, stolen)]);
    expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(1);
    for (const { status, body } of answers)
      if (status === 200)
        expect([await works(body.access_token), (await refresh(app, built, body.refresh_token)).status]).toEqual([false, 400]);
  });

  it('is refused for another client', async () => {
    const { refresh: token } = await tokensFor(app, built);
    expect(await refresh(app, publicly, token)).toEqual(REFUSED);
    expect((await refresh(app, built, token)).status).toBe(200);
  });

  it('expires after 30 days, and an access token after one hour', async () => {
    const { access, refresh: token } = await tokensFor(app, built);
    app.travel(3_601_000);
    expect(await works(access)).toBe(false);
    app.travel(30 * 86_400_000);
    expect(await refresh(app, built, token)).toEqual(REFUSED);
    app.travel(-30 * 86_400_000 - 3_601_000);
  });
});

it('an ID token is signed with RS256, and no client can choose another algorithm', async () => {
  const { body } = await redeem(app, built, await codeFor(app, built));
  expect(JSON.parse(Buffer.from(body.id_token.split('.')[0], 'base64url').toString())).toMatchObject({ alg: 'RS256' });
  const { Client } = await app.oauth.provider.current();
  const metadata = { client_id: 'x', redirect_uris: [REDIRECT_URI], token_endpoint_auth_method: 'none' } as const;
  await expect(Client.validate(metadata)).resolves.toBeUndefined();
  for (const alg of ['none', 'HS256', 'RS512'])
    await expect(Client.validate({ ...metadata, id_token_signed_response_alg: alg } as never)).rejects.toThrow('invalid_client_metadata');
  expect((await fetch(`${app.url}/reg`, { method: 'POST' })).status).toBe(404);
});

it('a client detects an answer of another issuer, because each answer names its issuer', async () => {
  const as = await oauth.processDiscoveryResponse(
    new URL(app.url),
    await oauth.discoveryRequest(new URL(app.url), { algorithm: 'oauth2', [oauth.allowInsecureRequests]: true }),
  );
  const client: oauth.Client = { client_id: built.client.id };
  const back = await agree(app, authorizationUrl(app, built), built);
  const validated = oauth.validateAuthResponse(as, client, back, 'state');
  expect(() => oauth.validateAuthResponse({ ...as, issuer: 'https://honest.example' }, client, back, 'state')).toThrow('iss');
  back.searchParams.delete('iss');
  expect(() => oauth.validateAuthResponse(as, client, back, 'state')).toThrow('iss');
  const secret = oauth.ClientSecretPost(built.secret as string);
  const response = await oauth.authorizationCodeGrantRequest(as, client, secret, validated, REDIRECT_URI, VERIFIER, {
    [oauth.allowInsecureRequests]: true,
  });
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { requireIdToken: true });
  expect(oauth.getValidatedIdTokenClaims(tokens)).toMatchObject({ iss: app.url, sub: built.person.person.id });
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

describe('a client', () => {
  it('authenticates only with its current secret, on every node at once', async () => {
    const own = await buildClient(app);
    const right = await tokensFor(app, own);
    for (const secret of ['wrong', publicly.client.id, null])
      expect((await refresh(app, { ...own, secret }, right.refresh)).status).toBe(401);
    const { secret } = await app.oauth.clients.rotateSecret(ORIGIN, { id: own.client.id });
    expect((await refresh(other, own, right.refresh)).body).toEqual({
      error: 'invalid_client',
      error_description: 'client authentication failed',
    });
    expect((await refresh(other, { ...own, secret }, right.refresh)).status).toBe(200);
    await until(async () => (await events('token.refused', own.workspace.id)).length >= 4, 'the refusals to be recorded');
    expect((await events('token.refused', own.workspace.id))[0]).toMatchObject({
      subjectId: own.client.id,
      after: { endpoint: 'token', error: 'invalid_client' },
    });
  });

  it('has its secret only in the answer that creates it, and in no field', async () => {
    const { data } = await app.graphql(
      '{ client: __type(name: "OAuthClient") { fields { name } } consent: __type(name: "Consent") { fields { name } } }',
    );
    const fields = [...data.client.fields, ...data.consent.fields].map(({ name }: { name: string }) => name);
    expect(fields).toContain('hint');
    expect(fields.filter((name) => /secret|digest|token|pepper|payload/i.test(name))).toEqual([]);
  });

  it('cannot introspect or revoke tokens of another client', async () => {
    const { access } = await tokensFor(app, built);
    const another = await buildClient(app);
    expect((await ask(app, '/oauth/introspect', another, { token: access })).body).toEqual({ active: false });
    await ask(app, '/oauth/revoke', another, { token: access });
    expect(await works(access)).toBe(true);
  });
});

it('the database holds no usable token, code or secret', async () => {
  const { access, refresh: token } = await tokensFor(app, built);
  const code = await codeFor(app, built);
  const asked = await new Visitor(app.url, built.person.cookie).go(authorizationUrl(app, built).href);
  const uid = asked.address.split('/').at(-1) as string;
  const tables = ['oauth_tokens', 'oauth_clients', 'consents', 'audit_events', 'oauth_signing_keys'];
  const rows = await Promise.all(tables.map((table) => app.database.reader.query<object[]>(`SELECT * FROM ${table}`)));
  const text = JSON.stringify(rows);
  expect(text.length).toBeGreaterThan(1_000);
  for (const held of [access, token, code, uid, built.secret as string, VERIFIER]) expect(text).not.toContain(held);
  expect(text).not.toMatch(/"d\\?":|PRIVATE/);
  expect(app.logLines.join('\n')).not.toMatch(/tollgate_(access|refresh|client)_/);
});

it('a caller with admin.clients but without read.members cannot see who has given consent', async () => {
  const { workspace, client } = built;
  await tokensFor(app, built);
  const { id: roleId } = await app.services.roles.create(ORIGIN, {
    workspaceId: workspace.id,
    name: 'Builders',
    permissions: ['admin.clients'],
  });
  const { cookie } = await buildPerson(app, { workspace, roleId });
  const change = (credential?: { cookie: string }) =>
    app.graphql(
      `mutation ($id: ID!) {
        updateOAuthClient(input: { id: $id, name: "Shop" }) { client { name consents { nodes { user { email } } } } }
      }`,
      { id: client.id },
      credential,
    );
  const { data, errors } = await change(cookie);
  expect(data.updateOAuthClient.client).toEqual({ name: 'Shop', consents: null });
  expect(errors).toMatchObject([
    {
      path: ['updateOAuthClient', 'client', 'consents'],
      message: expect.stringContaining('read.members'),
      extensions: { code: 'FORBIDDEN' },
    },
  ]);
  expect((await change()).data.updateOAuthClient.client.consents.nodes).toContainEqual({ user: { email: built.person.person.email } });
});
