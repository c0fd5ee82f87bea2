import { ApolloServer } from '@apollo/server';
import { ApolloServerPluginLandingPageDisabled } from '@apollo/server/plugin/disabled';
import { fastifyApolloHandler } from '@as-integrations/fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, RequestPayload } from 'fastify';
import { GraphQLError, NoSchemaIntrospectionCustomRule, type GraphQLFormattedError, type GraphQLSchema } from 'graphql';
import type { Logger } from 'pino';
import type { Idempotency } from '../access/idempotency';
import { TollgateError } from '../errors';
import { graphiqlPage, registerGraphiqlAssets } from '../graphiql/graphiql';
import type { GraphQLContext } from '../graphql/context';
import { formatError, toGraphQLError, translated, type GraphQLFailure } from '../graphql/errors';
import { MAX_DOCUMENT_ERRORS, MAX_TOKENS } from '../graphql/limits';
import { admissionPlugin } from './admission-plugin';
import { boundExecution } from './bounded-execution';
import { readCallersAnew } from './callers-anew';
import { executionPlugin } from './execution-plugin';
import { requireUnforged } from './forged';
import { idempotencyPlugin } from './idempotency-plugin';
import { invalidRequest, parseJsonStrictly } from './json-bodies';
import { unregistered, type RegisteredOperations } from './operations';
import { PersistedDocuments, persistOnlyForKnown } from './persisted-documents';
import { QueryCosts } from './point-budgets';
import { screen } from './screening';
import { registerStreams, type StreamsDeps } from './streams/register';

/** The largest GraphQL request, in bytes. */
const GRAPHQL_BODY_LIMIT_BYTES = 1_048_576;

export interface GraphQLDeps {
  schema: GraphQLSchema;
  idempotency: Idempotency;
  /** If set, only these operations may run. */
  operations: RegisteredOperations | undefined;
  log: Logger;
  /** Authenticates a request. Rejects with UNAUTHENTICATED for a wrong credential, even if the operation is public. */
  contextOf(request: FastifyRequest, reply: FastifyReply): Promise<GraphQLContext>;
  /** Runs before parsing. Reserves memory for the body on the sender's account, and returns the stream to read the body from. */
  admitBody(request: FastifyRequest, reply: FastifyReply, payload: RequestPayload): Promise<RequestPayload>;
  /** Authentication for streams. */
  streams: Pick<StreamsDeps, 'recognise' | 'again'>;
  /** Whether introspection is allowed. */
  introspection: boolean;
  /** Whether a request may be an array of operations. */
  batching: boolean;
}

