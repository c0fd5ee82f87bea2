import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { IsNull } from 'typeorm';
import { AuditEvent } from '../src/audit/event.entity';
import { ServiceAccountSecret } from '../src/service-accounts/service-account.entity';
import { outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { accountOf } from './support/books';
import { ORIGIN, buildProject, buildServiceAccount, buildWorkspace } from './support/factories';
import { VERIFIER, ask } from './support/oauth';
import { until } from './support/until';

// Service accounts as OAuth clients (client credentials), and their tokens.

let app: TestApp;
/** Another node with the same database. */
let other: TestApp;

beforeAll(async () => {
  app = await createTestApp();
  other = await createTestApp({ databaseUrl: app.databaseUrl, config: { publicUrl: app.url } });
});

afterAll(async () => {
  await other.close();
  await app.close();
});

const HOUR_MS = 3_600_000;

type Built = Awaited<ReturnType<typeof buildServiceAccount>>;

const configOf = ({ account, secret }: Built) =>
  openid.discovery(new URL(app.url), account.id, undefined, openid.ClientSecretBasic(secret), { execute: [openid.allowInsecureRequests] });
const tokenFor = async (built: Built, parameters: Record<string, string> = {}) =>
  openid.clientCredentialsGrant(await configOf(built), parameters);
/** Requests a token without a client library, for requests that are refused. */
const askToken = ({ account, secret }: { account: { id: string }; secret: string | null }, form: Record<string, string> = {}, node = app) =>
  ask(node, '/oauth/token', { client: { id: account.id } as never, secret }, { grant_type: 'client_credentials', ...form });
const eventsOf = async (subjectId: string) => (await app.database.reader.findBy(AuditEvent, { subjectId })).map(({ action }) => action);
const call = (token: string, node = app) => node.rest({ headers: { authorization: `Bearer ${token}` } }).then(outcomeOf);
const viewerOf = async (token: string) => {
  const { status, data } = await app.graphql('{ viewer { kind actorId permissions } }', {}, token);
  return status === 200 ? (data.viewer as { kind: string; actorId: string; permissions: string[] }) : status;
};

it('openid-client gets a token that works as its service account on every node, introspects it and revokes it', async () => {
  const built = await buildServiceAccount(app, { budget: 5_000, permissions: ['demo.*', 'read.keys'] });
  const config = await configOf(built);
  const token = await openid.clientCredentialsGrant(config);
  expect(token).toMatchObject({
    access_token: expect.stringMatching(/^tollgate_svctoken_[0-9A-Za-z]{38}$/),
    token_type: 'bearer',
    expires_in: 3_600,
  });
  expect(token.scope?.split(' ')).toEqual(expect.arrayContaining(['demo.echo', 'read.keys']));
  expect(await Promise.all([call(token.access_token), call(token.access_token, other)])).toEqual(['200 ok', '200 ok']);
  expect(await accountOf(app, built.projects[0]?.id as string)).toMatchObject({ bills: 2 });
  expect(await viewerOf(token.access_token)).toMatchObject({ kind: 'SERVICE_ACCOUNT', actorId: built.account.id });
  expect(await openid.tokenIntrospection(config, token.access_token)).toMatchObject({
    active: true,
    client_id: built.account.id,
    scope: token.scope,
  });
  await openid.tokenRevocation(config, token.access_token);
  expect([await call(token.access_token), await call(token.access_token, other), await viewerOf(token.access_token)]).toEqual([
    '401 REVOKED_API_KEY',
    '401 REVOKED_API_KEY',
    401,
  ]);
  expect(await openid.tokenIntrospection(config, token.access_token)).toEqual({ active: false });
  expect(await eventsOf(built.account.id)).toEqual(expect.arrayContaining(['token.issued', 'token.revoked']));
});

it('oauth4webapi gets a token too', async () => {
  const { account, secret } = await buildServiceAccount(app);
  const insecure = { [oauth.allowInsecureRequests]: true };
  const issuer = new URL(app.url);
  const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));
  expect(server.grant_types_supported).toContain('client_credentials');
  const client = { client_id: account.id };
  const response = await oauth.clientCredentialsGrantRequest(
    server,
    client,
    oauth.ClientSecretBasic(secret),
    { scope: 'demo.echo' },
    insecure,
  );
  const token = await oauth.processClientCredentialsResponse(server, client, response);
  expect(token.scope).toBe('demo.echo');
  expect(await call(token.access_token)).toBe('200 ok');
});

