import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import cookie from '@fastify/cookie';
import cors from '@fastify/cors';
import Fastify, { type FastifyInstance } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import { pino, type Logger } from 'pino';
import { buildSchemaSync, type BuildSchemaOptions, type ClassType } from 'type-graphql';
import { IsNull, MoreThan, type EntityManager } from 'typeorm';
import { Idempotency } from './access/idempotency';
import { IdempotencyKey } from './access/idempotency-key.entity';
import { rootKeyDigest, type Installation } from './access/installation';
import { createPeopleServices, type PeopleServices } from './access/people-services';
import { Invitation } from './access/people/invitation.entity';
import { Person } from './access/people/person.entity';
import { InvitationResolver, WorkspaceInvitationsResolver } from './access/people/invitation.resolver';
import { MembershipResolver, WorkspaceMembersResolver } from './access/people/member.resolver';
import { sessionCookie, trustedOrigins } from './access/sessions/cookie';
import { PasswordResolver } from './access/sessions/password.resolver';
import { SecondFactorResolver } from './access/sessions/second-factor.resolver';
import { SignInResolver } from './access/sessions/sign-in.resolver';
import { SessionResolver, ViewerPersonResolver } from './access/sessions/viewer-person.resolver';
import { MemberService } from './access/people/member.service';
import { RoleResolver, WorkspaceRolesResolver } from './access/roles/role.resolver';
import { RoleService } from './access/roles/role.service';
import { ViewerResolver } from './access/viewer.resolver';
import { ActionResolver } from './actions/action.resolver';
import { ActionService } from './actions/action.service';
import { ActionRunner } from './actions/runner';
import { AuditChainResolver } from './audit/chain.resolver';
import { AuditEventResolver, KeyEventsResolver, ServiceAccountEventsResolver, WorkspaceEventsResolver } from './audit/event.resolver';
import { Sealer } from './audit/sealer';
import { readTrail } from './audit/trail';
import type { Config } from './config';
import type { Database } from './db/database';
import { Forgetter } from './db/forgetter';
import { isRetryable, isUnavailable } from './db/failures';
import { registerDocs } from './docs/server';
import type { DocsDeps } from './docs/site';
import { Claim } from './gate/gate.entities';
import { Gate } from './gate/gate';
import { Principals } from './gate/principals';
import { Sweep } from './gate/sweep';
import { DatabaseSweepStore } from './gate/sweep-store';
import type { TickStore } from './gate/tick-store';
import { MysqlTickConnections } from './gate/tick-connection.mysql';
import { SqliteTickConnections } from './gate/tick-connection.sqlite';
import { SqlTickStore } from './gate/tick-store.sql';
import { contextAgain, contextOf, contextOfSomebody } from './graphql/context';
import { graphqlAnswerOf } from './graphql/errors';
import { NodeResolver } from './graphql/node.resolver';
import { RegisteredOperations } from './graphql/operations';
import { registerGraphQL } from './graphql/server';
import { ApiKey } from './keys/key.entity';
import { sourceOf, streamSourceOf } from './graphql/session-cookie';
import { KeyChangedResolver } from './keys/key-changed.resolver';
import { KeyResolver, ProjectKeysResolver, WorkspaceKeysResolver } from './keys/key.resolver';
import { permissionsOfKeysRole } from './keys/key.queries';
import { KeyService } from './keys/key.service';
import { loggableError } from './lib/loggable';
import { DateTime } from './lib/scalars';
import type { Repeated } from './lib/repeated';
import { processTime } from './lib/time';
import { OAuthClientResolver, WorkspaceOAuthClientsResolver } from './oauth/client.resolver';
import { ConsentResolver, OAuthClientConsentsResolver, ViewerConsentsResolver } from './oauth/consent.resolver';
import { endConsents, endConsentsOf } from './oauth/consent.service';
import { OAuthToken } from './oauth/token.entity';
import { createOAuthServices, type OAuthServices } from './oauth/services';
import { oauthErrorPage, registerConsentPages, registerOAuthEndpoints } from './pages/oauth.server';
import { registerPages } from './pages/server';
import { RequestLog } from './requests/request-log.entity';
import {
  KeyLogsResolver,
  LedgerEntryLogResolver,
  ProjectLogsResolver,
  RequestLogResolver,
  ServiceAccountLogsResolver,
  WorkspaceLogsResolver,
} from './requests/request-log.resolver';
import { newRequestId } from './rest/request-id';
import { prepareAnswers, registerRest } from './rest/server';
import { sendError } from './rest/answer';
import { httpStatusOf } from './rest/status';
import { openApiDocument } from './rest/openapi';
import { RotationWatch } from './service-accounts/rotation-watch';
import { ServiceAccount } from './service-accounts/service-account.entity';
import { permissionsOfServiceAccountsRole } from './service-accounts/service-account.queries';
import { ServiceAccountResolver, WorkspaceServiceAccountsResolver } from './service-accounts/service-account.resolver';
import { ServiceAccountService } from './service-accounts/service-account.service';
import { ProjectResolver, WorkspaceProjectsResolver } from './tenancy/project.resolver';
import { ProjectService } from './tenancy/project.service';
import { Workspace } from './tenancy/workspace.entity';
import { WorkspaceResolver } from './tenancy/workspace.resolver';
import { WorkspaceService } from './tenancy/workspace.service';
import { BudgetChangedResolver } from './wallet/budget-changed.resolver';
import { openBudget, openWallet } from './wallet/ledger';
import { LedgerEntryResolver, ProjectBudgetResolver, WalletResolver, WorkspaceWalletResolver } from './wallet/wallet.resolver';
import { WalletService } from './wallet/wallet.service';

