import { buildClientSchema, getIntrospectionQuery } from 'graphql';
import { AuditEvent } from '../src/audit/event.entity';
import { RequestLog } from '../src/requests/request-log.entity';
import { ServiceAccount, ServiceAccountSecret } from '../src/service-accounts/service-account.entity';
import { outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { accountOf, faultsOf } from './support/books';
import { ORIGIN, buildProject, buildServiceAccount, buildWorkspace, ghostOf } from './support/factories';
import { mutations } from './support/mutate';
import { buildPerson } from './support/people';

let app: TestApp;
let mutate: ReturnType<typeof mutations>['mutate'];
let refusal: ReturnType<typeof mutations>['refusal'];

beforeAll(async () => {
  app = await createTestApp();
  ({ mutate, refusal } = mutations(app));
});

afterAll(() => app.close());

const inProject = (secret: string, { id }: { id: string }, body: Record<string, unknown> = {}) =>
  app.rest({ secret, headers: { 'x-project-id': id }, body });

describe('a service account', () => {
  it('shows its secret only when it is created: no field of its type has one', async () => {
    const project = await buildProject(app);
    const input = {
      workspaceId: project.workspaceId,
      name: 'Nightly',
      permissions: ['demo.*'],
      projectIds: [project.id],
      rotationDays: 30,
    };
    const { secret, serviceAccount } = await mutate(
      'createServiceAccount',
      input,
      `
        secret
        serviceAccount {
          id name hint permissions enabled rotationDays rotationStatus rotatedAt
          workspace { id }
          projects { id }
          role { id }
        }
      `,
    );
    expect(secret).toMatch(/^acme_svc_[0-9A-Za-z]{38}$/);
    expect(serviceAccount).toMatchObject({
      name: 'Nightly',
      hint: `acme_svc_...${secret.slice(-4)}`,
      permissions: ['demo.*'],
      enabled: true,
      rotationDays: 30,
      rotationStatus: 'OK',
      rotatedAt: null,
      role: null,
    });
    expect(serviceAccount).toMatchObject({ workspace: { id: project.workspaceId }, projects: [{ id: project.id }] });
    const schema = buildClientSchema((await app.graphql(getIntrospectionQuery(), {}, app.rootKey)).data);
    const fields = Object.keys((schema.getType('ServiceAccount') as unknown as { getFields(): object }).getFields());
    expect(fields.filter((name) => /secret|digest|token/i.test(name))).toEqual(['previousSecretsValidUntil']);
    expect(JSON.stringify(await app.database.reader.find(AuditEvent))).not.toContain(secret.slice(-38, -4));
    expect(JSON.stringify(await app.database.reader.find(ServiceAccountSecret))).not.toContain(secret.slice(-38, -4));
  });

  it('calls in its only project without naming it, is billed there, and is the caller in the log', async () => {
    const { secret, account, projects } = await buildServiceAccount(app, { budget: 5_000 });
    const [project] = projects as [(typeof projects)[0]];
    expect(outcomeOf(await app.rest({ secret }))).toBe('200 ok');
    expect(outcomeOf(await inProject(secret, project))).toBe('200 ok');
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 3_000, bills: 2, holds: 0 });
    const { data } = await app.graphql(
      `query ($id: ID!) {
        serviceAccount(id: $id) {
          lastUsedAt
          requestLogs { nodes { outcome key { id } serviceAccount { id } project { id } } }
        }
        node(id: $id) { id }
      }`,
      { id: account.id },
    );
    expect(data.node).toEqual({ id: account.id });
    expect(data.serviceAccount.lastUsedAt).not.toBeNull();
    const log = { outcome: 'SUCCEEDED', key: null, serviceAccount: { id: account.id }, project: { id: project.id } };
    expect(data.serviceAccount.requestLogs.nodes).toEqual([log, log]);
    expect(await app.database.reader.countBy(RequestLog, { credentialId: account.id, credentialKind: 'SERVICE_ACCOUNT' })).toBe(2);
    expect(await faultsOf(app)).toEqual([]);
  });

  it('must name its project if it has several; the refusal says so', async () => {
    const workspace = await buildWorkspace(app);
    const projects = [
      await buildProject(app, { workspace, budget: 5_000 }),
      await buildProject(app, { workspace, budget: 7_000 }),
    ] as const;
    const { secret } = await buildServiceAccount(app, { projects: [...projects] });
    const unnamed = await app.rest({ secret });
    expect(outcomeOf(unnamed)).toBe('400 INVALID_REQUEST');
    expect(unnamed.body.error.details.issues).toEqual([
      { path: ['X-Project-Id'], message: 'must name one of the projects that this credential may work in' },
    ]);
    expect(outcomeOf(await app.rest({ secret, headers: { 'x-project-id': 'no id, that' } }))).toBe('400 INVALID_REQUEST');
    for (const project of projects) expect(outcomeOf(await inProject(secret, project))).toBe('200 ok');
    expect([(await accountOf(app, projects[0].id)).balance, (await accountOf(app, projects[1].id)).balance]).toEqual([4_000, 6_000]);
  });

  it('gets the same answer for a project that it was not granted as for an unknown project', async () => {
    const workspace = await buildWorkspace(app);
    const others = await buildProject(app, { workspace });
    const foreign = await buildProject(app);
    const { secret } = await buildServiceAccount(app, { workspace });
    const answers = await Promise.all([others, foreign, { id: ghostOf(foreign.id) }].map((project) => inProject(secret, project)));
    const plain = answers.map(({ status, body: { requestId: _requestId, ...body } }) => ({ status, body }));
    expect(plain[0]).toMatchObject({ status: 404, body: { error: { code: 'NOT_FOUND' } } });
    expect(plain).toEqual([plain[0], plain[0], plain[0]]);
    expect(await accountOf(app, others.id)).toMatchObject({ bills: 0 });
  });

  it('can call in no project without a grant', async () => {
    const workspace = await buildWorkspace(app);
    const { secret } = await buildServiceAccount(app, { workspace, projects: [] });
    expect(outcomeOf(await app.rest({ secret }))).toBe('400 INVALID_REQUEST');
  });

  it('is limited only by the rate of the project that it names', async () => {
    const workspace = await buildWorkspace(app);
    const slow = await buildProject(app, { workspace, rateLimit: { sustainedRps: 0.001, burst: 1 } });
    const fast = await buildProject(app, { workspace });
    const { secret } = await buildServiceAccount(app, { projects: [slow, fast] });
    expect([outcomeOf(await inProject(secret, slow)), outcomeOf(await inProject(secret, slow))]).toEqual(['200 ok', '429 RATE_LIMITED']);
    for (let call = 0; call < 3; call += 1) expect(outcomeOf(await inProject(secret, fast))).toBe('200 ok');
  });

  it('repeats a requestId only in the same project: in another project it is another call', async () => {
    const workspace = await buildWorkspace(app);
    const projects = [await buildProject(app, { workspace }), await buildProject(app, { workspace })] as const;
    const { secret } = await buildServiceAccount(app, { projects: [...projects] });
    const requestId = 'd5a31d8c-1f0b-4a51-8c56-0f9a4f0d7c11';
    expect(outcomeOf(await inProject(secret, projects[0], { requestId }))).toBe('200 ok');
    expect((await inProject(secret, projects[0], { requestId })).body.meta).toEqual({ idempotencyReplay: true });
    expect(outcomeOf(await inProject(secret, projects[1], { requestId }))).toBe('422 REQUEST_ID_REUSED');
  });

  it('follows changed grants at once: a project is withdrawn, added, or replaced by another', async () => {
    const workspace = await buildWorkspace(app);
    const [first, second] = [
      await buildProject(app, { workspace, budget: 5_000 }),
      await buildProject(app, { workspace, budget: 5_000 }),
    ] as const;
    const { secret, account } = await buildServiceAccount(app, { projects: [first] });
    const grant = (...projects: { id: string }[]) =>
      mutate('updateServiceAccount', { id: account.id, projectIds: projects.map(({ id }) => id) }, 'serviceAccount { projects { id } }');
    expect(outcomeOf(await app.rest({ secret }))).toBe('200 ok');
    expect((await grant(second)).serviceAccount.projects).toEqual([{ id: second.id }]);
    expect(outcomeOf(await app.rest({ secret }))).toBe('200 ok');
    expect(outcomeOf(await inProject(secret, first))).toBe('404 NOT_FOUND');
    expect([(await accountOf(app, first.id)).bills, (await accountOf(app, second.id)).bills]).toEqual([1, 1]);
    await grant(first, second);
    expect([outcomeOf(await app.rest({ secret })), outcomeOf(await inProject(secret, first))]).toEqual(['400 INVALID_REQUEST', '200 ok']);
    await grant();
    expect([outcomeOf(await app.rest({ secret })), outcomeOf(await inProject(secret, first))]).toEqual([
      '400 INVALID_REQUEST',
      '404 NOT_FOUND',
    ]);
    await grant(first);
    expect([outcomeOf(await app.rest({ secret })), outcomeOf(await inProject(secret, first))]).toEqual(['200 ok', '200 ok']);
    expect(await faultsOf(app)).toEqual([]);
  });

  it('is refused in an archived project, but still administers', async () => {
    const { secret, projects } = await buildServiceAccount(app, { permissions: ['demo.*', 'read.keys'] });
    await app.services.projects.archive(ORIGIN, { id: projects[0]?.id as string });
    expect(outcomeOf(await app.rest({ secret }))).toBe('401 DISABLED_API_KEY');
    expect((await app.graphql('{ viewer { kind } }', {}, secret)).data.viewer).toEqual({ kind: 'SERVICE_ACCOUNT' });
  });

  it('stops with all its secrets if it is disabled, and works again if it is enabled', async () => {
    const { secret, account } = await buildServiceAccount(app, { permissions: ['demo.*', 'read.keys'] });
    const { secret: next } = await mutate('rotateServiceAccountKey', { id: account.id }, 'secret');
    for (const one of [secret, next]) expect(outcomeOf(await app.rest({ secret: one }))).toBe('200 ok');
    await mutate('disableServiceAccount', { id: account.id }, '__typename');
    for (const one of [secret, next]) {
      expect(outcomeOf(await app.rest({ secret: one }))).toBe('401 DISABLED_API_KEY');
      expect((await app.graphql('{ viewer { id } }', {}, one)).status).toBe(401);
    }
    await mutate('updateServiceAccount', { id: account.id, enabled: true }, '__typename');
    for (const one of [secret, next]) expect(outcomeOf(await app.rest({ secret: one }))).toBe('200 ok');
  });
});