it('a token has only the requested permissions, and cannot be used to grant others', async () => {
  const built = await buildServiceAccount(app, { permissions: ['demo.*', 'read.keys', 'write.keys'] });
  const echoes = await tokenFor(built, { scope: 'demo.echo' });
  expect(await call(echoes.access_token)).toBe('200 ok');
  expect(await viewerOf(echoes.access_token)).toMatchObject({ permissions: ['demo.echo'] });
  const reads = await tokenFor(built, { scope: 'read.keys' });
  expect(await call(reads.access_token)).toBe('403 FORBIDDEN');
  const writes = await tokenFor(built, { scope: 'write.keys' });
  const project = built.projects[0] as Built['projects'][0];
  const mint = (permissions: string[]) =>
    app.graphql(
      'mutation ($input: MintKeyInput!) { mintKey(input: $input) { key { id } } }',
      { input: { projectId: project.id, name: 'More', permissions, environment: 'LIVE' } },
      writes.access_token,
    );
  expect((await mint(['demo.echo'])).errors?.[0]).toMatchObject({
    message: 'This needs the permission demo.echo.',
    extensions: { code: 'FORBIDDEN' },
  });
  expect((await mint([])).errors).toBeUndefined();
});

it('a token gets no permission that its account lacks, and loses permissions that the account loses', async () => {
  const built = await buildServiceAccount(app, { permissions: ['demo.echo'] });
  expect(await askToken(built, { scope: 'read.wallet' })).toMatchObject({ status: 400, body: { error: 'invalid_scope' } });
  const { access_token: token } = await tokenFor(built);
  await app.services.serviceAccounts.update(ORIGIN, { id: built.account.id, permissions: [] });
  expect([await call(token), await call(token, other)]).toEqual(['403 FORBIDDEN', '403 FORBIDDEN']);
  for (const form of [{}, { scope: 'demo.echo' }] as Record<string, string>[])
    expect(await askToken(built, form)).toMatchObject({ status: 400, body: { error: 'invalid_scope' } });
});

it('a call with a token names its project if the account works in several', async () => {
  const workspace = await buildWorkspace(app);
  const projects = [await buildProject(app, { workspace, budget: 5_000 }), await buildProject(app, { workspace, budget: 5_000 })];
  const { access_token: token } = await tokenFor(await buildServiceAccount(app, { projects }));
  expect(await call(token)).toBe('400 INVALID_REQUEST');
  const named = await app.rest({ headers: { authorization: `Bearer ${token}`, 'x-project-id': projects[1]?.id as string } });
  expect(outcomeOf(named)).toBe('200 ok');
});

describe('a token ends on every node at once', () => {
  it.each<[string, string, (built: Built) => Promise<unknown>]>([
    ['its account', '401 DISABLED_API_KEY', ({ account }) => app.services.serviceAccounts.disable(ORIGIN, { id: account.id })],
    [
      'a rotation that ends all secrets',
      '401 REVOKED_API_KEY',
      ({ account }) => app.services.serviceAccounts.rotate(ORIGIN, { id: account.id, graceSeconds: 0 }),
    ],
  ])('with %s', async (_cause, outcome, end) => {
    const built = await buildServiceAccount(app);
    const { access_token: token } = await tokenFor(built);
    expect([await call(token), await call(token, other)]).toEqual(['200 ok', '200 ok']);
    await end(built);
    expect([await call(token), await call(token, other), await viewerOf(token)]).toEqual([outcome, outcome, 401]);
  });

  it('after one hour, or earlier if its secret ends', async () => {
    const built = await buildServiceAccount(app);
    const { access_token: hours } = await tokenFor(built);
    await app.services.serviceAccounts.rotate(ORIGIN, { id: built.account.id, graceSeconds: 600 });
    const late = await tokenFor(built);
    expect(late.expires_in).toBeLessThanOrEqual(600);
    for (const node of [app, other]) node.travel(601_000);
    expect([await call(hours), await call(late.access_token)]).toEqual(['401 REVOKED_API_KEY', '401 REVOKED_API_KEY']);
    expect(await askToken(built)).toMatchObject({ status: 401, body: { error: 'invalid_client' } });
    const another = await buildServiceAccount(app);
    const { access_token: token } = await tokenFor(another);
    for (const node of [app, other]) node.travel(HOUR_MS);
    expect([await call(token), await call(token, other)]).toEqual(['401 REVOKED_API_KEY', '401 REVOKED_API_KEY']);
    await tokenFor(another);
    const secrets = await app.database.reader.findBy(ServiceAccountSecret, { accountId: another.account.id });
    expect(secrets).toHaveLength(2); // ended secrets are deleted
  });
});

