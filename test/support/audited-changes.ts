import { Membership } from '../../src/access/people/membership.entity';
import type { Project } from '../../src/tenancy/project.entity';
import type { Workspace } from '../../src/tenancy/workspace.entity';
import type { TestApp } from './app';
import { buildKey, buildProject, buildRoute, buildServiceAccount } from './factories';
import { mutations } from './mutate';

/** A mutation, and the event that it must write. */
export interface AuditedChange {
  mutation: string;
  input: Record<string, unknown>;
  /** Selects the parts of the payload that the event is compared with. */
  selection?: string;
  action: string;
  /** Takes the subject's id and its workspace from the payload. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- the test knows the selected fields
  subject(payload: any): [string, string | null];
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  /** The code of the refusal if the same input is repeated, or undefined if the repeat changes nothing. */
  repeat?: 'CONFLICT' | 'NOT_FOUND';
  /** A repeat makes another change. */
  repeatable?: true;
  /** An input that is refused. */
  refused: Record<string, unknown>;
}

interface Place {
  workspace: Workspace;
  project: Project;
}

/** Returns every mutation, with inputs for objects that it creates in the workspace and the project. */
export async function auditedChanges(app: TestApp, { workspace, project }: Place): Promise<AuditedChange[]> {
  const { mutate } = mutations(app);
  const { key } = await buildKey(app, { project, permissions: ['demo.echo'] });
  const { key: rotating } = await buildKey(app, { project });
  const { key: doomed } = await buildKey(app, { project });
  const accountIn = async (permissions: string[]) => (await buildServiceAccount(app, { projects: [project], permissions })).account;
  const [account, turning, stopping] = [await accountIn(['demo.echo']), await accountIn([]), await accountIn([])];
  const { id: archived } = await buildProject(app, { workspace, budget: 0 });
  const { id: wallet } = (await app.graphql('query ($id: ID!) { workspace(id: $id) { wallet { id } } }', { id: workspace.id })).data
    .workspace.wallet;
  const billed = await buildKey(app, { workspace, budget: 5_000 });
  await app.rest({ secret: billed.secret });
  const { data } = await app.graphql(
    'query ($id: ID!) { key(id: $id) { requestLogs { nodes { id } } } actions { nodes { id service } } }',
    { id: billed.key.id },
  );
  const requestLogId = data.key.requestLogs.nodes[0].id;
  const [action] = data.actions.nodes;
  const inWorkspace = (id: string) => (): [string, string] => [id, workspace.id];
  const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  await mutate('topUpWallet', { workspaceId: workspace.id, amount: 1_000, reference: 'for allocations' }, '__typename');

  const roleOf = async (name: string) =>
    (await mutate('createRole', { workspaceId: workspace.id, name, permissions: ['read.logs'] }, 'role { id }')).role.id as string;
  const [changedRole, goneRole] = [await roleOf('Reader'), await roleOf('Nobody')];
  const members = ['usr_promoted', 'usr_removed'].map((userId) => ({
    userId,
    workspaceId: workspace.id,
    roleId: 'rol_viewer',
    createdAt: new Date(0),
  }));
  await app.database.transaction((tx) => tx.insert(Membership, members));

  const clientOf = async (): Promise<string> =>
    (
      await mutate(
        'createOAuthClient',
        { workspaceId: workspace.id, name: 'App', confidential: true, redirectUris: ['https://app.example/cb'] },
        'client { id }',
      )
    ).client.id;
  const [renamedClient, rotatedClient, deletedClient] = [await clientOf(), await clientOf(), await clientOf()];
  const [changedRoute, goneRoute] = [await buildRoute(app, { actionId: action.id }), await buildRoute(app, { actionId: action.id })];
  const hint = expect.stringMatching(/^tollgate_client_\.\.\./);

  return [
    {
      mutation: 'createOAuthClient',
      input: { workspaceId: workspace.id, name: 'Shop', confidential: true, redirectUris: ['https://shop.example/cb'] },
      selection: 'client { id }',
      action: 'oauth-client.created',
      subject: (payload) => [payload.client.id, workspace.id],
      before: null,
      after: { name: 'Shop', confidential: true, redirectUris: ['https://shop.example/cb'], hint },
      repeatable: true,
      refused: { workspaceId: workspace.id, name: 'Shop', confidential: true, redirectUris: ['http://shop.example/cb'] },
    },
    {
      mutation: 'updateOAuthClient',
      input: { id: renamedClient, name: 'Store' },
      action: 'oauth-client.updated',
      subject: inWorkspace(renamedClient),
      before: { name: 'App' },
      after: { name: 'Store' },
      refused: { id: renamedClient, redirectUris: [] },
    },
    {
      mutation: 'rotateOAuthClientSecret',
      input: { id: rotatedClient },
      action: 'oauth-client.rotated',
      subject: inWorkspace(rotatedClient),
      before: { hint },
      after: { hint },
      repeatable: true,
      refused: { id: 'app_none' },
    },
    {
      mutation: 'deleteOAuthClient',
      input: { id: deletedClient },
      action: 'oauth-client.deleted',
      subject: inWorkspace(deletedClient),
      before: { deletedAt: null },
      after: { deletedAt: expect.any(String) },
      refused: { id: 'app_none' },
    },
    {
      mutation: 'createWorkspace',
      input: { name: 'New', slug: 'brand-new' },
      selection: 'workspace { id }',
      action: 'workspace.created',
      subject: (payload) => [payload.workspace.id, payload.workspace.id],
      before: null,
      after: { name: 'New', slug: 'brand-new', keyPrefix: 'brandnew' },
      repeat: 'CONFLICT',
      refused: { name: '', slug: 'brand-newer' },
    },
    {
      mutation: 'updateWorkspace',
      input: { id: workspace.id, name: 'Renamed' },
      action: 'workspace.updated',
      subject: inWorkspace(workspace.id),
      before: { name: 'Workspace' },
      after: { name: 'Renamed' },
      refused: { id: workspace.id, name: null },
    },
    {
      mutation: 'createProject',
      input: { workspaceId: workspace.id, name: 'Web', slug: 'web', rateLimit: { sustainedRps: 5, burst: 6 } },
      selection: 'project { id }',
      action: 'project.created',
      subject: (payload) => [payload.project.id, workspace.id],
      before: null,
      after: { workspaceId: workspace.id, name: 'Web', slug: 'web', galleryMode: 'ISOLATED', sustainedRps: 5, burst: 6 },
      repeat: 'CONFLICT',
      refused: { workspaceId: workspace.id, name: 'Web', slug: 'W' },
    },
    {
      mutation: 'updateProject',
      input: { id: project.id, name: 'Project', rateLimit: { sustainedRps: 100_000, burst: 7 } },
      action: 'project.updated',
      subject: inWorkspace(project.id),
      before: { burst: 100_000 },
      after: { burst: 7 },
      refused: { id: project.id, name: 'New', galleryMode: null },
    },
    {
      mutation: 'archiveProject',
      input: { id: archived },
      action: 'project.archived',
      subject: inWorkspace(archived),
      before: { archivedAt: null },
      after: { archivedAt: time },
      refused: { id: 'prj_1' },
    },
    {
      mutation: 'mintKey',
      input: {
        projectId: project.id,
        name: 'Minted',
        permissions: ['demo.*'],
        allowedIps: ['10.0.0.1'],
        expiresAt: '2099-01-01T00:00:00+01:00',
      },
      selection: 'key { id hint }',
      action: 'key.minted',
      subject: (payload) => [payload.key.id, workspace.id],
      before: null,
      after: {
        projectId: project.id,
        name: 'Minted',
        environment: 'LIVE',
        permissions: ['demo.*'],
        roleId: null,
        allowedIps: ['10.0.0.1/32'],
        expiresAt: '2098-12-31T23:00:00.000Z',
        hint: expect.stringMatching(/^acme_live_\.\.\..{4}$/),
        enabled: true,
      },
      repeatable: true,
      refused: { projectId: archived, name: 'Minted', permissions: [] },
    },
    {
      mutation: 'updateKey',
      input: { id: key.id, name: 'Key', permissions: ['demo.*'], enabled: false, expiresAt: null },
      action: 'key.updated',
      subject: inWorkspace(key.id),
      before: { permissions: ['demo.echo'], enabled: true },
      after: { permissions: ['demo.*'], enabled: false },
      refused: { id: key.id, permissions: ['nope'] },
    },
    {
      mutation: 'rotateKey',
      input: { id: rotating.id, graceSeconds: 60 },
      action: 'key.rotated',
      subject: inWorkspace(rotating.id),
      before: { hint: rotating.hint, rotatedAt: null },
      after: { hint: expect.stringMatching(/^acme_live_\.\.\..{4}$/), rotatedAt: time, graceSeconds: 60 },
      repeatable: true,
      refused: { id: rotating.id, graceSeconds: -1 },
    },
    {
      mutation: 'revokeKey',
      input: { id: doomed.id, reason: 'Leaked.' },
      action: 'key.revoked',
      subject: inWorkspace(doomed.id),
      before: { revokedAt: null, revokedReason: null },
      after: { revokedAt: time, revokedReason: 'Leaked.' },
      refused: { id: 'key_1' },
    },
    {
      mutation: 'createServiceAccount',
      input: {
        workspaceId: workspace.id,
        name: 'Nightly',
        permissions: ['demo.*', 'demo.*'],
        projectIds: [project.id, project.id],
        rotationDays: 30,
      },
      selection: 'serviceAccount { id hint }',
      action: 'service-account.created',
      subject: (payload) => [payload.serviceAccount.id, workspace.id],
      before: null,
      after: {
        workspaceId: workspace.id,
        name: 'Nightly',
        permissions: ['demo.*'],
        roleId: null,
        projectIds: [project.id],
        rotationDays: 30,
        hint: expect.stringMatching(/^acme_svc_\.\.\..{4}$/),
        enabled: true,
      },
      repeatable: true,
      refused: { workspaceId: workspace.id, name: 'Nightly', permissions: [], projectIds: [], rotationDays: 0 },
    },
    {
      mutation: 'updateServiceAccount',
      input: { id: account.id, name: 'Robot', permissions: ['demo.*'], projectIds: [], enabled: false },
      action: 'service-account.updated',
      subject: inWorkspace(account.id),
      before: { permissions: ['demo.echo'], projectIds: [project.id], enabled: true },
      after: { permissions: ['demo.*'], projectIds: [], enabled: false },
      refused: { id: account.id, projectIds: ['prj_1'] },
    },
    {
      mutation: 'rotateServiceAccountKey',
      input: { id: turning.id },
      action: 'service-account.rotated',
      subject: inWorkspace(turning.id),
      before: { hint: turning.hint, rotatedAt: null, rotationDueAt: time },
      after: { hint: expect.stringMatching(/^acme_svc_\.\.\..{4}$/), rotatedAt: time, rotationDueAt: time, graceSeconds: 86_400 },
      repeatable: true,
      refused: { id: turning.id, graceSeconds: -1 },
    },
    {
      mutation: 'disableServiceAccount',
      input: { id: stopping.id },
      action: 'service-account.disabled',
      subject: inWorkspace(stopping.id),
      before: { enabled: true },
      after: { enabled: false },
      refused: { id: 'svc_1' },
    },
    {
      mutation: 'topUpWallet',
      input: { workspaceId: workspace.id, amount: 50, kind: 'BONUS', reference: 'gift' },
      selection: 'entry { balanceAfter }',
      action: 'wallet.topped-up',
      subject: inWorkspace(wallet),
      before: { balance: 1_000 },
      after: { amount: 50, kind: 'BONUS', reference: 'gift', balance: 1_050 },
      refused: { workspaceId: workspace.id, amount: 51, reference: 'gift' },
    },
    {
      mutation: 'allocateBudget',
      input: { projectId: project.id, amount: 50, reference: 'q1' },
      action: 'budget.allocated',
      subject: inWorkspace(project.id),
      before: { balance: 1_000_000 },
      after: { amount: 50, reference: 'q1', balance: 1_000_050 },
      refused: { projectId: project.id, amount: 1e12 },
    },
    {
      mutation: 'refundRequest',
      input: { requestLogId, reason: 'Wrong.' },
      action: 'call.refunded',
      subject: inWorkspace(billed.project.id),
      before: { balance: 4_000 },
      after: { amount: 1_000, requestLogId, reason: 'Wrong.', balance: 5_000 },
      repeat: 'CONFLICT',
      refused: { requestLogId: 'log_1', reason: 'Wrong.' },
    },
    {
      mutation: 'adjustBalance',
      input: { projectId: project.id, delta: -50, reason: 'Mistake.', reference: 'ticket' },
      action: 'budget.adjusted',
      subject: inWorkspace(project.id),
      before: { balance: 1_000_050 },
      after: { delta: -50, reason: 'Mistake.', reference: 'ticket', balance: 1_000_000 },
      refused: { projectId: project.id, delta: -1e12, reason: 'Mistake.' },
    },
    {
      mutation: 'createAction',
      input: { service: 'face', name: 'face.find', priceMicroCredits: 5, permission: 'face.find', upstreamUrl: 'https://face.example/' },
      selection: 'action { id }',
      action: 'action.created',
      subject: (payload) => [payload.action.id, null],
      before: null,
      after: {
        service: 'face',
        name: 'face.find',
        priceMicroCredits: 5,
        permission: 'face.find',
        upstreamUrl: 'https://face.example/',
        timeoutMs: 30_000,
        passStatuses: [],
        unitPrices: [],
        maxChargeMicroCredits: null,
      },
      repeat: 'CONFLICT',
      refused: { service: 'face', name: 'face.find', priceMicroCredits: -5, permission: 'face.find', upstreamUrl: 'https://face.example/' },
    },
    {
      mutation: 'createRoute',
      input: {
        ...{ host: 'API.example', methods: ['GET', 'GET'], path: '/v2/items/:id' },
        ...{ actionId: action.id, upstreamUrl: 'https://items.example/api' },
      },
      selection: 'route { id }',
      action: 'route.created',
      subject: (payload) => [payload.route.id, null],
      before: null,
      after: {
        ...{ host: 'api.example', methods: ['GET'], path: '/v2/items/:id', actionId: action.id, upstreamUrl: 'https://items.example/api' },
        ...{ upstreamPath: null, billedStatuses: ['2xx'], usage: [], replayable: false, passCredential: false, passPreflight: false },
        ...{ maxBodyBytes: 104_857_600, idleTimeoutMs: 60_000, maxDurationMs: 600_000, enabled: true },
      },
      repeat: 'CONFLICT',
      refused: { path: '/graphql', actionId: action.id, upstreamUrl: 'https://items.example/api' },
    },
    {
      mutation: 'updateRoute',
      input: { id: changedRoute.id, path: changedRoute.path, methods: ['POST'], usage: [{ unit: 'tokens', pointer: '/usage/tokens' }] },
      action: 'route.updated',
      subject: () => [changedRoute.id, null],
      before: { methods: [], usage: [] },
      after: { methods: ['POST'], usage: [{ unit: 'tokens', pointer: '/usage/tokens' }] },
      refused: { id: changedRoute.id, host: null, path: '/v1', upstreamPath: '/:other' },
    },
    {
      mutation: 'deleteRoute',
      input: { id: goneRoute.id },
      action: 'route.deleted',
      subject: () => [goneRoute.id, null],
      before: expect.objectContaining({ path: goneRoute.path, actionId: action.id, enabled: true }) as Record<string, unknown>,
      after: null,
      repeat: 'NOT_FOUND',
      refused: { id: 'rte_none' },
    },
    {
      mutation: 'createRole',
      input: { workspaceId: workspace.id, name: 'Support', permissions: ['read.keys', 'read.logs', 'read.keys'] },
      selection: 'role { id }',
      action: 'role.created',
      subject: (payload) => [payload.role.id, workspace.id],
      before: null,
      after: { name: 'Support', permissions: ['read.keys', 'read.logs'] },
      repeat: 'CONFLICT',
      refused: { workspaceId: workspace.id, name: 'Other', permissions: ['demo.echo'] },
    },
    {
      mutation: 'updateRole',
      input: { id: changedRole, name: 'Reader', permissions: ['read'] },
      action: 'role.updated',
      subject: inWorkspace(changedRole),
      before: { permissions: ['read.logs'] },
      after: { permissions: ['read'] },
      refused: { id: changedRole, name: 'Owner' },
    },
    {
      mutation: 'deleteRole',
      input: { id: goneRole },
      action: 'role.deleted',
      subject: inWorkspace(goneRole),
      before: { name: 'Nobody', permissions: ['read.logs'] },
      after: null,
      repeat: 'NOT_FOUND',
      refused: { id: 'rol_owner' },
    },
    {
      mutation: 'setMemberRole',
      input: { workspaceId: workspace.id, userId: 'usr_promoted', roleId: 'rol_admin' },
      action: 'member.role-changed',
      subject: inWorkspace('usr_promoted'),
      before: { roleId: 'rol_viewer' },
      after: { roleId: 'rol_admin' },
      refused: { workspaceId: workspace.id, userId: 'usr_promoted', roleId: 'rol_none' },
    },
    {
      mutation: 'removeMember',
      input: { workspaceId: workspace.id, userId: 'usr_removed' },
      action: 'member.removed',
      subject: inWorkspace('usr_removed'),
      before: { roleId: 'rol_viewer' },
      after: null,
      repeat: 'NOT_FOUND',
      refused: { workspaceId: workspace.id, userId: 'usr_nobody' },
    },
    {
      mutation: 'updateAction',
      input: { id: action.id, priceMicroCredits: 7, enabled: true },
      action: 'action.updated',
      subject: () => [action.id, null],
      before: { priceMicroCredits: 1_000 },
      after: { priceMicroCredits: 7 },
      refused: { id: action.id, permission: 'admin' },
    },
  ];
}
