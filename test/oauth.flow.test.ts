import * as openid from 'openid-client';
import { createTestApp, type TestApp } from './support/app';
import { LOOPBACK_URI, REDIRECT_URI, agree, buildClient, type BuiltClient } from './support/oauth';

// The whole flow, by an independent client that is certified: openid-client.

let app: TestApp;
/** Another node on the same database. */
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
  const tokens = await openid.authorizationCodeGrant(config, back, { pkceCodeVerifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true });
  return { config, tokens, back };
}

const viewerOf = async (token: string, node = app) => {
  const answer = await node.graphql('{ viewer { kind name permissions } }', {}, token);
  return answer.status === 200 ? (answer.data.viewer as { kind: string; name: string; permissions: string[] }) : answer.status;
};

describe.each([
  ['a confidential client', true, REDIRECT_URI],
  ['a public one on a device', false, LOOPBACK_URI.replace('127.0.0.1', '127.0.0.1:51234')],
])('%s', (_name, confidential, redirectUri) => {
  it('learns who a person is, acts for them, refreshes, asks about its tokens and gives them back', async () => {
    const built = await buildClient(app, { confidential });
    const { config, tokens, back } = await signIn(built, { redirectUri });
    expect(back.searchParams.get('iss')).toBe(issuer);
    expect(tokens.claims()).toMatchObject({ iss: issuer, sub: built.person.person.id, aud: built.client.id, name: 'Ada', email: built.person.person.email });
    expect(tokens).toMatchObject({ token_type: 'bearer', expires_in: 3_600, scope: 'openid profile email demo.echo read.keys' });
    expect(tokens.access_token).toMatch(/^tollgate_access_[0-9A-Za-z]{38}$/);
    expect(tokens.refresh_token).toMatch(/^tollgate_refresh_[0-9A-Za-z]{38}$/);
    expect(await viewerOf(tokens.access_token)).toEqual({ kind: 'OAUTH_CLIENT', name: 'Shop', permissions: ['demo.echo', 'read.keys'] });
    expect(await viewerOf(tokens.access_token, other)).toMatchObject({ kind: 'OAUTH_CLIENT' });
    const refreshed = await openid.refreshTokenGrant(config, tokens.refresh_token as string);
    expect(refreshed.refresh_token).not.toBe(tokens.refresh_token);
    expect(await viewerOf(refreshed.access_token)).toMatchObject({ kind: 'OAUTH_CLIENT' });
    expect(await openid.tokenIntrospection(config, refreshed.access_token)).toMatchObject({ active: true, client_id: built.client.id, scope: expect.stringContaining('demo.echo') });
    await openid.tokenRevocation(config, refreshed.refresh_token as string);
    for (const token of [tokens.access_token, refreshed.access_token]) {
      expect([await viewerOf(token), await viewerOf(token, other)]).toEqual([401, 401]);
      expect(await openid.tokenIntrospection(config, token)).toEqual({ active: false });
    }
  });
});

it('a start warns where it cannot know how the world reaches it, and so who the issuer is, and not where it is told', async () => {
  const warned = ({ logLines }: TestApp) => logLines.filter((line) => line.includes('PUBLIC_URL is not set'));
  const started = await createTestApp({ databaseUrl: app.databaseUrl, config: { host: '0.0.0.0' } });
  const told = await createTestApp({ databaseUrl: app.databaseUrl, config: { host: '0.0.0.0', publicUrl: 'https://tollgate.example' } });
  expect(warned(started)).toEqual([expect.stringContaining('"level":40')]);
  expect([warned(told), warned(other)]).toEqual([[], []]);
  expect(warned(app)).toHaveLength(TEST_DATABASE === 'mysql' ? 1 : 0);
  await started.close();
  await told.close();
});