// The composition root: everything is made here, by plain constructor calls, and nothing else knows everyone.

export interface AppDeps {
  config: Config;
  /** Open and migrated; closing it is for whoever opened it. */
  database: Database;
  installation: Installation;
  /** Takes the log, a line of JSON at a time. */
  log: { write(line: string): void };
}

export interface Services {
  workspaces: WorkspaceService;
  projects: ProjectService;
  keys: KeyService;
  serviceAccounts: ServiceAccountService;
  roles: RoleService;
  members: MemberService;
  wallets: WalletService;
  actions: ActionService;
}

export interface App {
  /** Not listening yet; `inject` works. Closing it finishes the calls in flight. */
  server: FastifyInstance;
  services: Services;
  people: PeopleServices;
  oauth: OAuthServices;
  gate: Gate;
  sweep: Sweep;
  sealer: Sealer;
  rotations: RotationWatch;
  idempotency: Idempotency;
  /** Of the answers of mutations, and of what OAuth has handed out. */
  forgetters: Repeated[];
}

export function createServices(database: Database, pepper: string): Services {
  const actions = new ActionService(database);
  const knownPermissions = async (tx: EntityManager) => (await actions.permissions(tx)).map(({ name }) => name);
  return {
    actions,
    workspaces: new WorkspaceService({ database, opened: (tx, workspace) => openWallet(tx, workspace.id) }),
    projects: new ProjectService({ database, opened: (tx, project) => openBudget(tx, project.id) }),
    keys: new KeyService({ database, pepper, knownPermissions }),
    serviceAccounts: new ServiceAccountService({ database, pepper, knownPermissions }),
    roles: new RoleService({ database, holderOf: (tx, roleId) => roleHolder(database, tx, roleId) }),
    members: new MemberService({ database, left: endConsents }),
    wallets: new WalletService({ database, findCall: (tx, id) => tx.findOneBy(RequestLog, { id }) }),
  };
}

/** What has a role, but for members. */
async function roleHolder(database: Database, tx: EntityManager, roleId: string): Promise<string | undefined> {
  if (await tx.existsBy(ApiKey, { roleId, revokedAt: IsNull() })) return 'a key';
  if (await tx.existsBy(ServiceAccount, { roleId })) return 'a service account';
  const isOpen = { acceptedAt: IsNull(), withdrawnAt: IsNull(), expiresAt: MoreThan(await database.now(tx)) };
  return (await tx.existsBy(Invitation, { roleId, ...isOpen })) ? 'an invitation' : undefined;
}

