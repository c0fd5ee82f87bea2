import { readFileSync } from 'node:fs';
import {
  buildClientSchema,
  getIntrospectionQuery,
  getNamedType,
  getNullableType,
  isCompositeType,
  isListType,
  isObjectType,
  type GraphQLInputObjectType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
} from 'graphql';
import { Session } from '../src/access/sessions/session.entity';
import type { Project } from '../src/tenancy/project.entity';
import type { Workspace } from '../src/tenancy/workspace.entity';
import { createTestApp, type TestApp } from './support/app';
import { buildKey, buildProject, buildServiceAccount, buildWorkspace, ghostOf } from './support/factories';
import { rowsOf, sectionOf } from './support/markdown';
import { mutations } from './support/mutate';
import { REDIRECT_URI, buildClient, tokensFor } from './support/oauth';
import { buildPerson } from './support/people';
import { operationsOf, requestOf, withoutClock, type Operation } from './support/operations';
import { statementsOf } from './support/statements';
import { BEHIND_A_GUARD, ENTRANCES, FIELDS, ROOT_FIELDS, ROUTES, type IdKind, type Needs, type Row } from './support/tenancy-table';

// Everything that can be asked, by every kind of principal, against the table of what should come of it.

let app: TestApp;
let schema: GraphQLSchema;

/** A workspace with one object of every kind in it. */
interface Tenant {
  workspace: Workspace;
  /** A project that no test archives, for the keys that ask. */
  home: string;
  ids: Record<IdKind, string>;
}

/** Somebody who asks, about a tenant of its own. */
interface Principal {
  headers: Record<string, string>;
  /** Its own tenant, or the one that it asks about. */
  tenant: Tenant;
  standing: 'unauthenticated' | 'operator' | 'outsider' | 'insider';
  /** What an insider holds. */
  permissions: string[];
  /** Who it is, where it is a person. */
  userId?: string;
  /** Whether the session among its tenant's ids is one of its own. */
  hasOtherSession?: true;
}

type Outcome = 'unauthenticated' | 'forbidden' | 'absent' | 'done';

const ROLES = rolesInReadme();
const principals = new Map<string, Principal>();

beforeAll(async () => {
  app = await createTestApp();
  schema = buildClientSchema((await app.graphql(getIntrospectionQuery(), {}, null)).data);
  await buildPrincipals();
}, 120_000);

afterAll(() => app.close());

/** Role by permission, as the documents show it. */
function rolesInReadme(): Map<string, string[]> {
  const section = sectionOf(readFileSync('docs/service-accounts-and-roles.md', 'utf8'), 'Roles');
  const names = (/^\| permission \| (.*) \|$/m.exec(section)?.[1] ?? '').split(' | ');
  const rows = rowsOf(section);
  return new Map(names.map((name, index) => [name, rows.filter((row) => row[index + 1] === 'yes').map(([permission = '']) => permission.replaceAll('`', ''))]));
}

const SINGLE_PERMISSIONS: string[] = ROLES.get('OWNER') ?? [];

/** Lets an application act for a person in a project of its workspace. */
async function consent(userId: string, clientId: string, projectId: string, scopes: string[] = []): Promise<string> {
  const person = { kind: 'USER', id: userId, name: '', sessionId: (await openSession(userId)).id, permissionsByWorkspace: new Map() } as const;
  return (await app.oauth.consents.give(person, { clientId, projectId, scopes }, { ip: null, userAgent: null })).id;
}

