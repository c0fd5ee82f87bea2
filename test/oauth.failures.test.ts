import * as oauth from 'oauth4webapi';
import { AuditEvent } from '../src/audit/event.entity';
import { createTestApp, type TestApp } from './support/app';
import { ORIGIN } from './support/factories';
import {
  INVALID_GRANT,
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

// Attacks and faults that the endpoints of clients must refuse.

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

const works = async (token: string, node = app): Promise<boolean> => (await node.graphql('{ viewer { id } }', {}, token)).status === 200;
const events = (action: string, workspaceId = built.workspace.id) => app.database.reader.findBy(AuditEvent, { workspaceId, action });

describe('a code', () => {
  it('is refused without its verifier or with a wrong one, for confidential and public clients', async () => {
    for (const client of [built, publicly]) {
      for (const form of [{}, { code_verifier: `${VERIFIER}x` }] as Record<string, string>[])
        expect(await redeem(app, client, await codeFor(app, client), form)).toEqual(INVALID_GRANT);
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
    expect(await redeem(other, built, code)).toEqual(INVALID_GRANT);
    expect([await works(body.access_token), await works(body.access_token, other)]).toEqual([false, false]);
    expect(await refresh(app, built, body.refresh_token)).toEqual(INVALID_GRANT);
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
    expect(await redeem(app, built, code)).toEqual(INVALID_GRANT);
    app.travel(-61_000);
  });

  it('is refused for another client, or with another redirect address', async () => {
    const another = await buildClient(app, { workspace: built.workspace });
    expect(await redeem(app, another, await codeFor(app, built))).toEqual(INVALID_GRANT);
    expect(await redeem(app, built, await codeFor(app, built), { code_verifier: VERIFIER, redirect_uri: `${REDIRECT_URI}/` })).toEqual(
      INVALID_GRANT,
    );
  });
});

describe('a refresh token', () => {
  it('that is used twice ends its whole family on every node, because it must be stolen', async () => {
    const first = await tokensFor(app, built);
    const { body: second } = await refresh(app, built, first.refresh);
    expect((await refresh(other, built, second.refresh_token)).status).toBe(200);
    const before = (await events('token.reused')).length;
    expect(await refresh(other, built, first.refresh)).toEqual(INVALID_GRANT);
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
    expect(await refresh(app, publicly, token)).toEqual(INVALID_GRANT);
    expect((await refresh(app, built, token)).status).toBe(200);
  });

  it('expires after 30 days, and an access token after one hour', async () => {
    const { access, refresh: token } = await tokensFor(app, built);
    app.travel(3_601_000);
    expect(await works(access)).toBe(false);
    app.travel(30 * 86_400_000);
    expect(await refresh(app, built, token)).toEqual(INVALID_GRANT);
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
