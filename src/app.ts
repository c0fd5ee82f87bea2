import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import cookie from '@fastify/cookie';
import type { FastifyInstance } from 'fastify';
import { GraphQLSchema } from 'graphql';
import { pino, type Logger } from 'pino';
import { Idempotency } from './access/idempotency';
import { IdempotencyKey } from './access/idempotency-key.entity';
import type { Installation } from './access/installation';
import { PrincipalTokens } from './access/principal-tokens';
import { createPeopleServices, type PeopleDeps, type PeopleServices } from './access/people-services';
import { Person } from './access/people/person.entity';
import { browserCookies, trustedOrigins } from './access/sessions/cookie';
import { Sealed } from './access/sessions/sealed';
import { ActionRunner } from './actions/runner';
import { ChainKeys } from './audit/chain-keys';
import { Sealer } from './audit/sealer';
import { readTrail } from './audit/trail';
import { warningOf, type Config } from './config';
import type { Database } from './db/database';
import { Forgetter } from './db/forgetter';
import { isOutage } from './db/failures';
import { registerDocs } from './docs/server';
import { Forwarder } from './forwarding/forwarder';
import { Gate } from './gate/gate';
import { Askers } from './gate/askers';
import { DatabaseHoldStore } from './gate/hold-store';
import { KeptAnswers } from './gate/kept-answers';
import { openTickStore } from './gate/tick/open-tick-store';
import { Authenticator } from './gate/authenticator';
import { Sweep } from './gate/sweep';
import { DatabaseSweepStore } from './gate/sweep-store';
import { contextAgain, contextOf, contextOfSomebody } from './graphql/context';
import { RegisteredOperations } from './graphql-server/operations';
import { graphqlForm, registerGraphQL, type GraphQLDeps } from './graphql-server/server';
import { sourceOf, streamSourceOf } from './graphql-server/session-cookie';
import type { Background } from './lib/background';
import { boundLines } from './lib/bounded-log';
import { loggableError } from './lib/loggable';
import type { Repeated } from './lib/repeated';
import { processTime } from './lib/time';
import { endConsentsOf } from './oauth/consent.service';
import { OAuthToken } from './oauth/token.entity';
import { createOAuthServices, type OAuthServices } from './oauth/services';
import { oauthErrorPage, oauthForm, registerConsentPages, registerOAuthEndpoints } from './pages/oauth.server';
import { pageForm, registerPages } from './pages/server';
import { ArrivingBodies, requirePlainBody } from './rest/arriving-bodies';
import { ClientAddresses, LOOPBACK } from './rest/client-address';
import { registerCors } from './rest/cors';
import { RoutedServer } from './rest/forward/routed-server';
import { createServer, prepareAnswers } from './rest/http';
import { registerRest } from './rest/server';
import { UnreadAnswers } from './rest/unread-answers';
import { httpStatusOf } from './rest/status';
import type { AnswerForm, Unparsed } from './rest/unparsed';
import { openApiDocument } from './rest/openapi/document';
import { RouteFollower } from './routes/route-follower';
import { RotationWatch } from './service-accounts/rotation-watch';
import { Workspace } from './tenancy/workspace.entity';
import { createSchema, docsOf } from './schema';
import { createServices, type Services } from './services';

// The composition root: calls every constructor. Only this file, schema.ts and services.ts know all features.

export interface AppDeps {
  config: Config;
  /** Open and migrated. The caller closes it after the app. */
  database: Database;
  installation: Installation;
  /** Receives the log, one line of JSON per call. */
  log: { write(line: string): void };
}

export interface App {
  /** Not listening yet; `inject` works. Closing it waits for the calls in flight. */
  server: FastifyInstance;
  services: Services;
  people: PeopleServices;
  oauth: OAuthServices;
  authenticator: Authenticator;
  gate: Gate;
  sweep: Sweep;
  sealer: Sealer;
  rotations: RotationWatch;
  /** Has the table of routes. */
  routes: RouteFollower;
  idempotency: Idempotency;
  /** The jobs that delete expired answers of mutations and expired OAuth tokens. */
  forgetters: Repeated[];
  /** All repeated jobs of the process, not started yet. */
  jobs: Repeated[];
}

/** What the steps below share. */
interface Base extends Omit<AppDeps, 'log'> {
  server: FastifyInstance;
  log: Logger;
}