async function buildTenant(name: string, permissions = ['demo.*']): Promise<Tenant> {
  const { mutate } = mutations(app);
  const workspace = await buildWorkspace(app, { name: `Secret of ${name}` });
  const project = await buildProject(app, { workspace });
  const { key, secret } = await buildKey(app, { project, permissions });
  await app.rest({ secret });
  const { role } = await mutate('createRole', { workspaceId: workspace.id, name: 'Own', permissions: [] }, 'role { id }');
  const { account } = await buildServiceAccount(app, { projects: [project], permissions });
  const { person } = await buildPerson(app, { workspace, roleId: role.id });
  const { id: ses } = await app.database.reader.findOneByOrFail(Session, { userId: person.id });
  const { invitation } = await mutate('inviteMember', { workspaceId: workspace.id, email: 'invited@example.com', roleId: 'rol_viewer' }, 'invitation { id }');
  const { client } = await mutate('createOAuthClient', { workspaceId: workspace.id, name: 'Application', confidential: true, redirectUris: [REDIRECT_URI] }, 'client { id }');
  const con = await consent(person.id, client.id, project.id);
  const { data } = await app.graphql(
    'query ($id: ID!) { key(id: $id) { auditEvents { nodes { id } } requestLogs { nodes { id } } project { ledger { nodes { id } } workspace { wallet { id } } } } actions { nodes { id } } }',
    { id: key.id },
  );
  const { requestLogs, project: asked } = data.key;
  const ids = { ws: workspace.id, prj: project.id, key: key.id, svc: account.id, log: requestLogs.nodes[0].id, led: asked.ledger.nodes[0].id, wal: asked.workspace.wallet.id, act: data.actions.nodes[0].id, rol: role.id, usr: person.id, inv: invitation.id, ses, app: client.id, con, evt: data.key.auditEvents.nodes[0].id };
  return { workspace, home: (await buildProject(app, { workspace })).id, ids };
}

/** One more session of a person. */
async function openSession(userId: string): Promise<{ id: string; headers: { cookie: string } }> {
  const { id, token } = await app.database.transaction(async (tx) => app.people.sessions.open(tx, userId, { ip: null, userAgent: null }, await app.database.now(tx)));
  return { id, headers: { cookie: `tollgate_session=${token}` } };
}