/** The whole application on an open database, without a port. */
export async function createApp({ config, database, installation, log: destination }: AppDeps): Promise<App> {
  const log = pino({ level: config.logLevel, serializers: { err: loggableError } }, destination);
  const services = createServices(database, installation.pepper);
  await services.actions.ensureBuiltIns();

  const server = createServer(config);
  const people: PeopleServices = createPeopleServices({
    database,
    pepper: installation.pepper,
    mail: config.mail,
    baseUrl: () => config.publicUrl ?? addressOf(server),
    actorById: (tx, id) => principals.byId(tx, id),
    endConsents: endConsentsOf,
    log,
  });
  const oauth = createOAuthServices({
    database,
    pepper: installation.pepper,
    baseUrl: () => config.publicUrl ?? addressOf(server),
    permissions: () => services.actions.permissions(database.lookups),
    principalOfSession: (tx, id) => people.sessions.principalById(tx, id),
    errorPage: oauthErrorPage,
    background: people.background,
    log,
  });
  const principals = new Principals({ database, sessions: people.sessions, consents: oauth.consents });
  const runner = new ActionRunner({ signingSecrets: installation.signingSecrets });
  const store = await openTickStore(database, log);
  const gate = new Gate({
    store,
    time: processTime,
    runner,
    pepper: installation.pepper,
    rootKeyDigest: () => rootKeyDigest(database),
    permissionsOfRole: ({ credentialKind, keyId }) => (credentialKind === 'API_KEY' ? permissionsOfKeysRole : permissionsOfServiceAccountsRole)(database.lookups, keyId),
    principalOfSession: (token) => people.sessions.principalOf(token),
    principalOfAccessToken: (token) => oauth.consents.principalOf(database.lookups, token),
    now: async () => (await database.now()).getTime(),
    keptAnswer: async ({ credentialId, requestId, attempt }) =>
      (await database.lookups.findOneBy(Claim, { credentialId, requestId, attempt, state: 'DONE' }))?.answer ?? null,
    httpStatusOf,
    limits: { maxCalls: config.maxCallsInFlight, maxBytes: config.maxBytesInFlight },
    log,
  });
  const sweep = new Sweep({ store: new DatabaseSweepStore(database), ticker: gate.ticker, time: processTime, log });
  const sealer = new Sealer({ database, log });
  const rotations = new RotationWatch({ database, log });
  const idempotency = new Idempotency({ database, pepper: installation.pepper });
  const forgetters = [IdempotencyKey, OAuthToken].map((entity) => new Forgetter({ database, log, entity }));
  server.addHook('onClose', async () => {
    await rotations.stop();
    await sealer.stop();
    for (const forgetter of forgetters) await forgetter.stop();
    await sweep.stop();
    await gate.close();
    await runner.close();
    await store.close();
    await people.background.idle();
  });

  prepareAnswers(server, { bodyLimitBytes: config.bodyLimitBytes, log });
  if (config.corsOrigins.length > 0) {
    await server.register(cors, {
      origin: [...config.corsOrigins],
      credentials: true,
      exposedHeaders: ['X-Request-Id', 'RateLimit', 'RateLimit-Policy', 'Retry-After', 'WWW-Authenticate', 'Idempotent-Replayed'],
    });
  }
  registerRest(server, {
    gate,
    database,
    log,
    readTrail: (request) => readTrail(database.reader, request),
    hasWorkspace: (id) => database.reader.existsBy(Workspace, { id }),
    ping: () => database.ping(),
    openApi: openApiDocument(),
  });
  const schema = createSchema(createResolvers(services, people, oauth, database));
  const operations = config.graphqlOperations === undefined ? undefined : await RegisteredOperations.read(config.graphqlOperations, schema);
  registerDocs(server, docsOf(schema));
  const contextDeps = { gate, database, trustedOrigins: trustedOrigins(config), current: principals.current.bind(principals), personOfSession: people.sessions.principalById.bind(people.sessions) };
  const kept = sessionCookie(config.publicUrl);
  const identifySession = (token: string) => gate.identifySession(token);
  const isOutage = (error: unknown) => isUnavailable(error) || isRetryable(error);
  const emailOf = async (id: string) => (await database.reader.findOneByOrFail(Person, { id })).email;
  const oauthPages = { oauth, signIns: people.signIns, sessions: people.sessions, cookie: kept, identifySession, emailOf, httpStatusOf, isOutage, log };
  await server.register(async (browsers) => {
    await browsers.register(cookie);
    await registerGraphQL(browsers, {
      schema,
      idempotency,
      operations,
      log,
      contextOf: (request, reply) => contextOf(sourceOf(request, reply, kept), contextDeps),
      introspection: config.graphqlIntrospection,
      batching: config.graphqlBatching,
      streams: {
        recognise: (request, credentials) => contextOfSomebody(streamSourceOf(request, kept, credentials), contextDeps),
        again: (viewer, request, credentials) => contextAgain(viewer, streamSourceOf(request, kept, credentials), contextDeps),
      },
    });
  });
  await server.register(async (pages) => {
    await pages.register(cookie);
    const { invitations, passwords } = people;
    const { trustedOrigins: trusted } = contextDeps;
    await registerPages(pages, { invitations, passwords, cookie: kept, trustedOrigins: trusted, identifySession, httpStatusOf, isOutage, log });
    registerConsentPages(pages, oauthPages);
  });
  await server.register(async (endpoints) => registerOAuthEndpoints(endpoints, oauthPages));
  await server.ready();
  return { server, services, people, oauth, gate, sweep, sealer, idempotency, forgetters, rotations };
}

