import { mintSecret } from '../src/access/secret';
import { RequestLog } from '../src/requests/request-log.entity';
import { Environment } from '../src/tenancy/environment';
import { errorOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { accountOf } from './support/books';
import { ORIGIN, buildKey, buildProject, buildServiceAccount, buildWorkspace } from './support/factories';
import { send } from './support/http';
import { buildClient, tokensFor } from './support/oauth';

let app: TestApp;
beforeAll(async () => {
  app = await createTestApp();
});
afterAll(() => app.close());

const self = (secret: string | undefined, headers: Record<string, string> = {}) =>
  send(app.url, { path: '/v1/self', headers: { ...headers, ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }) } });

it('tells a key what it is, its project, its rate and its budget, and uses none of them', async () => {
  const expiresAt = new Date('2099-01-01T00:00:00Z');
  const limits = { budget: 2_500, rateLimit: { sustainedRps: 0.01, burst: 3 } };
  const { secret, key, project } = await buildKey(app, { ...limits, permissions: ['demo.*', 'read.keys'], expiresAt });
  expect((await app.rest({ secret })).status).toBe(200);
  for (let times = 0; times < 4; times += 1) {
    const { status, headers, body } = await self(secret);
    expect(status).toBe(200);
    expect(body).toEqual({
      id: key.id,
      name: 'Key',
      kind: 'API_KEY',
      environment: 'LIVE',
      permissions: ['demo.*', 'read.keys'],
      expiresAt: '2099-01-01T00:00:00.000Z',
      project: { id: project.id, name: 'Project' },
      rateLimit: { sustainedRps: 0.01, burst: 3, remaining: 2, resetMs: expect.any(Number) },
      budget: { availableMicroCredits: 1_500 },
    });
    expect(body.rateLimit.resetMs).toBeGreaterThan(50_000);
    expect(body.rateLimit.resetMs).toBeLessThanOrEqual(100_000);
    expect(headers.get('ratelimit')).toMatch(/^"project";r=2;t=\d+$/);
    expect(headers.get('cache-control')).toBe('no-store');
  }
  expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_500, held: 0 });
  expect(await app.database.reader.countBy(RequestLog, { projectId: project.id })).toBe(1);
  expect((await app.rest({ secret })).status).toBe(200); // the second of three
});

it('tells the environment of a TEST key', async () => {
  const { secret } = await buildKey(app, { environment: Environment.TEST });
  expect((await self(secret)).body).toMatchObject({ environment: 'TEST', expiresAt: null });
});

it('tells a service account about the project that it names', async () => {
  const workspace = await buildWorkspace(app);
  const projects = [await buildProject(app, { workspace }), await buildProject(app, { workspace, budget: 70 })];
  const { secret, account } = await buildServiceAccount(app, { projects });
  const second = projects[1]?.id as string;
  expect((await self(secret, { 'x-project-id': second })).body).toMatchObject({
    id: account.id,
    kind: 'SERVICE_ACCOUNT',
    project: { id: second },
    budget: { availableMicroCredits: 70 },
  });
  expect(errorOf(await self(secret))).toMatchObject({ http: 400, details: { issues: [{ path: ['X-Project-Id'] }] } });
  const strange = await buildProject(app);
  expect(errorOf(await self(secret, { 'x-project-id': strange.id }))).toMatchObject({ http: 404, code: 'NOT_FOUND' });
});

it('tells an access token about the project of its consent', async () => {
  const built = await buildClient(app);
  const { access } = await tokensFor(app, built, { scope: 'demo.echo' });
  expect((await self(access)).body).toMatchObject({ kind: 'OAUTH_CLIENT', permissions: ['demo.echo'], project: { id: built.project.id } });
});

it('refuses as execute does', async () => {
  const { secret, key } = await buildKey(app);
  const elsewhere = await buildKey(app, { allowedIps: ['203.0.113.0/24'] });
  const other = await buildProject(app);
  expect(errorOf(await self(undefined))).toMatchObject({ http: 401, code: 'MISSING_API_KEY' });
  for (const unknown of ['garbage', app.rootKey, mintSecret('acme', 'LIVE')]) {
    expect(errorOf(await self(unknown))).toMatchObject({ http: 401, code: 'INVALID_API_KEY' });
  }
  expect(errorOf(await self(elsewhere.secret))).toMatchObject({ http: 403, code: 'IP_NOT_ALLOWED' });
  expect(errorOf(await self(secret, { 'x-project-id': other.id }))).toMatchObject({ http: 400 });
  expect(errorOf(await self(secret, { 'x-api-version': '2' }))).toMatchObject({ http: 400 });
  await app.services.keys.update(ORIGIN, { id: key.id, enabled: false });
  expect(errorOf(await self(secret))).toMatchObject({ http: 401, code: 'DISABLED_API_KEY' });
  await app.services.keys.update(ORIGIN, { id: key.id, enabled: true });
  expect((await self(secret)).status).toBe(200);
  await app.services.keys.revoke(ORIGIN, { id: key.id });
  expect(errorOf(await self(secret))).toMatchObject({ http: 401, code: 'REVOKED_API_KEY' });
});

it('has no other method than GET', async () => {
  expect(errorOf(await send(app.url, { method: 'POST', path: '/v1/self' }))).toMatchObject({ http: 405, allow: 'GET, HEAD' });
});
