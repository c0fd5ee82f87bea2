import { readFileSync } from 'node:fs';
import { Session } from '../../src/access/sessions/session.entity';
import type { Project } from '../../src/tenancy/project.entity';
import type { Workspace } from '../../src/tenancy/workspace.entity';
import type { TestApp } from './app';
import { buildKey, buildProject, buildRoute, buildServiceAccount, buildWorkspace } from './factories';
import { rowsOf, sectionOf } from './markdown';
import { mutations } from './mutate';
import { REDIRECT_URI, buildClient, tokensFor } from './oauth';
import { buildPerson } from './people';
import type { IdKind } from './tenancy-table';

/** A workspace with one object of every kind in it. */
export interface Tenant {
  workspace: Workspace;
  /** The project of the calling keys. No test archives it. */
  home: string;
  ids: Record<IdKind, string>;
  /** The slug that each look-up by a slug names. */
  slugs: Record<string, string>;
}

/** A caller, and the tenant that its operations name. */
export interface Principal {
  headers: Record<string, string>;
  /** Its own tenant, or the foreign tenant that it tries to reach. */
  tenant: Tenant;
  standing: 'unauthenticated' | 'operator' | 'outsider' | 'insider';
  /** The permissions of an insider. */
  permissions: string[];
  /** The id of a person; undefined for other callers. */
  userId?: string;
  /** Whether the session and the consent in its tenant's ids are its own. */
  hasOtherSession?: true;
}

const ROLES = rolesInReadme();
const SINGLE_PERMISSIONS: string[] = ROLES.get('OWNER') ?? [];

/** The permissions of each role, from the table in the documents. */
function rolesInReadme(): Map<string, string[]> {
  const section = sectionOf(readFileSync('docs/service-accounts-and-roles.md', 'utf8'), 'Roles');
  const names = (/^\| permission \| (.*) \|$/m.exec(section)?.[1] ?? '').split(' | ');
  const rows = rowsOf(section);
  return new Map(
    names.map((name, index) => [
      name,
      rows.filter((row) => row[index + 1] === 'yes').map(([permission = '']) => permission.replaceAll('`', '')),
    ]),
  );
}

/** Gives consent for an application to act for a person in a project. */
async function consent(app: TestApp, userId: string, clientId: string, projectId: string, scopes: string[] = []): Promise<string> {
  const person = {
    kind: 'USER',
    id: userId,
    name: '',
    sessionId: (await openSession(app, userId)).id,
    permissionsByWorkspace: new Map(),
  } as const;
  return (await app.oauth.consents.give(person, { clientId, projectId, scopes }, { ip: null, userAgent: null })).id;
}

async function buildTenant(app: TestApp, name: string, permissions = ['demo.*']): Promise<Tenant> {
  const { mutate } = mutations(app);
  const workspace = await buildWorkspace(app, { name: `Secret of ${name}` });
  const project = await buildProject(app, { workspace });
  const { key, secret } = await buildKey(app, { project, permissions });
  await app.rest({ secret });
  const { role } = await mutate('createRole', { workspaceId: workspace.id, name: 'Own', permissions: [] }, 'role { id }');
  const { account } = await buildServiceAccount(app, { projects: [project], permissions });
  const { person } = await buildPerson(app, { workspace, roleId: role.id });
  const { id: ses } = await app.database.reader.findOneByOrFail(Session, { userId: person.id });
  const { invitation } = await mutate(
    'inviteMember',
    { workspaceId: workspace.id, email: 'invited@example.com', roleId: 'rol_viewer' },
    'invitation { id }',
  );
  const { client } = await mutate(
    'createOAuthClient',
    { workspaceId: workspace.id, name: 'Application', confidential: true, redirectUris: [REDIRECT_URI] },
    'client { id }',
  );
  const con = await consent(app, person.id, client.id, project.id);
  const { data } = await app.graphql(
    `query ($id: ID!) {
      key(id: $id) {
        auditEvents { nodes { id } }
        requestLogs { nodes { id } }
        project { ledger { nodes { id } } workspace { wallet { id } } }
      }
      actions { nodes { id } }
    }`,
    { id: key.id },
  );
  const { requestLogs, project: asked } = data.key;
  const act = data.actions.nodes[0].id;
  const { id: rte } = await buildRoute(app, { actionId: act });
  const ids = {
    ws: workspace.id,
    prj: project.id,
    key: key.id,
    svc: account.id,
    log: requestLogs.nodes[0].id,
    led: asked.ledger.nodes[0].id,
    wal: asked.workspace.wallet.id,
    act,
    rte,
    rol: role.id,
    usr: person.id,
    mem: `mem_${person.id.slice(4)}_${workspace.id.slice(3)}`,
    inv: invitation.id,
    ses,
    app: client.id,
    con,
    evt: data.key.auditEvents.nodes[0].id,
  };
  const slugs = { workspaceBySlug: workspace.slug, projectBySlug: project.slug };
  return { workspace, home: (await buildProject(app, { workspace })).id, ids, slugs };
}

