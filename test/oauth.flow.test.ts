import * as openid from 'openid-client';
import { createTestApp, type TestApp } from './support/app';
import { buildServiceAccount } from './support/factories';
import {
  LOOPBACK_URI,
  REDIRECT_URI,
  Visitor,
  agree,
  ask,
  authorizationUrl,
  buildClient,
  codeFor,
  redeem,
  refresh,
  tokensFor,
  type Answer,
  type BuiltClient,
} from './support/oauth';

// The whole flow with an independent, certified client: openid-client.

let app: TestApp;
/** Another node with the same database. */
let other: TestApp;
let issuer: string;

beforeAll(async () => {
  app = await createTestApp();
  issuer = app.url;
  other = await createTestApp({ databaseUrl: app.databaseUrl, config: { publicUrl: issuer } });
});

afterAll(async () => {
  await other.close();
  await app.close();
});

async function discover({ client, secret }: BuiltClient): Promise<openid.Configuration> {
  const auth = secret === null ? openid.None() : openid.ClientSecretBasic(secret);
  return openid.discovery(new URL(issuer), client.id, undefined, auth, { execute: [openid.allowInsecureRequests] });
}

async function signIn(built: BuiltClient, { scope = 'openid profile email demo.echo read.keys', redirectUri = REDIRECT_URI } = {}) {
  const config = await discover(built);
  const pkceCodeVerifier = openid.randomPKCECodeVerifier();
  const [state, nonce] = [openid.randomState(), openid.randomNonce()];
  const url = openid.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope,
    state,
    nonce,
    code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  });
  const back = await agree(app, url, built);
  const tokens = await openid.authorizationCodeGrant(config, back, {
    pkceCodeVerifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
  });
  return { config, tokens, back };
}

const viewerOf = async (token: string, node = app) => {
  const answer = await node.graphql('{ viewer { kind name permissions } }', {}, token);
  return answer.status === 200 ? (answer.data.viewer as { kind: string; name: string; permissions: string[] }) : answer.status;
};

describe.each([
  ['a confidential client', true, REDIRECT_URI],
  ['a public client on a device', false, LOOPBACK_URI.replace('127.0.0.1', '127.0.0.1:51234')],
])('%s', (_name, confidential, redirectUri) => {
  it('identifies a person, acts for them, refreshes, introspects and revokes its tokens', async () => {
    const built = await buildClient(app, { confidential });
    const { config, tokens, back } = await signIn(built, { redirectUri });
    expect(back.searchParams.get('iss')).toBe(issuer);
    expect(tokens.claims()).toMatchObject({
      iss: issuer,
      sub: built.person.person.id,
      aud: built.client.id,
      name: 'Ada',
      email: built.person.person.email,
    });
    expect(tokens).toMatchObject({ token_type: 'bearer', expires_in: 3_600, scope: 'openid profile email demo.echo read.keys' });
    expect(tokens.access_token).toMatch(/^tollgate_access_[0-9A-Za-z]{38}$/);
    expect(tokens.refresh_token).toMatch(/^tollgate_refresh_[0-9A-Za-z]{38}$/);
    expect(await viewerOf(tokens.access_token)).toEqual({ kind: 'OAUTH_CLIENT', name: 'Shop', permissions: ['demo.echo', 'read.keys'] });
    expect(await viewerOf(tokens.access_token, other)).toMatchObject({ kind: 'OAUTH_CLIENT' });
    const refreshed = await openid.refreshTokenGrant(config, tokens.refresh_token as string);
    expect(refreshed.refresh_token).not.toBe(tokens.refresh_token);
    expect(await viewerOf(refreshed.access_token)).toMatchObject({ kind: 'OAUTH_CLIENT' });
    expect(await openid.tokenIntrospection(config, refreshed.access_token)).toMatchObject({
      active: true,
      client_id: built.client.id,
      scope: expect.stringContaining('demo.echo'),
    });
    await openid.tokenRevocation(config, refreshed.refresh_token as string);
    for (const token of [tokens.access_token, refreshed.access_token]) {
      expect([await viewerOf(token), await viewerOf(token, other)]).toEqual([401, 401]);
      expect(await openid.tokenIntrospection(config, token)).toEqual({ active: false });
    }
  });
});