describe('a credential cannot grant permissions that it does not have:', () => {
  it('a service account cannot change or rotate itself, with any of its secrets', async () => {
    const workspace = await buildWorkspace(app);
    const other = await buildProject(app, { workspace });
    const { secret, account, projects } = await buildServiceAccount(app, { workspace, permissions: ['demo.echo', 'write.keys'] });
    const { secret: next } = await mutate('rotateServiceAccountKey', { id: account.id, graceSeconds: 3_600 }, 'secret');
    for (const one of [secret, next]) {
      for (const change of [
        { permissions: ['demo.echo', 'write.keys', 'admin'] },
        { projectIds: [...projects, other].map(({ id }) => id) },
        { roleId: 'rol_viewer' },
        { rotationDays: 365 },
        { name: 'Mine' },
      ]) {
        expect((await refusal('updateServiceAccount', { id: account.id, ...change }, one)).code).toBe('FORBIDDEN');
      }
      expect((await refusal('rotateServiceAccountKey', { id: account.id, graceSeconds: 2_592_000 }, one)).code).toBe('FORBIDDEN');
    }
    const { data } = await app.graphql('query ($id: ID!) { serviceAccount(id: $id) { permissions name projects { id } } }', {
      id: account.id,
    });
    expect(data.serviceAccount).toEqual({ permissions: ['demo.echo', 'write.keys'], name: 'Robot', projects: [{ id: projects[0]?.id }] });
  });

  it('a service account cannot create a key or an account with more permissions', async () => {
    const { secret, account, projects } = await buildServiceAccount(app, { permissions: ['demo.echo', 'write.keys'] });
    const [projectId, { workspaceId }] = [projects[0]?.id, account];
    for (const more of [{ permissions: ['admin'] }, { permissions: ['demo.*'] }, { permissions: [], roleId: 'rol_owner' }]) {
      expect((await refusal('mintKey', { projectId, name: 'More', ...more }, secret)).code).toBe('FORBIDDEN');
      expect(
        (await refusal('createServiceAccount', { workspaceId, name: 'More', projectIds: [], rotationDays: 1, ...more }, secret)).code,
      ).toBe('FORBIDDEN');
    }
    expect(await mutate('mintKey', { projectId, name: 'As much', permissions: ['demo.echo'] }, 'key { permissions }', secret)).toEqual({
      key: { permissions: ['demo.echo'] },
    });
    const lesser = { workspaceId, name: 'As much', permissions: ['demo.echo'], projectIds: [projectId], rotationDays: 1 };
    expect(await mutate('createServiceAccount', lesser, 'serviceAccount { permissions }', secret)).toEqual({
      serviceAccount: { permissions: ['demo.echo'] },
    });
    const [event] = await app.database.reader.findBy(AuditEvent, { action: 'key.minted', actorId: account.id });
    expect(event?.actorKind).toBe('SERVICE_ACCOUNT');
  });

  it('a service account cannot create, change or rotate a credential that may create credentials', async () => {
    const workspace = await buildWorkspace(app);
    const { secret, account, projects } = await buildServiceAccount(app, { workspace, permissions: ['demo.echo', 'write.keys'] });
    const { account: peer } = await buildServiceAccount(app, { workspace, permissions: ['write.keys'] });
    const projectIds = projects.map(({ id }) => id);
    for (const name of ['write.keys', 'write.*']) {
      const permissions = ['demo.echo', name];
      for (const call of [
        refusal('createServiceAccount', { workspaceId: workspace.id, name: 'Twin', permissions, projectIds, rotationDays: 1 }, secret),
        refusal('mintKey', { projectId: projectIds[0], name: 'Twin', permissions }, secret),
      ]) {
        expect(await call).toMatchObject({ code: 'FORBIDDEN', message: expect.stringContaining(`the permission ${name}.`) });
      }
    }
    expect((await refusal('rotateServiceAccountKey', { id: peer.id }, secret)).code).toBe('FORBIDDEN');
    expect((await refusal('updateServiceAccount', { id: peer.id, projectIds }, secret)).code).toBe('FORBIDDEN');
    const { cookie } = await buildPerson(app, { workspace, roleId: 'rol_developer' });
    await mutate('rotateServiceAccountKey', { id: account.id }, '__typename', cookie); // a person is allowed to
  });

  it('a developer cannot change or rotate an account with more permissions, but can disable it', async () => {
    const workspace = await buildWorkspace(app);
    const { cookie } = await buildPerson(app, { workspace, roleId: 'rol_developer' });
    const { account } = await buildServiceAccount(app, { workspace, permissions: [], roleId: 'rol_owner' });
    expect((await refusal('updateServiceAccount', { id: account.id, name: 'Mine' }, cookie)).code).toBe('FORBIDDEN');
    expect((await refusal('rotateServiceAccountKey', { id: account.id }, cookie)).code).toBe('FORBIDDEN');
    await mutate('disableServiceAccount', { id: account.id }, '__typename', cookie);
    expect((await refusal('updateServiceAccount', { id: account.id, enabled: true }, cookie)).code).toBe('FORBIDDEN');
  });

  it('an account has the permissions of its role exactly as long as it has the role', async () => {
    const { role } = await mutate(
      'createRole',
      { workspaceId: (await buildWorkspace(app)).id, name: 'Seer', permissions: ['read.logs'] },
      'role { id workspaceId: __typename }',
    );
    const { account, secret } = await buildServiceAccount(app, { permissions: ['demo.*'], roleId: 'rol_viewer' });
    const seen = async () =>
      (await app.graphql('query ($id: ID!) { workspace(id: $id) { id } }', { id: account.workspaceId }, secret)).data.workspace;
    expect(await seen()).toEqual({ id: account.workspaceId });
    // This role belongs to another workspace.
    expect((await refusal('updateServiceAccount', { id: account.id, roleId: role.id })).code).toBe('NOT_FOUND');
    await mutate('updateServiceAccount', { id: account.id, roleId: null }, '__typename');
    expect(await seen()).toBeNull();
  });

  it('a role cannot be deleted while a service account has it', async () => {
    const workspace = await buildWorkspace(app);
    const { role } = await mutate('createRole', { workspaceId: workspace.id, name: 'Held', permissions: ['read.logs'] }, 'role { id }');
    const { account } = await buildServiceAccount(app, { workspace, roleId: role.id });
    expect(await refusal('deleteRole', { id: role.id })).toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('a service account'),
    });
    await mutate('updateServiceAccount', { id: account.id, roleId: null }, '__typename');
    await mutate('deleteRole', { id: role.id }, '__typename');
  });

  it('a project of another tenant is NOT_FOUND, an archived one is CONFLICT', async () => {
    const workspace = await buildWorkspace(app);
    const { account } = await buildServiceAccount(app, { workspace });
    const foreign = await buildProject(app);
    const archived = await buildProject(app, { workspace, budget: 0 });
    await app.services.projects.archive(ORIGIN, { id: archived.id });
    expect((await refusal('updateServiceAccount', { id: account.id, projectIds: [foreign.id] })).code).toBe('NOT_FOUND');
    expect((await refusal('updateServiceAccount', { id: account.id, projectIds: [archived.id] })).code).toBe('CONFLICT');
  });
});