/** Opens another session of a person. */
export async function openSession(app: TestApp, userId: string): Promise<{ id: string; headers: { cookie: string } }> {
  const { id, token } = await app.database.transaction(async (tx) =>
    app.people.sessions.open(tx, userId, { ip: null, userAgent: null }, await app.database.now(tx)),
  );
  return { id, headers: { cookie: `tollgate_session=${token}` } };
}

/** All kinds of callers by name. Each one has its own tenant. */
export async function buildPrincipals(app: TestApp): Promise<Map<string, Principal>> {
  const principals = new Map<string, Principal>();
  const { mutate } = mutations(app);
  const add = (name: string, principal: Principal) => principals.set(name, principal);
  const keyIn = async (tenant: Tenant, input: { permissions?: string[]; roleId?: string }): Promise<{ id: string; secret: string }> => {
    const { key, secret } = await mutate(
      'mintKey',
      { projectId: tenant.home, name: 'Asks', ...input, permissions: ['demo.*', ...(input.permissions ?? [])] },
      'secret key { id }',
    );
    return { id: key.id, secret };
  };
  const header = (secret: string) => ({ 'x-api-key': secret });

  const personIn = async (tenant: Tenant, roleId: string): Promise<{ id: string; headers: { cookie: string } }> => {
    const { person, cookie } = await buildPerson(app, { workspace: tenant.workspace, roleId });
    return { id: person.id, headers: cookie };
  };

  add('nobody', { headers: {}, tenant: await buildTenant(app, 'nobody'), standing: 'unauthenticated', permissions: [] });
  add('the operator', {
    headers: header(app.rootKey),
    tenant: await buildTenant(app, 'operator'),
    standing: 'operator',
    permissions: SINGLE_PERMISSIONS,
  });
  for (const [role, permissions] of ROLES) {
    const tenant = await buildTenant(app, `a key as ${role}`);
    const { secret } = await keyIn(tenant, { roleId: `rol_${role.toLowerCase()}` });
    add(`a key as ${role}`, { headers: header(secret), tenant, standing: 'insider', permissions });
  }
  for (const permission of SINGLE_PERMISSIONS) {
    const tenant = await buildTenant(app, permission);
    const { secret } = await keyIn(tenant, { permissions: [permission] });
    add(`a key with ${permission}`, { headers: header(secret), tenant, standing: 'insider', permissions: [permission] });
  }
  const accountIn = (tenant: Tenant, { permissions = [], roleId }: { permissions?: string[]; roleId?: string }) =>
    buildServiceAccount(app, {
      projects: [{ id: tenant.home, workspaceId: tenant.ids.ws } as Project],
      permissions: ['demo.*', ...permissions],
      ...(roleId && { roleId }),
    });
  for (const role of ['OWNER', 'DEVELOPER']) {
    const permissions = ROLES.get(role) ?? [];
    const tenant = await buildTenant(app, `a service account as ${role}`);
    const { secret } = await accountIn(tenant, { roleId: `rol_${role.toLowerCase()}` });
    add(`a service account as ${role}`, { headers: header(secret), tenant, standing: 'insider', permissions });
  }
  const ordinaryAccount = await buildTenant(app, 'an ordinary service account');
  add('a service account that administers nothing', {
    headers: header((await accountIn(ordinaryAccount, {})).secret),
    tenant: ordinaryAccount,
    standing: 'outsider',
    permissions: [],
  });
  const foreignAccount = await buildTenant(app, 'a foreign account');
  add('an owner service account of another tenant', {
    headers: header((await accountIn(foreignAccount, { permissions: ['admin'] })).secret),
    tenant: await buildTenant(app, 'the visited'),
    standing: 'outsider',
    permissions: [],
  });
  const stopped = await buildTenant(app, 'a disabled service account');
  const { account: stoppedAccount, secret: stoppedSecret } = await accountIn(stopped, { permissions: ['admin'] });
  await mutate('disableServiceAccount', { id: stoppedAccount.id }, '__typename');
  add('a disabled owner service account', {
    headers: header(stoppedSecret),
    tenant: stopped,
    standing: 'unauthenticated',
    permissions: [],
  });
  for (const [role, permissions] of ROLES) {
    const tenant = await buildTenant(app, `a person as ${role}`);
    const { id, headers } = await personIn(tenant, `rol_${role.toLowerCase()}`);
    const { id: ses } = await openSession(app, id);
    const con = await consent(app, id, tenant.ids.app, tenant.home);
    add(`a person as ${role}`, {
      headers,
      tenant: { ...tenant, ids: { ...tenant.ids, ses, con } },
      standing: 'insider',
      permissions,
      userId: id,
      hasOtherSession: true,
    });
  }
  const ofRole = await buildTenant(app, 'a person with a role of the workspace’s own');
  const { role: logReader } = await mutate(
    'createRole',
    { workspaceId: ofRole.ids.ws, name: 'Log reader', permissions: ['read.logs'] },
    'role { id }',
  );
  const reader = await personIn(ofRole, logReader.id);
  add('a person with a role of the workspace’s own', {
    headers: reader.headers,
    tenant: ofRole,
    standing: 'insider',
    permissions: ['read.logs'],
    userId: reader.id,
  });
  const strict = await buildTenant(app, 'a workspace that requires a second factor');
  const unproved = await personIn(strict, 'rol_owner');
  await mutate('updateWorkspace', { id: strict.ids.ws, requiresSecondFactor: true }, '__typename');
  add('an owner without the second factor that is required', {
    headers: unproved.headers,
    tenant: strict,
    standing: 'insider',
    permissions: [],
    userId: unproved.id,
  });
  const foreignPeople = await buildTenant(app, 'another tenant’s people');
  const stranger = await personIn(foreignPeople, 'rol_owner');
  add('an owner of another tenant', {
    headers: stranger.headers,
    tenant: await buildTenant(app, 'the visited'),
    standing: 'outsider',
    permissions: [],
    userId: stranger.id,
  });
  const formerTenant = await buildTenant(app, 'the visited');
  const former = await personIn(formerTenant, 'rol_owner');
  await personIn(formerTenant, 'rol_owner');
  await mutate('removeMember', { workspaceId: formerTenant.ids.ws, userId: former.id }, '__typename');
  add('an owner who was removed', {
    headers: former.headers,
    tenant: formerTenant,
    standing: 'outsider',
    permissions: [],
    userId: former.id,
  });
  const signedOut = await buildTenant(app, 'a session that has ended');
  const { headers: ended } = await personIn(signedOut, 'rol_owner');
  await app.graphql('mutation { signOut { session { id } } }', {}, ended);
  add('an owner who has signed out', { headers: ended, tenant: signedOut, standing: 'unauthenticated', permissions: [] });
  const ordinary = await buildTenant(app, 'an ordinary key');
  add('an ordinary key of the tenant', {
    headers: header((await keyIn(ordinary, { permissions: ['demo.*'] })).secret),
    tenant: ordinary,
    standing: 'outsider',
    permissions: [],
  });
  const foreign = await buildTenant(app, 'a foreign tenant');
  add('an owner key of another tenant', {
    headers: header((await keyIn(foreign, { permissions: ['admin'] })).secret),
    tenant: await buildTenant(app, 'the visited'),
    standing: 'outsider',
    permissions: [],
  });
  const ofApplication = await buildTenant(app, 'an application', ['demo.echo', 'demo.fail']);
  const built = await buildClient(app, { workspace: ofApplication.workspace });
  add('an application that an owner let do all', {
    headers: header((await tokensFor(app, built, { scope: 'admin demo.echo demo.fail' })).access),
    tenant: ofApplication,
    standing: 'insider',
    permissions: SINGLE_PERMISSIONS,
  });
  const ofDeveloper = await buildTenant(app, 'an application of a developer');
  const person = await buildPerson(app, { workspace: ofDeveloper.workspace, roleId: 'rol_developer' });
  const narrow = { ...(await buildClient(app, { workspace: ofDeveloper.workspace })), person };
  add('an application that a developer let see members', {
    headers: header((await tokensFor(app, narrow, { scope: 'admin read.members demo.echo' })).access),
    tenant: ofDeveloper,
    standing: 'insider',
    permissions: ['read.members'],
  });
  const withdrawn = await buildTenant(app, 'a consent that was withdrawn');
  const endedClient = await buildClient(app, { workspace: withdrawn.workspace });
  const { access } = await tokensFor(app, endedClient, { scope: 'admin' });
  await mutate('deleteOAuthClient', { id: endedClient.client.id }, '__typename');
  add('an application that has ended', { headers: header(access), tenant: withdrawn, standing: 'unauthenticated', permissions: [] });
  const revoked = await buildTenant(app, 'a revoked key');
  const { id, secret } = await keyIn(revoked, { permissions: ['admin'] });
  await mutate('revokeKey', { id }, '__typename');
  add('a revoked owner key', { headers: header(secret), tenant: revoked, standing: 'unauthenticated', permissions: [] });
  return principals;
}