async function buildPrincipals(): Promise<void> {
  const { mutate } = mutations(app);
  const add = (name: string, principal: Principal) => principals.set(name, principal);
  const keyIn = async (tenant: Tenant, input: { permissions?: string[]; roleId?: string }): Promise<{ id: string; secret: string }> => {
    const { key, secret } = await mutate('mintKey', { projectId: tenant.home, name: 'Asks', ...input, permissions: ['demo.*', ...(input.permissions ?? [])] }, 'secret key { id }');
    return { id: key.id, secret };
  };
  const header = (secret: string) => ({ 'x-api-key': secret });

  const personIn = async (tenant: Tenant, roleId: string): Promise<{ id: string; headers: { cookie: string } }> => {
    const { person, cookie } = await buildPerson(app, { workspace: tenant.workspace, roleId });
    return { id: person.id, headers: cookie };
  };

  add('nobody', { headers: {}, tenant: await buildTenant('nobody'), standing: 'unauthenticated', permissions: [] });
  add('the operator', { headers: header(app.rootKey), tenant: await buildTenant('operator'), standing: 'operator', permissions: SINGLE_PERMISSIONS });
  for (const [role, permissions] of ROLES) {
    const tenant = await buildTenant(`a key as ${role}`);
    const { secret } = await keyIn(tenant, { roleId: `rol_${role.toLowerCase()}` });
    add(`a key as ${role}`, { headers: header(secret), tenant, standing: 'insider', permissions });
  }
  for (const permission of SINGLE_PERMISSIONS) {
    const tenant = await buildTenant(permission);
    const { secret } = await keyIn(tenant, { permissions: [permission] });
    add(`a key with ${permission}`, { headers: header(secret), tenant, standing: 'insider', permissions: [permission] });
  }
  const accountIn = (tenant: Tenant, { permissions = [], roleId }: { permissions?: string[]; roleId?: string }) =>
    buildServiceAccount(app, { projects: [{ id: tenant.home, workspaceId: tenant.ids.ws } as Project], permissions: ['demo.*', ...permissions], ...(roleId && { roleId }) });
  for (const role of ['OWNER', 'DEVELOPER']) {
    const permissions = ROLES.get(role) ?? [];
    const tenant = await buildTenant(`a service account as ${role}`);
    const { secret } = await accountIn(tenant, { roleId: `rol_${role.toLowerCase()}` });
    add(`a service account as ${role}`, { headers: header(secret), tenant, standing: 'insider', permissions });
  }
  const ordinaryAccount = await buildTenant('an ordinary service account');
  add('a service account that administers nothing', { headers: header((await accountIn(ordinaryAccount, {})).secret), tenant: ordinaryAccount, standing: 'outsider', permissions: [] });
  const foreignAccount = await buildTenant('a foreign account');
  add('an owner service account of another tenant', { headers: header((await accountIn(foreignAccount, { permissions: ['admin'] })).secret), tenant: await buildTenant('the visited'), standing: 'outsider', permissions: [] });
  const stopped = await buildTenant('a disabled service account');
  const { account: stoppedAccount, secret: stoppedSecret } = await accountIn(stopped, { permissions: ['admin'] });
  await mutate('disableServiceAccount', { id: stoppedAccount.id }, '__typename');
  add('a disabled owner service account', { headers: header(stoppedSecret), tenant: stopped, standing: 'unauthenticated', permissions: [] });
  for (const [role, permissions] of ROLES) {
    const tenant = await buildTenant(`a person as ${role}`);
    const { id, headers } = await personIn(tenant, `rol_${role.toLowerCase()}`);
    const { id: ses } = await openSession(id);
    const con = await consent(id, tenant.ids.app, tenant.home);
    add(`a person as ${role}`, { headers, tenant: { ...tenant, ids: { ...tenant.ids, ses, con } }, standing: 'insider', permissions, userId: id, hasOtherSession: true });
  }
  const ofRole = await buildTenant('a person with a role of the workspace’s own');
  const { role: logReader } = await mutate('createRole', { workspaceId: ofRole.ids.ws, name: 'Log reader', permissions: ['read.logs'] }, 'role { id }');
  const reader = await personIn(ofRole, logReader.id);
  add('a person with a role of the workspace’s own', { headers: reader.headers, tenant: ofRole, standing: 'insider', permissions: ['read.logs'], userId: reader.id });
  const strict = await buildTenant('a workspace that requires a second factor');
  const unproved = await personIn(strict, 'rol_owner');
  await mutate('updateWorkspace', { id: strict.ids.ws, requiresSecondFactor: true }, '__typename');
  add('an owner without the second factor that is required', { headers: unproved.headers, tenant: strict, standing: 'insider', permissions: [], userId: unproved.id });
  const theirs = await buildTenant('another tenant’s people');
  const stranger = await personIn(theirs, 'rol_owner');
  add('an owner of another tenant', { headers: stranger.headers, tenant: await buildTenant('the visited'), standing: 'outsider', permissions: [], userId: stranger.id });
  const left = await buildTenant('the visited');
  const former = await personIn(left, 'rol_owner');
  await personIn(left, 'rol_owner');
  await mutate('removeMember', { workspaceId: left.ids.ws, userId: former.id }, '__typename');
  add('an owner who was removed', { headers: former.headers, tenant: left, standing: 'outsider', permissions: [], userId: former.id });
  const over = await buildTenant('a session that has ended');
  const { headers: ended } = await personIn(over, 'rol_owner');
  await app.graphql('mutation { signOut { session { id } } }', {}, ended);
  add('an owner who has signed out', { headers: ended, tenant: over, standing: 'unauthenticated', permissions: [] });
  const ordinary = await buildTenant('an ordinary key');
  add('an ordinary key of the tenant', { headers: header((await keyIn(ordinary, { permissions: ['demo.*'] })).secret), tenant: ordinary, standing: 'outsider', permissions: [] });
  const foreign = await buildTenant('a foreign tenant');
  add('an owner key of another tenant', { headers: header((await keyIn(foreign, { permissions: ['admin'] })).secret), tenant: await buildTenant('the visited'), standing: 'outsider', permissions: [] });
  const acted = await buildTenant('an application', ['demo.echo', 'demo.fail']);
  const built = await buildClient(app, { workspace: acted.workspace });
  add('an application that an owner let do all', { headers: header((await tokensFor(app, built, { scope: 'admin demo.echo demo.fail' })).access), tenant: acted, standing: 'insider', permissions: SINGLE_PERMISSIONS });
  const ofDeveloper = await buildTenant('an application of a developer');
  const person = await buildPerson(app, { workspace: ofDeveloper.workspace, roleId: 'rol_developer' });
  const narrow = { ...(await buildClient(app, { workspace: ofDeveloper.workspace })), person };
  add('an application that a developer let see members', { headers: header((await tokensFor(app, narrow, { scope: 'admin read.members demo.echo' })).access), tenant: ofDeveloper, standing: 'insider', permissions: ['read.members'] });
  const gone = await buildTenant('a consent that was withdrawn');
  const goneClient = await buildClient(app, { workspace: gone.workspace });
  const { access } = await tokensFor(app, goneClient, { scope: 'admin' });
  await mutate('deleteOAuthClient', { id: goneClient.client.id }, '__typename');
  add('an application that has ended', { headers: header(access), tenant: gone, standing: 'unauthenticated', permissions: [] });
  const revoked = await buildTenant('a revoked key');
  const { id, secret } = await keyIn(revoked, { permissions: ['admin'] });
  await mutate('revokeKey', { id }, '__typename');
  add('a revoked owner key', { headers: header(secret), tenant: revoked, standing: 'unauthenticated', permissions: [] });
}

