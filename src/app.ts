import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import cookie from '@fastify/cookie';
import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';
import { GraphQLSchema } from 'graphql';
import { pino } from 'pino';
import { Idempotency } from './access/idempotency';
import { IdempotencyKey } from './access/idempotency-key.entity';
import type { Installation } from './access/installation';
import { createPeopleServices, type PeopleServices } from './access/people-services';
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
import { Gate } from './gate/gate';
import { KeptAnswers } from './gate/kept-answers';
import { openTickStore } from './gate/open-tick-store';
import { Principals } from './gate/principals';
import { Sweep } from './gate/sweep';
import { DatabaseSweepStore } from './gate/sweep-store';
import { contextAgain, contextOf, contextOfSomebody } from './graphql/context';
import { RegisteredOperations } from './graphql/operations';
import { graphqlForm, registerGraphQL } from './graphql/server';
import { sourceOf, streamSourceOf } from './graphql/session-cookie';
import { loggableError } from './lib/loggable';
import type { Repeated } from './lib/repeated';
import { processTime } from './lib/time';
import { endConsentsOf } from './oauth/consent.service';
import { OAuthToken } from './oauth/token.entity';
import { createOAuthServices, type OAuthServices } from './oauth/services';
import { oauthErrorPage, oauthForm, registerConsentPages, registerOAuthEndpoints } from './pages/oauth.server';
import { pageForm, registerPages } from './pages/server';
import { ArrivingBodies, requirePlainBody } from './rest/arriving-bodies';
import { createServer, prepareAnswers } from './rest/http';
import { registerRest } from './rest/server';
import { UnreadAnswers } from './rest/unread-answers';
import { httpStatusOf } from './rest/status';
import type { AnswerForm, Unparsed } from './rest/unparsed';
import { openApiDocument } from './rest/openapi';
import { RotationWatch } from './service-accounts/rotation-watch';
import { Workspace } from './tenancy/workspace.entity';
import { createSchema, docsOf } from './schema';
import { createServices, type Services } from './services';

// The composition root: everything is made here, by plain constructor calls, and nothing else knows everyone.

export interface AppDeps {
  config: Config;
  /** Open and migrated; closing it is for whoever opened it. */
  database: Database;
  installation: Installation;
  /** Takes the log, a line of JSON at a time. */
  log: { write(line: string): void };
}

export interface App {
  /** Not listening yet; `inject` works. Closing it finishes the calls in flight. */
  server: FastifyInstance;
  services: Services;
  people: PeopleServices;
  oauth: OAuthServices;
  principals: Principals;
  gate: Gate;
  sweep: Sweep;
  sealer: Sealer;
  rotations: RotationWatch;
  idempotency: Idempotency;
  /** Of the answers of mutations, and of what OAuth has handed out. */
  forgetters: Repeated[];
  /** All that the process does again and again. */
  jobs: Repeated[];
}