it('a service account lists the changes of itself, with actors and changed properties, and no other changes', async () => {
  const workspace = await buildWorkspace(app);
  const { account, secret } = await buildServiceAccount(app, { workspace, permissions: ['demo.echo', 'write.keys'] });
  const { account: lesser } = await buildServiceAccount(app, { workspace, permissions: ['demo.echo'] });
  await mutate('updateServiceAccount', { id: lesser.id, name: 'Renamed' }, '__typename', secret);
  await mutate('rotateServiceAccountKey', { id: lesser.id, graceSeconds: 60 }, '__typename', secret);
  await mutate('disableServiceAccount', { id: account.id }, '__typename');
  const trailOf = async (id: string) => {
    const { data } = await app.graphql(
      `query ($id: ID!) {
        serviceAccount(id: $id) {
          auditEvents { nodes { action actorKind actorId subjectId workspaceId before after } }
        }
      }`,
      { id },
    );
    return data.serviceAccount.auditEvents.nodes as { action: string }[];
  };
  const [about, by] = [{ workspaceId: workspace.id, subjectId: lesser.id }, { actorKind: 'SERVICE_ACCOUNT', actorId: account.id }];
  expect(await trailOf(lesser.id)).toMatchObject([
    { ...about, ...by, action: 'service-account.rotated', after: { graceSeconds: 60 } },
    { ...about, ...by, action: 'service-account.updated', before: { name: 'Robot' }, after: { name: 'Renamed' } },
    {
      ...about,
      actorKind: 'SYSTEM',
      action: 'service-account.created',
      before: null,
      after: { name: 'Robot', permissions: ['demo.echo'] },
    },
  ]);
  expect((await trailOf(account.id)).map(({ action }) => action)).toEqual(['service-account.disabled', 'service-account.created']);
});