interface Ask {
  query: string;
  variables: Record<string, unknown>;
}

async function answerTo(principal: Principal, { query, variables }: Ask) {
  const response = await fetch(`${app.url}/graphql`, { method: 'POST', headers: { 'content-type': 'application/json', ...principal.headers }, body: JSON.stringify({ query, variables }) });
  const text = await response.text();
  return { status: response.status, text: withoutClock(text), ...(JSON.parse(text) as Pick<Awaited<ReturnType<TestApp['graphql']>>, 'data' | 'errors'>) };
}

/** The first thing that a stream says: that it is open, or why it is not. */
async function firstWordTo(principal: Principal, ask: Ask): Promise<{ status: number; text: string }> {
  const hungUp = new AbortController();
  const response = await fetch(`${app.url}/graphql/stream`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', ...principal.headers },
    body: JSON.stringify(ask),
    signal: hungUp.signal,
  });
  const { value } = await (response.body as ReadableStream<Uint8Array>).getReader().read();
  hungUp.abort();
  return { status: response.status, text: Buffer.from(value ?? []).toString() };
}

const STREAM_IS_OPEN = ':\n\n';

async function streamOutcomeOf(principal: Principal, ask: Ask): Promise<Outcome> {
  const { status, text } = await firstWordTo(principal, ask);
  if (status === 401) return 'unauthenticated';
  if (text.startsWith(STREAM_IS_OPEN)) return 'done';
  if (text.includes('"code":"FORBIDDEN"')) return 'forbidden';
  if (text.includes('"code":"NOT_FOUND"')) return 'absent';
  throw new Error(`${ask.query} was answered ${status} ${text}`);
}