describe('a token is refused', () => {
  it('for the secret of another account, for a token as secret, without a secret, and for a disabled or unknown account', async () => {
    const [built, foreign] = [await buildServiceAccount(app), await buildServiceAccount(app)];
    const { access_token: token } = await tokenFor(built);
    const disabled = await buildServiceAccount(app);
    await app.services.serviceAccounts.disable(ORIGIN, { id: disabled.account.id });
    for (const asked of [
      { ...built, secret: foreign.secret },
      { ...built, secret: token },
      { ...built, secret: null },
      disabled,
      { account: { id: 'svc_none' }, secret: built.secret },
    ]) {
      expect(await askToken(asked)).toMatchObject({ status: 401, body: { error: 'invalid_client' } });
    }
    await until(async () => (await eventsOf(built.account.id)).includes('token.refused'), 'the refusal in the trail');
  });

  it('for an authorization or a code, because a service account cannot act as a person', async () => {
    const built = await buildServiceAccount(app);
    const authorize = await fetch(
      `${app.url}/oauth/authorize?client_id=${built.account.id}&response_type=code&redirect_uri=https://shop.example/callback&scope=openid`,
      { redirect: 'manual' },
    );
    expect([authorize.status, authorize.headers.get('location')]).toEqual([400, null]);
    expect(
      await askToken(built, {
        grant_type: 'authorization_code',
        code: 'tollgate_code_x',
        redirect_uri: 'https://shop.example/callback',
        code_verifier: VERIFIER,
      }),
    ).toMatchObject({ status: 400, body: { error_description: 'requested grant type is not allowed for this client' } });
  });
});

it('two concurrent requests with two secrets of one account are kept apart: no token outlives its secret', async () => {
  const built = await buildServiceAccount(app);
  const { secret } = await app.services.serviceAccounts.rotate(ORIGIN, { id: built.account.id, graceSeconds: 60 });
  await askToken({ ...built, secret }); // from here on all requests share one client object of oidc-provider
  const { lookups } = app.database;
  const findOneBy = lookups.findOneBy.bind(lookups);
  const waiting: (() => void)[] = [];
  const slow = jest.spyOn(lookups, 'findOneBy').mockImplementation(async (entity, where) => {
    const found = await findOneBy(entity, where);
    if (entity !== ServiceAccountSecret) return found;
    // Waits until both secrets are checked at the same time
    await new Promise<void>((resolve) => (waiting.push(resolve) === 2 ? waiting.forEach((proceed) => proceed()) : undefined));
    return found;
  });
  const [before, now] = await Promise.all([askToken(built), askToken({ ...built, secret })]);
  slow.mockRestore();
  expect([before.body.expires_in <= 60, now.body.expires_in]).toEqual([true, 3_600]);
});

it('a rotation without grace leaves no token behind if tokens are requested concurrently', async () => {
  const built = await buildServiceAccount(app);
  const asked = Array.from({ length: 12 }, (_, index) => askToken(built, {}, index % 2 === 0 ? app : other));
  await app.services.serviceAccounts.rotate(ORIGIN, { id: built.account.id, graceSeconds: 0 });
  const tokens = (await Promise.all(asked)).flatMap(({ status, body }) => (status === 200 ? [body.access_token as string] : []));
  for (const token of tokens) expect(await call(token)).toBe('401 REVOKED_API_KEY');
  const active = { accountId: built.account.id, endedAt: IsNull() };
  expect(await app.database.reader.countBy(ServiceAccountSecret, active)).toBe(1); // the new secret
});