/** The whole application on an open database, without a port. */
export async function createApp({ config, database, installation, log: destination }: AppDeps): Promise<App> {
  const log = pino({ level: config.logLevel, serializers: { err: loggableError } }, destination);
  const { pepper, digest } = installation;
  const services = createServices(database, digest);
  await services.actions.ensureBuiltIns();

  const server = createServer(config, formOf);
  const warning = warningOf(config);
  if (warning !== undefined) server.addHook('onListen', async () => log.warn(warning));
  const people: PeopleServices = createPeopleServices({
    database,
    pepper,
    digest,
    mail: config.mail,
    baseUrl: () => config.publicUrl ?? addressOf(server),
    actorById: (tx, id) => principals.byId(tx, id),
    endConsents: endConsentsOf,
    log,
  });
  const oauth = createOAuthServices({
    database,
    pepper,
    digest,
    baseUrl: () => config.publicUrl ?? addressOf(server),
    permissions: () => services.actions.permissions(database.lookups),
    principalOfSession: (tx, id) => people.sessions.principalById(tx, id),
    errorPage: oauthErrorPage,
    background: people.background,
    log,
  });
  const runner = new ActionRunner({ signingSecrets: installation.signingSecrets });
  const store = await openTickStore(database, log);
  const keptAnswers = new KeptAnswers(database.lookups);
  const gate = new Gate({
    store,
    time: processTime,
    runner,
    digest,
    keptAnswer: (claim) => keptAnswers.of(claim),
    httpStatusOf,
    limits: { maxCalls: config.maxCallsInFlight, maxBytes: config.maxBytesInFlight, maxBytesEach: Math.max(config.bodyLimitBytes, config.maxBytesInFlight / 4) },
    log,
  });
  const principals = new Principals({ database, digest, lookUps: gate.lookUps, sessions: people.sessions, consents: oauth.consents, countUnknown: () => gate.countUnknown() });
  const sweep = new Sweep({ store: new DatabaseSweepStore(database), ticker: gate.ticker, time: processTime, log });
  const chainKeys = new ChainKeys(new Sealed(pepper, 'audit chain'));
  const sealer = new Sealer({ database, keys: chainKeys, log });
  const rotations = new RotationWatch({ database, log });
  const idempotency = new Idempotency({ database, digest });
  const forgetters = [IdempotencyKey, OAuthToken].map((entity) => new Forgetter({ database, log, entity }));
  const jobs = [rotations, sealer, ...forgetters, sweep];
  server.addHook('onClose', async () => {
    for (const job of jobs) await job.stop();
    await gate.close();
    await runner.close();
    await store.close();
    await people.background.idle();
  });

  const answers = new UnreadAnswers(server);
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
    principals,
    database,
    log,
    readTrail: (request) => readTrail(database.reader, request),
    hasWorkspace: (id) => database.reader.existsBy(Workspace, { id }),
    ping: () => database.ping(),
    openApi: openApiDocument(),
  });
  const schema = createSchema({ services, people, oauth, database, chainKeys });
  const operations = config.graphqlOperations === undefined ? undefined : await RegisteredOperations.read(config.graphqlOperations, schema);
  const tellsSchema = config.graphqlIntrospection && !operations;
  registerDocs(server, docsOf(tellsSchema ? schema : new GraphQLSchema({})));
  const contextDeps = { principals, database, trustedOrigins: trustedOrigins(config) };
  const cookies = browserCookies(config.publicUrl);
  const identifySession = (token: string) => principals.bySession(token);
  const emailOf = async (id: string) => (await database.reader.findOneByOrFail(Person, { id })).email;
  const bodies = new ArrivingBodies();
  const oauthPages = {
    oauth,
    admitBody: bodies.admitUnknown.bind(bodies),
    signIns: people.signIns,
    sessions: people.sessions,
    cookies,
    identifySession,
    emailOf,
    httpStatusOf,
    isOutage,
    log,
  };
  await server.register(async (browsers) => {
    await browsers.register(cookie);
    await registerGraphQL(browsers, {
      schema,
      idempotency,
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
  await server.register(async (pages) => {
    await pages.register(cookie);
    const { invitations, passwords } = people;
    const { trustedOrigins: trusted } = contextDeps;
    await registerPages(pages, {
      requirePlainBody,
      invitations,
      passwords,
      cookies,
      trustedOrigins: trusted,
      identifySession,
      httpStatusOf,
      isOutage,
      log,
    });
    registerConsentPages(pages, oauthPages);
  });
  await server.register(async (endpoints) => registerOAuthEndpoints(endpoints, oauthPages));
  await server.register(async (last) => answers.waitOnStop(last));
  await server.ready();
  return { server, services, people, oauth, principals, gate, sweep, sealer, idempotency, forgetters, rotations, jobs };
}

/** In which form the routes below an address say what is wrong with a request that none of them saw; undefined for REST. */
function formOf(url: string, { message }: Unparsed): AnswerForm | undefined {
  if (url.startsWith('/graphql')) return graphqlForm(message);
  if (/^\/(invitation|reset-password|oauth\/(consent|authorize))\b/.test(url)) return pageForm(message);
  return url.startsWith('/oauth/') ? oauthForm(message) : undefined;
}

/** The URL of a name, or of an address of either kind. */
export const urlOf = (host: string, port: number): string => `http://${host.includes(':') ? `[${host}]` : host}:${port}`;

/** Where a server listens, as far as it knows. */
function addressOf({ server }: FastifyInstance): string {
  const { address, port } = server.address() as AddressInfo;
  return urlOf(address, port);
}