async function outcomeOf(principal: Principal, ask: Ask, root: string, isPublic = false): Promise<Outcome> {
  const { status, data, errors, text } = await answerTo(principal, ask);
  if (status === 401) return 'unauthenticated';
  for (const [name, { tenant }] of principals) {
    if (tenant !== principal.tenant && principal.standing !== 'operator' && text.includes(tenant.ids.ws)) throw new Error(`An answer tells of another tenant, ${name}: ${text}`);
  }
  if (principal.standing === 'outsider' && text.includes('Secret of the visited')) throw new Error(`An answer tells what is not the asker's: ${text}`);
  const codes = errors?.map(({ extensions }) => extensions.code) ?? [];
  if (codes.some((code) => /INTERNAL|VALIDATION|PARSE/.test(code))) throw new Error(`${ask.query} was answered ${text}`);
  if (codes.includes('FORBIDDEN')) return 'forbidden';
  if (codes.includes('NOT_FOUND')) return isPublic ? 'done' : 'absent'; // a link that was made up
  const isAbsent = data?.[root] === null || (Array.isArray(data?.[root]) && data[root].every((item: unknown) => item === null));
  return codes.length === 0 && isAbsent ? 'absent' : 'done';
}

function expected(principal: Principal, needs: Needs[], isMutationOfOperator = false): Outcome {
  const bringsSecret = 'x-api-key' in principal.headers; // a wrong one is refused for everything, a session that has ended counts as none
  if (needs.includes('nothing')) return bringsSecret && principal.standing === 'unauthenticated' ? 'unauthenticated' : 'done';
  if (principal.standing === 'unauthenticated') return 'unauthenticated';
  if (needs.includes('own')) return principal.hasOtherSession ? 'done' : 'absent';
  if (needs.includes('person')) return principal.userId ? 'done' : 'forbidden';
  if (principal.standing === 'operator' || needs.every((need) => need === 'credential')) return 'done';
  if (isMutationOfOperator) return 'forbidden';
  if (principal.standing === 'outsider') return 'absent';
  return needs.every((need) => need === 'knowledge' || principal.permissions.includes(need)) ? 'done' : 'forbidden';
}

/** The kinds of ids that arguments ask for by their names. */
const KIND_OF_ARGUMENT: Record<string, IdKind> = { workspaceId: 'ws', projectId: 'prj', requestLogId: 'log', roleId: 'rol', userId: 'usr', keyId: 'key', projectIds: 'prj', ids: 'prj', actorId: 'usr', subjectId: 'key' };

function operationsFor({ ids }: Tenant): Operation[] {
  return operationsOf(schema, (argument, field) => {
    const kind = argument === 'id' ? ROOT_FIELDS[field]?.id : KIND_OF_ARGUMENT[argument];
    if (!kind) throw new Error(`What does the argument ${argument} of ${field} name? The table does not say.`);
    return ids[kind];
  });
}

/** The same of subscriptions. */
function subscriptionsFor(idOf: (kind: IdKind) => string): Operation[] {
  return operationsOf(schema, (argument) => idOf(KIND_OF_ARGUMENT[argument] as IdKind), undefined, ['subscription']);
}