/** What the parts of the server share. */
interface Parts extends GraphQLDeps {
  costs: QueryCosts;
  /** Logs an unexpected error. */
  report(cause: unknown): void;
  /** Formats an error for the caller. */
  tell(error: GraphQLError): GraphQLFormattedError;
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

/** Serves `/graphql`: queries, mutations and subscriptions for admin frontends, and GraphiQL for browsers. */
export async function registerGraphQL(app: FastifyInstance, deps: GraphQLDeps): Promise<void> {
  const report = (cause: unknown) => deps.log.warn({ err: cause }, 'graphql: an operation failed');
  const tell = (error: GraphQLError) => formatError(error.toJSON(), error, report);
  const parts: Parts = { ...deps, costs: new QueryCosts(), report, tell };
  readCallersAnew(deps.schema);
  boundExecution(deps.schema);
  const apollo = apolloOf(parts);
  await apollo.start();
  app.addHook('onClose', () => apollo.stop());
  registerGraphiqlAssets(app);
  parseJsonStrictly(app);
  app.setErrorHandler(failureHandler(parts));
  const body = { bodyLimit: GRAPHQL_BODY_LIMIT_BYTES, preParsing: deps.admitBody };
  const takeSocket = await registerStreams(app, { ...deps.streams, schema: deps.schema, rules: documentRules(parts), body, tell, report });
  const execute = operationHandler(app, apollo, parts);
  app.route({ method: 'GET', url: '/graphql', onSend: forbidStore, wsHandler: takeSocket, handler: pageOr(execute, deps.operations) });
  app.post('/graphql', { ...body, onSend: forbidStore }, execute);
}

function apolloOf(parts: Parts): ApolloServer<GraphQLContext> {
  const { schema, idempotency, operations, log, introspection, batching, costs, report, tell } = parts;
  return new ApolloServer<GraphQLContext>({
    schema,
    introspection: true, // if it is disabled, the validation rule below refuses it
    validationRules: introspection ? [] : [NoSchemaIntrospectionCustomRule],
    validationOptions: { maxErrors: MAX_DOCUMENT_ERRORS },
    hideSchemaDetailsFromClientErrors: !introspection,
    allowBatchedHttpRequests: batching,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false, // the process stops itself after the calls in flight have finished
    parseOptions: { maxTokens: MAX_TOKENS },
    csrfPrevention: false, // requireUnforged checks it: only requests with a cookie can be forged
    persistedQueries: { cache: new PersistedDocuments() },
    formatError: (formatted, error) => formatError(formatted, error, report),
    plugins: [
      ...(operations ? [operations.plugin()] : []),
      admissionPlugin(costs),
      persistOnlyForKnown(),
      // After all plugins that may refuse an operation
      idempotencyPlugin({ idempotency, report: (error, message) => log.warn({ err: error }, message) }),
      executionPlugin(tell),
      ApolloServerPluginLandingPageDisabled(),
    ],
    logger: toApolloLogger(log),
  });
}

/** The rules for the documents of streams, which do not pass through Apollo. */
function documentRules({ operations, introspection, costs }: Parts): StreamsDeps['rules'] {
  return {
    documentOf: ({ query, extensions }) => (operations ? operations.require(query, extensions) : query),
    payForReading: (tokens, viewer) => costs.payForReading(tokens, viewer),
    priceOf: (asked, viewer) => {
      const estimate = costs.estimate(asked, viewer);
      const { plan } = estimate;
      return { plan, pay: () => costs.pay(estimate), settle: (data, execution) => costs.settle(estimate, data, execution) };
    },
    tellsSchema: introspection,
  };
}

/** Executes the operations of a request: authenticates it, screens it, and passes it to Apollo. */
function operationHandler(app: FastifyInstance, apollo: ApolloServer<GraphQLContext>, { contextOf, schema, costs }: Parts): Handler {
  const execute = fastifyApolloHandler(apollo, {
    context: async (request, reply) => {
      const context = await contextOf(request, reply);
      await context.work.turn();
      try {
        screen(request, context, schema, costs);
      } catch (error) {
        throw translated(error); // Apollo expects a GraphQLError
      }
      return context;
    },
  });
  return async (request, reply) => {
    requireUnforged(request.headers);
    return execute.call(app, request, reply);
  };
}

/** Sends GraphiQL to a browser that opens the page, and executes all other requests. */
function pageOr(execute: Handler, operations: RegisteredOperations | undefined): Handler {
  return async (request, reply) => {
    if (!isPageView(request)) return execute(request, reply);
    if (operations) throw unregistered(); // GraphiQL sends operations that are not registered
    const { html, headers } = graphiqlPage();
    return reply.headers(headers).send(html);
  };
}

/** True if a browser opens the page. False if a client sends an operation. */
function isPageView({ headers, query }: FastifyRequest): boolean {
  return (headers.accept ?? '').includes('text/html') && !('query' in (query as object)) && !('extensions' in (query as object));
}

/** Forbids caching. Runs in onSend, because Apollo sets its own Cache-Control for some answers. */
async function forbidStore(_request: FastifyRequest, reply: FastifyReply): Promise<void> {
  void reply.header('cache-control', 'no-store');
}

/** Answers errors that occur outside Apollo, in the form of GraphQL. */
function failureHandler({ log, report }: Parts) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const failure = error instanceof GraphQLError ? (error as GraphQLFailure) : toGraphQLError(failureOf(error as FastifyError));
    const { message, extensions } = failure;
    if (extensions.code === 'INTERNAL') log.error({ err: error, requestId: request.requestId }, 'graphql: request failed');
    if (failure.originalError) report(failure.originalError);
    const { http, ...told } = extensions;
    return reply
      .code((error as FastifyError).statusCode ?? http.status)
      .headers(Object.fromEntries(http.headers))
      .type('application/json')
      .send({ errors: [{ message, extensions: told }] });
  };
}

/** Translates an error that Fastify raised before Apollo got the request. */
function failureOf(error: FastifyError): TollgateError {
  if (error instanceof TollgateError) return error;
  const { statusCode: status = 500 } = error;
  if (status >= 500) return new TollgateError('INTERNAL');
  if (status === 413) return invalidRequest(`The request is larger than ${GRAPHQL_BODY_LIMIT_BYTES} bytes. Send a smaller one.`);
  if (status === 415) return invalidRequest('Send the request as application/json.');
  return invalidRequest('The request is not valid JSON.');
}

function toApolloLogger(log: Logger) {
  return {
    debug: (message: unknown) => log.debug(String(message)),
    info: (message: unknown) => log.debug(String(message)),
    warn: (message: unknown) => log.warn(String(message)),
    error: (message: unknown) => log.error(String(message)),
  };
}

/** The GraphQL form of the answer to a request that reached no route. */
export const graphqlForm = (message: string): { headers: Record<string, string>; body: string } => ({
  headers: { 'content-type': 'application/json; charset=utf-8' },
  body: JSON.stringify({ errors: [{ message, extensions: { code: 'INVALID_REQUEST', issues: [{ path: [], message }] } }] }),
});