/** Builds the whole application on an open database. It does not listen on a port yet. */
export async function createApp({ config, database, installation, log: destination }: AppDeps): Promise<App> {
  const isOfOutage = (error: unknown) => isOutage(error) || isOutage((error as Error | undefined)?.cause);
  const hooks = { logMethod: boundLines(isOfOutage) };
  const log = pino({ level: config.logLevel, serializers: { err: loggableError }, hooks }, destination);
  const routes = new RouteFollower({ database, actionNames: (ids) => services.actions.namesOf(ids), log });
  const services = createServices(database, installation.digest, () => routes.reload().catch(() => undefined)); // else its next poll reads
  await services.actions.ensureBuiltIns();
  await routes.reload();
  const server = createServer(config, formOf);
  const base: Base = { config, database, installation, server, log };
  warnAboutPublicUrl(base);

  const people = createPeople(base, (tx, id) => authenticator.byId(tx, id));
  const oauth = createOAuth(base, services, people);
  const { gate, closeGate } = await createGate(base);
  const authenticator = new Authenticator({
    database,
    digest: installation.digest,
    lookUps: gate.lookUps,
    sessions: people.sessions,
    consents: oauth.consents,
    countUnknown: () => gate.countUnknown(),
  });
  const chainKeys = new ChainKeys(new Sealed(installation.pepper, 'audit chain'));
  const workers = createJobs(base, gate, chainKeys);
  const jobs = [...workers.jobs, routes];
  stopOnClose(base, jobs, closeGate, people.background);
  const idempotency = new Idempotency({ database, digest: installation.digest });
  const app: App = { server, services, people, oauth, authenticator, gate, idempotency, routes, ...workers, jobs };
  const tokens = await PrincipalTokens.open(installation.pepper, baseUrlOf(base));
  await registerServers(base, app, chainKeys, tokens);
  serveRoutes(base, app, tokens);
  await server.ready();
  return app;
}

function warnAboutPublicUrl({ config, server, log }: Base): void {
  const warning = warningOf(config);
  if (warning !== undefined) server.addHook('onListen', async () => log.warn(warning));
}

/** Returns a function that gives the URL of this server for clients: PUBLIC_URL, otherwise the address that it listens on. */
function baseUrlOf({ config, server }: Base): () => string {
  let address: string | undefined;
  return () => config.publicUrl ?? (address ??= addressOf(server)); // it never changes, and Node asks the system each time
}

function createPeople(base: Base, actorById: PeopleDeps['actorById']): PeopleServices {
  const { config, database, installation, log } = base;
  return createPeopleServices({
    database,
    pepper: installation.pepper,
    digest: installation.digest,
    mail: config.mail,
    baseUrl: baseUrlOf(base),
    actorById,
    endConsents: endConsentsOf,
    log,
  });
}

function createOAuth(base: Base, services: Services, people: PeopleServices): OAuthServices {
  const { database, installation, log } = base;
  return createOAuthServices({
    database,
    pepper: installation.pepper,
    digest: installation.digest,
    baseUrl: baseUrlOf(base),
    permissions: () => services.actions.permissions(database.lookups),
    principalOfSession: (tx, id) => people.sessions.principalById(tx, id),
    errorPage: oauthErrorPage,
    background: people.background,
    log,
  });
}

/** Opens the gate. `closeGate` waits for its calls in flight and closes its connections. */
async function createGate({ config, database, installation, log }: Base): Promise<{ gate: Gate; closeGate(): Promise<void> }> {
  const runner = new ActionRunner({ signingSecrets: installation.signingSecrets });
  const store = await openTickStore(database, log);
  const keptAnswers = new KeptAnswers(database.lookups, log);
  const gate = new Gate({
    store,
    time: processTime,
    runner,
    digest: installation.digest,
    keptAnswer: (claim) => keptAnswers.of(claim),
    database,
    holdStore: new DatabaseHoldStore(database.lookups),
    httpStatusOf,
    limits: {
      maxCalls: config.maxCallsInFlight,
      maxBytes: config.maxBytesInFlight,
      maxBytesEach: Math.max(config.bodyLimitBytes, config.maxBytesInFlight / 4),
    },
    log,
  });
  const closeGate = async () => {
    await gate.close();
    await runner.close();
    await store.close();
  };
  return { gate, closeGate };
}

function createJobs({ database, log }: Base, gate: Gate, chainKeys: ChainKeys) {
  const sweep = new Sweep({ store: new DatabaseSweepStore(database), ticker: gate.ticker, time: processTime, log });
  const sealer = new Sealer({ database, keys: chainKeys, log });
  const rotations = new RotationWatch({ database, log });
  const forgetters: Repeated[] = [IdempotencyKey, OAuthToken].map((entity) => new Forgetter({ database, log, entity }));
  const jobs: Repeated[] = [rotations, sealer, ...forgetters, sweep];
  return { sweep, sealer, rotations, forgetters, jobs };
}

/** On close: stops the jobs, then the gate, then waits for background work. The order matters because the sweep uses the gate. */
function stopOnClose({ server }: Base, jobs: Repeated[], closeGate: () => Promise<void>, background: Background): void {
  server.addHook('onClose', async () => {
    for (const job of jobs) await job.stop();
    await closeGate();
    await background.idle();
  });
}