const rootName = ({ name }: Operation): string => name.replace(/\(.*$/, '');
/** The row of an operation: that of the id that it was given, or of its field. */
const rowOf = ({ name }: Operation): Row => (ROOT_FIELDS[name] ?? ROOT_FIELDS[name.replace(/\(.*$/, '')]) as Row;

describe('the table', () => {
  it('knows every query, mutation and subscription, and no other', () => {
    const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
    const names = roots.flatMap((type) => Object.keys(type?.getFields() ?? {}).map((field) => `${type?.name}.${field}`));
    expect(Object.keys(ROOT_FIELDS).filter((name) => !name.includes('(')).sort()).toEqual(names.sort());
  });

  it('knows every field that takes an argument or leads to another object', () => {
    const plumbing = /^(Query|Mutation|Subscription|__.*|.*(Connection|Edge|Payload))$/;
    const types = Object.values(schema.getTypeMap()).filter(isObjectType).filter(({ name }) => !plumbing.test(name));
    const fields = types.flatMap((type) => Object.values(type.getFields()).flatMap((field) => (field.args.length > 0 || isCompositeType(getNamedType(field.type)) ? [`${type.name}.${field.name}`] : [])));
    expect([...Object.keys(FIELDS), ...Object.keys(BEHIND_A_GUARD)].sort()).toEqual(fields.sort());
  });

  it('knows every route', () => {
    const parents: string[] = [];
    const routes = app.server.printRoutes({ commonPrefix: false }).split('\n').flatMap((line) => {
      const found = /^(\W*[├└]── )(\/\S*) \(([A-Z, ]+)\)/.exec(line);
      if (!found) return [];
      const [, branch = '', part = '', methods = ''] = found;
      parents.length = branch.length / '├── '.length - 1;
      parents.push(part);
      return methods.split(', ').filter((method) => method !== 'HEAD' && method !== 'OPTIONS').map((method) => `${method} ${parents.join('')}`);
    });
    expect(routes.sort()).toEqual(Object.keys(ROUTES).sort());
  });
});

describe('every field of an object', () => {
  it('comes, for every kind of principal, to what the table says', async () => {
    for (const [who, principal] of principals) {
      for (const [name, needs] of Object.entries(FIELDS)) {
        const [type = '', field = ''] = name.split('.');
        const entrance = ENTRANCES[type];
        if (!entrance) throw new Error(`The table does not say how a ${type} is reached.`);
        const leads = isCompositeType(getNamedType((schema.getType(type) as GraphQLObjectType).getFields()[field]?.type as GraphQLOutputType));
        const root = entrance.field.split('.')[1] as string;
        const ask = { query: `query ($id: ID!) { ${root}(id: $id) { ${field}${leads ? ' { __typename }' : ''} } }`, variables: { id: principal.tenant.ids[entrance.id] } };
        const outcome = await outcomeOf(principal, ask, root);
        expect([who, name, outcome]).toEqual([who, name, expected(principal, [ROOT_FIELDS[entrance.field]?.needs as Needs, needs])]);
      }
    }
  }, 120_000);
});

describe('what is another tenant’s', () => {
  const as = (name: string): Principal => principals.get(name) as Principal;

  /** The same operations, each with one of its ids replaced by `foreign` of its kind, and all others the asker's own. */
  function withOneForeign(own: Tenant, foreign: (kind: IdKind) => string): Operation[] {
    const seen = new Set<string>();
    operationsOf(schema, (argument, field) => {
      seen.add(`${field} ${argument}`);
      return 'x';
    });
    return [...seen].flatMap((place) => {
      const [field, replaced] = place.split(' ');
      const operations = operationsOf(schema, (argument, of) => {
        const kind = (argument === 'id' ? ROOT_FIELDS[of]?.id : KIND_OF_ARGUMENT[argument]) as IdKind;
        return of === field && argument === replaced ? foreign(kind) : own.ids[kind];
      });
      return operations.filter((operation) => rootName(operation) === field && JSON.stringify(operation.args).includes(replaced as string));
    });
  }

  it('is, byte for byte, as if it did not exist, in each id that each operation takes, with all others one’s own', async () => {
    const owner = as('a key as OWNER');
    const { tenant: others } = as('a key as ADMIN');
    const foreign = withOneForeign(owner.tenant, (kind) => others.ids[kind]).filter((operation) => !rootName(operation).endsWith('Action'));
    const ghosts = withOneForeign(owner.tenant, (kind) => ghostOf(others.ids[kind])).filter((operation) => !rootName(operation).endsWith('Action'));
    expect(foreign.length).toBeGreaterThan(25);
    for (const [index, operation] of foreign.entries()) {
      const answer = await answerTo(owner, requestOf([operation]));
      const ghost = await answerTo(owner, requestOf([ghosts[index] as Operation]));
      expect([operation.name, answer.status, answer.text]).toEqual([operation.name, ghost.status, ghost.text]);
      expect(answer.text).toMatch(/NOT_FOUND|FORBIDDEN|:null\}|:\[null\]\}/);
    }
  });

  it('is, byte for byte, as if it did not exist, for each subscription', async () => {
    const owner = as('a key as OWNER');
    const { tenant: others } = as('a key as ADMIN');
    const foreign = subscriptionsFor((kind) => others.ids[kind]).filter(({ takesId }) => takesId);
    const ghosts = subscriptionsFor((kind) => ghostOf(others.ids[kind])).filter(({ takesId }) => takesId);
    expect(foreign.length).toBe(4);
    for (const [index, operation] of foreign.entries()) {
      const answer = await firstWordTo(owner, requestOf([operation]));
      expect([operation.name, answer]).toEqual([operation.name, await firstWordTo(owner, requestOf([ghosts[index] as Operation]))]);
      expect(answer.text).toContain('NOT_FOUND');
    }
  });

  it('is in no list, by whatever id it is filtered', async () => {
    const owner = as('a key as OWNER');
    const { tenant: others } = as('a key as ADMIN');
    let tried = 0;
    for (const [type, { field: entrance, id }] of Object.entries(ENTRANCES)) {
      for (const field of Object.values((schema.getType(type) as GraphQLObjectType).getFields())) {
        const filter = field.args.find(({ name }) => name === 'filter');
        if (!filter) continue;
        for (const { name, type: inputType } of Object.values((getNamedType(filter.type) as GraphQLInputObjectType).getFields())) {
          if (getNamedType(inputType).name !== 'ID') continue;
          const root = entrance.split('.')[1] as string;
          const query = `query ($id: ID!, $filter: ${filter.type.toString()}) { ${root}(id: $id) { ${field.name}(filter: $filter) { nodes { __typename } pageInfo { hasNextPage } } } }`;
          const kinds = ['prj', 'key', 'svc', 'ws', 'log', 'usr'] as const;
          const values = kinds.map((kind) => others.ids[kind]);
          const value = isListType(getNullableType(inputType)) ? values : values[0];
          const { data, errors } = await answerTo(owner, { query, variables: { id: owner.tenant.ids[id], filter: { [name]: value } } });
          expect([type, field.name, name, errors, data?.[root]]).toEqual([type, field.name, name, undefined, { [field.name]: { nodes: [], pageInfo: { hasNextPage: false } } }]);
          tried += 1;
        }
      }
    }
    expect(tried).toBeGreaterThan(8);
  });

  it('is looked for by the same statements as what never was, so that no clock tells them apart', async () => {
    const owner = as('a key as OWNER');
    const { tenant: others } = as('a key as ADMIN');
    let compared = 0;
    for (const kind of ['ws', 'prj', 'key', 'svc', 'rol'] as const) {
      const [foreign, ghosts] = [others.ids[kind], ghostOf(others.ids[kind])].map((id) => operationsOf(schema, () => id, undefined, ['mutation'])) as [Operation[], Operation[]];
      for (const [index, operation] of foreign.entries()) {
        const sqlOf = async (one: Operation) => (await statementsOf(app, () => answerTo(owner, requestOf([one])))).map(({ sql }) => sql);
        const statements = await sqlOf(operation);
        expect([operation.name, kind, statements]).toEqual([operation.name, kind, await sqlOf(ghosts[index] as Operation)]);
        compared += statements.length;
      }
    }
    expect(compared).toBeGreaterThan(100);
  });
});