it('a workspace has at most 1,000 enabled service accounts; disabling one makes room', async () => {
  const workspace = await buildWorkspace(app);
  const { account } = await buildServiceAccount(app, { workspace, projects: [] });
  const copies = Array.from({ length: 999 }, (_, number) => ({ ...account, id: `svc_copy${number}${account.id.slice(-8)}` }));
  await app.database.transaction(async (tx) => {
    for (let from = 0; from < copies.length; from += 111) await tx.insert(ServiceAccount, copies.slice(from, from + 111));
  });
  const make = { workspaceId: workspace.id, name: 'More', permissions: [], projectIds: [], rotationDays: 1 };
  expect((await refusal('createServiceAccount', make)).code).toBe('CONFLICT');
  await mutate('disableServiceAccount', { id: account.id }, '__typename');
  await mutate('createServiceAccount', make, '__typename');
  expect((await refusal('updateServiceAccount', { id: account.id, enabled: true })).code).toBe('CONFLICT');
  await mutate('updateServiceAccount', { id: account.id, name: 'Renamed' }, '__typename');
});

it('a service account with read.audit exports only the trail of its workspace', async () => {
  const { secret, account } = await buildServiceAccount(app, { permissions: ['read.audit'] });
  const foreign = await buildWorkspace(app);
  await app.sealer.once();
  const exported = (workspaceId: string) =>
    fetch(`${app.url}/v1/audit/export?workspaceId=${workspaceId}`, { headers: { 'x-api-key': secret } });
  const lines = (await (await exported(account.workspaceId)).text()).trim().split('\n');
  expect(lines.some((line) => line.includes('service-account.created'))).toBe(true);
  expect((await exported(foreign.id)).status).toBe(404);
});