/** Where a server listens, as far as it knows. */
function addressOf({ server }: FastifyInstance): string {
  const { address, port, family } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

/** How long a request may take to arrive, its body included. */
const REQUEST_TIMEOUT_MS = 120_000;

/** Without a logger of its own, which would be made anew for each request: what there is to log, those log who know of it. */
function createServer(config: Config): FastifyInstance {
  return Fastify({
    trustProxy: config.trustedProxies.length > 0 ? [...config.trustedProxies] : false,
    bodyLimit: config.bodyLimitBytes,
    requestTimeout: REQUEST_TIMEOUT_MS,
    return503OnClosing: false, // rest/server answers in the form that all errors have
    forceCloseConnections: 'idle',
    frameworkErrors: ({ code }, _request, reply) => {
      // No service has a name as long as what the router takes for none
      if (code === 'FST_ERR_MAX_PARAM_LENGTH') void sendError(reply, newRequestId(), { code: 'NOT_FOUND', details: {} });
      else void sendError(reply, newRequestId(), { code: 'INVALID_REQUEST', details: { issues: [{ path: [], message: 'the address cannot be read' }] } });
    },
  }) as unknown as FastifyInstance;
}

async function openTickStore(database: Database, log: Logger): Promise<TickStore> {
  const { settings } = database;
  if (settings.type === 'sqlite') return new SqlTickStore(new SqliteTickConnections(database, settings.path), database.clock);
  const [row] = await database.reader.query<{ packet: unknown; flush: unknown }[]>(
    'SELECT @@max_allowed_packet AS packet, @@innodb_flush_log_at_trx_commit AS flush',
  );
  if (Number(row?.flush) !== 1) {
    log.warn('innodb_flush_log_at_trx_commit is not 1: a crash of the database server can lose calls that were answered and billed');
  }
  return new SqlTickStore(new MysqlTickConnections(settings, Number(row?.packet)), database.clock);
}

type Resolvers = Map<unknown, object>;

function createResolvers({ workspaces, projects, keys, serviceAccounts, roles, members, wallets, actions }: Services, people: PeopleServices, oauth: OAuthServices, database: Database): Resolvers {
  const instances = [
    new ViewerResolver(),
    new ViewerPersonResolver(database.reader, people.sessions),
    new SessionResolver(),
    new SignInResolver(people.signIns, people.sessions),
    new PasswordResolver(people.passwords),
    new SecondFactorResolver(people.secondFactors),
    new InvitationResolver(people.invitations),
    new WorkspaceInvitationsResolver(),
    new MembershipResolver(members),
    new WorkspaceMembersResolver(),
    new NodeResolver(),
    new WorkspaceResolver(workspaces),
    new ProjectResolver(projects),
    new WorkspaceProjectsResolver(),
    new KeyResolver(keys),
    new KeyChangedResolver(),
    new WorkspaceKeysResolver(),
    new ProjectKeysResolver(),
    new OAuthClientResolver(oauth.clients),
    new WorkspaceOAuthClientsResolver(),
    new ConsentResolver(oauth.consents),
    new ViewerConsentsResolver(),
    new OAuthClientConsentsResolver(),
    new ServiceAccountResolver(serviceAccounts),
    new WorkspaceServiceAccountsResolver(),
    new RoleResolver(roles),
    new WorkspaceRolesResolver(),
    new WalletResolver(wallets),
    new WorkspaceWalletResolver(),
    new ProjectBudgetResolver(),
    new BudgetChangedResolver(),
    new LedgerEntryResolver(),
    new ActionResolver(actions),
    new RequestLogResolver(),
    new LedgerEntryLogResolver(),
    new WorkspaceLogsResolver(),
    new ProjectLogsResolver(),
    new KeyLogsResolver(),
    new ServiceAccountLogsResolver(),
    new AuditEventResolver(),
    new WorkspaceEventsResolver(),
    new KeyEventsResolver(),
    new ServiceAccountEventsResolver(),
    new AuditChainResolver(database.reader),
  ];
  return new Map(instances.map((instance) => [instance.constructor, instance]));
}

/** The admin schema; from the resolvers of an app, or from none where only its text is wanted. */
export function createSchema(resolvers: Resolvers): GraphQLSchema {
  const schema = buildSchemaSync({
    resolvers: [...resolvers.keys()] as [ClassType, ...ClassType[]],
    container: { get: (resolver: unknown) => resolvers.get(resolver) },
    scalarsMap: [{ type: Date, scalar: DateTime }],
    pubSub: NO_PUB_SUB,
    validate: false, // services validate, with every problem in one answer
  });
  const { query, mutation, subscription } = schema.toConfig();
  if (query) query.description = 'What can be asked. An object that the caller may not know of is null, like one that never was; a field that takes a permission which the caller lacks is null too, ' +
      'with `FORBIDDEN` at its path.\n\nErrors of any query: `UNAUTHENTICATED` without a valid credential, `INVALID_REQUEST` with `issues` for arguments that do not fit, ' +
      '`QUERY_TOO_COMPLEX` and `RATE_LIMITED` for more than one may ask for, `SERVICE_UNAVAILABLE`, `INTERNAL`.';
  if (mutation) mutation.description = 'What can be changed. Each is a transaction of its own, with an event that tells of it.\n\nErrors of any mutation, besides those that it names: `UNAUTHENTICATED` without a ' +
      'valid credential, `FORBIDDEN` where a permission is lacking, `INVALID_REQUEST` with `issues` for an input that does not fit, `CONFLICT` for an `Idempotency-Key` that another mutation has or ' +
      'that is being done, `QUERY_TOO_COMPLEX` and `RATE_LIMITED` for more than one may ask for, `SERVICE_UNAVAILABLE`, `INTERNAL`.';
  if (subscription) {
    subscription.description =
      'What can be followed, over a WebSocket at `/graphql` (graphql-transport-ws) or as server-sent events at `/graphql/stream`. Whoever loses the right to it loses the stream within a second or so, with an error as its last result.';
  }
  return schema;
}

/** type-graphql wants one where there are subscriptions; ours read the database, which all nodes share. */
const NO_PUB_SUB: NonNullable<BuildSchemaOptions['pubSub']> = {
  publish: () => undefined,
  subscribe: () => {
    throw new Error('Nothing is published in a process.');
  },
};

/** The admin schema without anything behind it, to be printed. */
export function describeSchema(): GraphQLSchema {
  const nothing = {} as Services;
  return createSchema(createResolvers(nothing, {} as PeopleServices, {} as OAuthServices, {} as Database));
}

/** What the manual is made of. */
export const docsOf = (schema: GraphQLSchema): DocsDeps => ({ schema, openApi: openApiDocument(), answers: { httpStatusOf, graphqlAnswerOf } });