/** How a route that a key reads by a permission answers. */
function exportStatus({ headers, standing, permissions }: Principal, permission: string): number {
  if (standing === 'unauthenticated' || !('x-api-key' in headers)) return 401; // a cookie counts at /graphql alone
  if (standing === 'outsider') return 404;
  return permissions.includes(permission) ? 200 : 403;
}

describe('every route', () => {
  const ASK: Record<string, { path?: string; headers?: Record<string, string>; body?: string }> = {
    'GET /graphql': { headers: { accept: 'text/html' } },
    'POST /graphql': { headers: { 'content-type': 'application/json', 'x-apollo-operation-name': 'a' }, body: '{"query":"{ __typename }"}' },
    'GET /graphql/assets/:name': { path: '/graphql/assets/none.js' },
    'POST /invitation': { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'token=none' },
    'POST /reset-password': { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'token=none' },
    'GET /graphql/stream': { path: '/graphql/stream?query={__typename}', headers: { accept: 'text/event-stream' } },
    'POST /graphql/stream': { headers: { 'content-type': 'application/json', accept: 'text/event-stream' }, body: '{"query":"{ __typename }"}' },
    'POST /v1/:service/execute': { path: '/v1/demo/execute', headers: { 'content-type': 'application/json' }, body: '{"action":"demo.echo","params":{}}' },
  };

  it('comes, for every kind of principal, to what the table says', async () => {
    for (const [who, principal] of principals) {
      for (const [route, needs] of Object.entries(ROUTES)) {
        const [method = '', pattern = ''] = route.split(' ');
        const { path = pattern, headers = {}, body } = ASK[route] ?? {};
        const permission = needs === 'anybody' || needs === 'a credential' || needs === 'a key that may call' ? undefined : needs;
        const query = permission ? `?workspaceId=${principal.tenant.ids.ws}` : '';
        const response = await fetch(`${app.url}${path}${query}`, { method, headers: { ...headers, ...principal.headers }, ...(body !== undefined && { body }) });
        const text = await response.text();
        const tells = [...principals.values()].filter(({ tenant }) => text.includes(tenant.ids.ws)).map(({ tenant }) => tenant);
        if (principal.standing !== 'operator') expect([who, route, tells.filter((tenant) => tenant !== principal.tenant)]).toEqual([who, route, []]);
        const mayCall = 'x-api-key' in principal.headers && !['operator', 'unauthenticated'].includes(principal.standing);
        const wrongSecret = 'x-api-key' in principal.headers && principal.standing === 'unauthenticated' && route === 'POST /graphql';
        const isRefused = needs === 'anybody' ? wrongSecret : needs === 'a credential' ? principal.standing === 'unauthenticated' : needs === 'a key that may call' ? !mayCall : false;
        const status = permission ? exportStatus(principal, permission) : isRefused ? 401 : expect.not.stringMatching(/^40[13]$/);
        expect([who, route, `${response.status}`]).toEqual([who, route, typeof status === 'number' ? `${status}` : status]);
      }
    }
  });
});