it('a start logs a warning if its public URL, and so the issuer, is not configured', async () => {
  const warned = ({ logLines }: TestApp) => logLines.filter((line) => line.includes('PUBLIC_URL is not set'));
  const started = await createTestApp({ databaseUrl: app.databaseUrl, config: { host: '0.0.0.0' } });
  const config = { host: '0.0.0.0', publicUrl: 'https://tollgate.example' };
  const configured = await createTestApp({ databaseUrl: app.databaseUrl, config });
  expect(warned(started)).toEqual([expect.stringContaining('"level":40')]);
  expect([warned(configured), warned(other)]).toEqual([[], []]);
  expect(warned(app)).toHaveLength(TEST_DATABASE === 'mysql' ? 1 : 0);
  await started.close();
  await configured.close();
});

describe('the discovery document lists what is accepted:', () => {
  type Document = Record<string, string & string[]>;
  let document: Document;
  let confidential: BuiltClient;
  let publicly: BuiltClient;
  beforeAll(async () => {
    document = await get('/.well-known/openid-configuration');
    confidential = await buildClient(app);
    publicly = await buildClient(app, { confidential: false });
  });

  const get = async (path: string) => (await (await fetch(`${app.url}${path}`)).json()) as Document;
  const listOf = (claim: string): string[] => document[claim] as string[];
  const begin = (built: BuiltClient, parameters: Record<string, string | null>) =>
    new Visitor(app.url, built.person.cookie).go(authorizationUrl(app, built, parameters).href);
  /** Returns the result of an authorization request: the consent page, or the error that the application gets. */
  const outcomeOf = async (parameters: Record<string, string | null>, built = confidential): Promise<string | null> => {
    const { address, body } = await begin(built, parameters);
    return body.includes('name="decision"') ? 'asked' : new URL(address).searchParams.get('error');
  };
  const claimsOf = (idToken: string) =>
    JSON.parse(Buffer.from(idToken.split('.')[1] as string, 'base64url').toString()) as Record<string, unknown>;
  const without = (list: readonly string[], known: readonly string[]): string[] => known.filter((one) => !list.includes(one));

  it('this test tries everything that is listed', async () => {
    expect(Object.keys(document).sort()).toEqual([
      ...[
        'authorization_endpoint',
        'authorization_response_iss_parameter_supported',
        'claim_types_supported',
        'claims_parameter_supported',
      ],
      ...['claims_supported', 'code_challenge_methods_supported', 'grant_types_supported', 'id_token_signing_alg_values_supported'],
      ...[
        'introspection_endpoint',
        'introspection_endpoint_auth_methods_supported',
        'issuer',
        'jwks_uri',
        'request_uri_parameter_supported',
      ],
      ...['response_modes_supported', 'response_types_supported', 'revocation_endpoint', 'revocation_endpoint_auth_methods_supported'],
      ...['scopes_supported', 'subject_types_supported', 'token_endpoint', 'token_endpoint_auth_methods_supported'],
    ]);
    expect(await get('/.well-known/oauth-authorization-server')).toEqual(document);
    expect(document.claim_types_supported).toEqual(['normal']);
  });

  it('endpoints, with the methods that their specifications require', async () => {
    const statusOf = async (url: string | undefined, method: string) => (await fetch(url ?? '', { method, redirect: 'manual' })).status;
    for (const endpoint of ['token_endpoint', 'introspection_endpoint', 'revocation_endpoint']) {
      expect([endpoint, await statusOf(document[endpoint], 'POST')]).toEqual([endpoint, 400]);
    }
    for (const method of ['GET', 'POST']) expect([method, await statusOf(document.authorization_endpoint, method)]).toEqual([method, 400]);
    expect(await statusOf(document.jwks_uri, 'GET')).toBe(200);
    expect(document.issuer).toBe(issuer);
  });

  it('response modes and types', async () => {
    for (const mode of [...listOf('response_modes_supported'), null]) {
      const { searchParams: answer } = await agree(app, authorizationUrl(app, confidential, { response_mode: mode }), confidential);
      expect([mode, answer.get('code'), answer.get('iss'), answer.get('state')]).toEqual([mode, expect.any(String), issuer, 'state']);
    }
    for (const mode of without(listOf('response_modes_supported'), ['form_post', 'query', 'web_message', 'jwt', 'query.jwt'])) {
      expect([mode, await outcomeOf({ response_mode: mode })]).toEqual([mode, 'unsupported_response_mode']);
    }
    const { address: fragment } = await begin(confidential, { response_mode: 'fragment' });
    expect([document.response_modes_supported, fragment]).toEqual([['query'], expect.stringContaining('#error=invalid_request')]);
    for (const type of listOf('response_types_supported')) expect(await outcomeOf({ response_type: type })).toBe('asked');
    for (const type of without(listOf('response_types_supported'), ['code', 'token', 'id_token', 'none'])) {
      const { address } = await begin(confidential, { response_type: type });
      expect([type, address]).toEqual([type, expect.stringMatching(/callback[#?]error=(unsupported_response_type|invalid_request)&/)]);
    }
  });

  it('PKCE methods, and request parameters', async () => {
    for (const method of listOf('code_challenge_methods_supported'))
      expect(await outcomeOf({ code_challenge_method: method })).toBe('asked');
    expect([document.code_challenge_methods_supported, await outcomeOf({ code_challenge_method: 'plain' })]).toEqual([
      ['S256'],
      'invalid_request',
    ]);
    expect([document.request_uri_parameter_supported, await outcomeOf({ request_uri: 'https://shop.example/request' })]).toEqual([
      false,
      'request_uri_not_supported',
    ]);
    expect(await outcomeOf({ request: 'e30.e30.' })).toBe('request_not_supported');
    const claims = JSON.stringify({ id_token: { name: { essential: true } } });
    const { body } = await redeem(app, confidential, await codeFor(app, confidential, { scope: 'openid', claims }));
    expect([document.claims_parameter_supported, 'name' in claimsOf(body.id_token)]).toEqual([false, false]);
  });

  it('scopes that an owner may grant, and claims that are in an ID token', async () => {
    const scope = listOf('scopes_supported').join(' ');
    const { body } = await redeem(
      app,
      confidential,
      await codeFor(app, confidential, { scope, prompt: 'consent', max_age: '3600', nonce: 'n' }),
    );
    expect(body.scope.split(' ').sort()).toEqual([...listOf('scopes_supported')].sort());
    const claims = claimsOf(body.id_token);
    expect(without(Object.keys(claims), listOf('claims_supported'))).toEqual([]);
    const inner = ['aud', 'exp', 'iat', 'nonce', 'at_hash'];
    expect(without([...listOf('claims_supported'), ...inner], Object.keys(claims))).toEqual([]);
    const [head = ''] = body.id_token.split('.') as string[];
    const { alg, kid } = JSON.parse(Buffer.from(head, 'base64url').toString()) as { alg: string; kid: string };
    expect(listOf('id_token_signing_alg_values_supported')).toEqual([alg]);
    expect((await get('/oauth/jwks')).keys).toContainEqual(expect.objectContaining({ kid, alg }));
    expect(document.subject_types_supported).toEqual(['public']);
    const another = await buildClient(app, { workspace: confidential.workspace });
    const again = await redeem(app, another, await codeFor(app, { ...another, person: confidential.person }));
    expect(claimsOf(again.body.id_token).sub).toBe(claims.sub); // public subject: the same for every application
  });

  it('grant types', async () => {
    const { account, secret } = await buildServiceAccount(app);
    const granted: Record<string, () => Promise<Answer>> = {
      authorization_code: async () => redeem(app, confidential, await codeFor(app, confidential)),
      refresh_token: async () => refresh(app, confidential, (await tokensFor(app, confidential)).refresh),
      client_credentials: () => ask(app, '/oauth/token', { client: account as never, secret }, { grant_type: 'client_credentials' }),
    };
    expect(listOf('grant_types_supported').sort()).toEqual(Object.keys(granted).sort());
    for (const [type, send] of Object.entries(granted)) expect([type, (await send()).status]).toEqual([type, 200]);
    for (const type of [
      'password',
      'implicit',
      'urn:ietf:params:oauth:grant-type:device_code',
      'urn:ietf:params:oauth:grant-type:token-exchange',
    ]) {
      expect([type, (await ask(app, '/oauth/token', confidential, { grant_type: type })).body.error]).toEqual([
        type,
        'unsupported_grant_type',
      ]);
    }
  });

  it('methods of client authentication at each endpoint', async () => {
    const METHODS = ['client_secret_basic', 'client_secret_post', 'none'];
    for (const endpoint of ['token', 'introspection', 'revocation'])
      expect(document[`${endpoint}_endpoint_auth_methods_supported`]).toEqual(METHODS);
    const send = async (path: string, method: string, form: Record<string, string>): Promise<number> => {
      const { client, secret } = method === 'none' ? publicly : confidential;
      if (method !== 'client_secret_post') return (await ask(app, path, { client, secret }, form)).status;
      return (await ask(app, path, { client, secret: null }, { ...form, client_secret: secret ?? '' })).status;
    };
    for (const method of METHODS) {
      const built = method === 'none' ? publicly : confidential;
      const { access, refresh: token } = await tokensFor(app, built);
      const statuses = [
        await send('/oauth/introspect', method, { token: access }),
        await send('/oauth/token', method, { grant_type: 'refresh_token', refresh_token: token }),
      ];
      expect([method, ...statuses, await send('/oauth/revoke', method, { token: access })]).toEqual([method, 200, 200, 200]);
    }
  });
});

describe('POST /oauth/authorize', () => {
  const post = (
    built: BuiltClient,
    parameters: Record<string, string | null> = {},
    visitor = new Visitor(app.url, built.person.cookie),
  ) => {
    const { origin, pathname, searchParams } = authorizationUrl(app, built, parameters);
    return visitor.go(`${origin}${pathname}`, Object.fromEntries(searchParams), { origin: 'https://shop.example' });
  };

  it('works like GET, also for a person who signs in first, and the application gets its code', async () => {
    const built = await buildClient(app);
    const visitor = new Visitor(app.url);
    const scope = 'openid demo.echo read.keys';
    const asked = await post(built, { state: 'a & b=c#d+é', scope, login_hint: built.person.person.email }, visitor);
    expect(asked.body).toContain(built.person.person.email);
    const { address, body } = await visitor.go(`${asked.address}/sign-in`, {
      email: built.person.person.email,
      password: built.person.password,
      code: '',
    });
    for (const permission of ['demo.echo', 'read.keys']) expect(body).toContain(`<code>${permission}</code>`);
    const back = new URL((await visitor.go(address, { decision: 'allow', projectId: built.project.id })).address);
    expect([back.searchParams.get('state'), back.searchParams.get('iss')]).toEqual(['a & b=c#d+é', issuer]);
    const { status, body: tokens } = await redeem(app, built, back.searchParams.get('code') ?? '');
    expect([status, tokens.scope]).toEqual([200, scope]);
  });

  it('refuses the same requests as GET, and reads parameters only from a form', async () => {
    const built = await buildClient(app);
    const cases: Record<string, string | null>[] = [
      { redirect_uri: 'https://evil.example/' },
      { client_id: 'app_no' },
      { code_challenge: null },
      { response_mode: 'form_post' },
    ];
    for (const parameters of cases) {
      const { status, address, body } = await new Visitor(app.url).go(authorizationUrl(app, built, parameters).href);
      const posted = await post(built, parameters);
      expect([posted.status, posted.body]).toEqual([status, body]);
      if (status === 303) expect(posted.address).toBe(address);
    }
    const url = authorizationUrl(app, built);
    expect((await fetch(url, { method: 'POST', redirect: 'manual' })).status).toBe(400); // ignores parameters of the URL
    const other = { method: 'POST', redirect: 'manual' } as const;
    expect((await fetch(url, { ...other, headers: { 'content-type': 'application/json' }, body: '{}' })).status).toBe(415);
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    expect((await fetch(url, { ...other, headers: form, body: `state=${'x'.repeat(20_000)}` })).status).toBe(413);
    const twice = await fetch(`${app.url}/oauth/authorize`, {
      ...other,
      headers: form,
      body: `${url.searchParams.toString()}&scope=openid`,
    });
    expect(twice.headers.get('location')).toContain('error=invalid_request');
  });
});