/** Registers all routes: REST, the manual, GraphQL, pages, OAuth. The order decides the order of hooks. */
async function registerServers(base: Base, app: App, chainKeys: ChainKeys, tokens: PrincipalTokens): Promise<void> {
  const { config, database, installation, server, log } = base;
  const answers = new UnreadAnswers(server);
  prepareAnswers(server, { bodyLimitBytes: config.bodyLimitBytes, log });
  await registerCors(server, config.corsOrigins);
  const bodies = new ArrivingBodies();
  registerRest(server, {
    gate: app.gate,
    authenticator: app.authenticator,
    askers: new Askers({ authentication: app.authenticator, digest: installation.digest }),
    bodies,
    database,
    log,
    readTrail: (request) => readTrail(database.reader, request),
    hasWorkspace: (id) => database.reader.existsBy(Workspace, { id }),
    ping: () => database.ping(),
    openApi: openApiDocument(config.publicUrl),
    principalKeys: tokens.keySet,
  });
  const { services, people, oauth } = app;
  const schema = createSchema({ services, people, oauth, database, chainKeys });
  const file = config.graphqlOperations;
  const operations = file === undefined ? undefined : await RegisteredOperations.read(file, schema);
  const showsSchema = config.graphqlIntrospection && !operations;
  registerDocs(server, docsOf(showsSchema ? schema : new GraphQLSchema({})));
  await registerAdminApi(base, app, { schema, operations, bodies });
  await registerBrowserPages(base, app, bodies);
  await server.register(async (last) => answers.waitOnStop(last));
}

/** Lets requests that match a route go to their upstreams. Call it after all other listeners of the server are registered. */
function serveRoutes({ config, database, installation, server, log }: Base, { gate, routes }: App, tokens: PrincipalTokens): void {
  const { session, device } = browserCookies(config.publicUrl);
  const forwarder = new Forwarder({
    ownCookies: [session.name, device.name],
    loopId: `tollgate-${installation.digest('tollgate loop').slice(0, 16)}`,
  });
  const routed = new RoutedServer({
    gate,
    follower: routes,
    forwarder,
    tokens,
    addresses: new ClientAddresses(config.trustedProxies),
    proxies: new ClientAddresses([...config.trustedProxies, ...LOOPBACK]),
    owners: gate.bodyOwners(() => database.now()),
    bodyLimitBytes: config.bodyLimitBytes,
    corsOrigins: config.corsOrigins,
    log,
  });
  routed.takeOver(server.server);
  server.addHook('preClose', async () => {
    await routed.stop();
    await forwarder.close(); // cuts the calls that are still running, so that the gate can close
  });
}

interface AdminApi extends Pick<GraphQLDeps, 'schema' | 'operations'> {
  bodies: ArrivingBodies;
}

async function registerAdminApi(base: Base, app: App, { schema, operations, bodies }: AdminApi): Promise<void> {
  const { config, database, server, log } = base;
  const contextDeps = { authenticator: app.authenticator, database, trustedOrigins: trustedOrigins(config) };
  const cookies = browserCookies(config.publicUrl);
  await server.register(async (browsers) => {
    await browsers.register(cookie);
    await registerGraphQL(browsers, {
      schema,
      idempotency: app.idempotency,
      operations,
      log,
      admitBody: (request, reply, payload) =>
        bodies.admit(request, reply, payload, async () => (await contextOf(streamSourceOf(request, cookies), contextDeps)).principal),
      contextOf: (request, reply) => contextOf(sourceOf(request, reply, cookies), contextDeps),
      introspection: config.graphqlIntrospection,
      batching: config.graphqlBatching,
      streams: {
        recognise: (request, credentials) => contextOfSomebody(streamSourceOf(request, cookies, credentials), contextDeps),
        again: (viewer, request, credentials) => contextAgain(viewer, streamSourceOf(request, cookies, credentials), contextDeps),
      },
    });
  });
}

/** Registers the pages for browsers and the endpoints of OAuth. */
async function registerBrowserPages({ config, database, server, log }: Base, app: App, bodies: ArrivingBodies): Promise<void> {
  const { people, oauth, authenticator } = app;
  const shared = {
    cookies: browserCookies(config.publicUrl),
    identifySession: (token: string) => authenticator.bySession(token),
    httpStatusOf,
    isOutage,
    log,
  };
  const oauthPages = {
    ...shared,
    oauth,
    admitBody: bodies.admitUnknown.bind(bodies),
    signIns: people.signIns,
    sessions: people.sessions,
    emailOf: async (id: string) => (await database.reader.findOneByOrFail(Person, { id })).email,
  };
  await server.register(async (pages) => {
    await pages.register(cookie);
    const { invitations, passwords } = people;
    await registerPages(pages, { ...shared, requirePlainBody, invitations, passwords, trustedOrigins: trustedOrigins(config) });
    registerConsentPages(pages, oauthPages);
  });
  await server.register(async (endpoints) => registerOAuthEndpoints(endpoints, oauthPages));
}

/** The form of an error answer for a request that no route has seen, by its path. Undefined for the form of REST. */
function formOf(url: string, { message }: Unparsed): AnswerForm | undefined {
  if (url.startsWith('/graphql')) return graphqlForm(message);
  if (/^\/(invitation|reset-password|oauth\/(consent|authorize))\b/.test(url)) return pageForm(message);
  return url.startsWith('/oauth/') ? oauthForm(message) : undefined;
}

/** The URL of a host name, an IPv4 address or an IPv6 address. */
export const urlOf = (host: string, port: number): string => `http://${host.includes(':') ? `[${host}]` : host}:${port}`;

/** The URL that a server listens on. */
function addressOf({ server }: FastifyInstance): string {
  const { address, port } = server.address() as AddressInfo;
  return urlOf(address, port);
}