describe('every subscription', () => {
  it('comes, for every kind of principal, to what the table says', async () => {
    for (const [who, principal] of principals) {
      for (const operation of subscriptionsFor((kind) => principal.tenant.ids[kind])) {
        const { needs } = rowOf(operation);
        const outcome = await streamOutcomeOf(principal, requestOf([operation]));
        expect([who, operation.name, outcome]).toEqual([who, operation.name, expected(principal, [needs], needs === 'operator')]);
      }
    }
  }, 120_000);
});

// Last, for it leaves no key unrevoked
describe('every query and mutation', () => {
  it('comes, for every kind of principal, to what the table says', async () => {
    const order = Object.keys(ROOT_FIELDS);
    for (const [who, principal] of principals) {
      const operations = operationsFor(principal.tenant).sort((a, b) => order.indexOf(rootName(a)) - order.indexOf(rootName(b)));
      for (const operation of operations) {
        const { needs } = rowOf(operation);
        if (principal.userId && operation.field === 'signOutEverywhere') principal.headers = (await openSession(principal.userId)).headers; // it has just signed out
        const outcome = await outcomeOf(principal, requestOf([operation]), 'o0', needs === 'nothing');
        expect([who, operation.name, outcome]).toEqual([who, operation.name, expected(principal, [needs], needs === 'operator')]);
      }
    }
  }, 120_000);
});
