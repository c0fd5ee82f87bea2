import { ApolloServer, type ApolloServerPlugin } from '@apollo/server';
import { ApolloServerPluginLandingPageDisabled } from '@apollo/server/plugin/disabled';
import { fastifyApolloHandler } from '@as-integrations/fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, RequestPayload } from 'fastify';
import { GraphQLError, NoSchemaIntrospectionCustomRule, type GraphQLSchema, type OperationDefinitionNode } from 'graphql';
import type { Logger } from 'pino';
import type { Idempotency } from '../access/idempotency';
import { TollgateError, invalid, type Issue } from '../errors';
import { boundExecution } from './bounded-execution';
import { TooManyValues, hasInexactNumber, requireFewParts } from '../lib/json-text';
import { readCallersAnew } from './callers-anew';
import type { Cost } from '../graphql/query-plan';
import { FROM_ELSEWHERE, NO_STREAM, type GraphQLContext } from '../graphql/context';
import { formatError, toGraphQLError, translated, type GraphQLFailure } from '../graphql/errors';
import { executionPlugin } from './execution-plugin';
import { requireUnforged } from './forged';
import { graphiqlPage, registerGraphiqlAssets } from '../graphiql/graphiql';
import { idempotencyPlugin } from './idempotency-plugin';
import { MAX_DOCUMENT_ERRORS, MAX_TOKENS, tooManyValues } from '../graphql/limits';
import { unregistered, type RegisteredOperations } from './operations';
import { PersistedDocuments, persistOnlyForKnown } from './persisted-documents';
import { hasPublicMutation, isPublicOperation } from './public-mutations';
import { QueryCosts, type Estimate } from './point-budgets';
import { screen } from './screening';
import { registerStreams, type StreamsDeps } from './streams/register';
import { variableIssues } from './variables';
import { Execution } from '../graphql/work';

const INEXACT_NUMBER =
  'A number in the request does not fit a 64-bit float exactly. Send fewer digits, or a number in the range of a 64-bit float.';
/** The most commas outside strings in a request. Bounds the numbers to check for lost digits. A request within MAX_VALUES has fewer. */
const MAX_BODY_COMMAS = 20_000;
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

/** Serves `/graphql`: queries, mutations and subscriptions for admin frontends, and GraphiQL for browsers. */
export async function registerGraphQL(
  app: FastifyInstance,
  { schema, idempotency, operations, log, contextOf, admitBody, introspection, batching, streams }: GraphQLDeps,
): Promise<void> {
  const report = (cause: unknown) => log.warn({ err: cause }, 'graphql: an operation failed');
  const tell = (error: GraphQLError) => formatError(error.toJSON(), error, report);
  const costs = new QueryCosts();
  readCallersAnew(schema);
  boundExecution(schema);
  const apollo = new ApolloServer<GraphQLContext>({
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
      beforeExecution(costs),
      persistOnlyForKnown(),
      // After all plugins that may refuse an operation
      idempotencyPlugin({ idempotency, report: (error, message) => log.warn({ err: error }, message) }),
      executionPlugin(tell),
      ApolloServerPluginLandingPageDisabled(),
    ],
    logger: toApolloLogger(log),
  });
  await apollo.start();
  app.addHook('onClose', () => apollo.stop());

  const handler = fastifyApolloHandler(apollo, {
    context: async (request, reply) => {
      const context = await contextOf(request, reply);
      await context.work.turn();
      screenOf(request, context, schema, costs);
      return context;
    },
  });
  registerGraphiqlAssets(app);
  parseJsonStrictly(app);
  app.setErrorHandler((error, request, reply) => {
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
  });
  const body = { bodyLimit: GRAPHQL_BODY_LIMIT_BYTES, preParsing: admitBody };
  const takeSocket = await registerStreams(app, {
    ...streams,
    schema,
    rules: {
      documentOf: ({ query, extensions }) => (operations ? operations.require(query, extensions) : query),
      payForReading: (tokens, viewer) => costs.payForReading(tokens, viewer),
      priceOf: (asked, viewer) => {
        const estimate = costs.estimate(asked, viewer);
        const { plan } = estimate;
        return { plan, pay: () => costs.pay(estimate), settle: (data, execution) => costs.settle(estimate, data, execution) };
      },
      tellsSchema: introspection,
    },
    body,
    tell,
    report,
  });
  app.route({
    method: 'GET',
    url: '/graphql',
    onSend: forbidStore,
    wsHandler: takeSocket,
    handler: async (request, reply) => {
      if (isPageView(request)) {
        if (operations) throw unregistered(); // GraphiQL sends operations that are not registered
        const { html, headers } = graphiqlPage();
        return reply.headers(headers).send(html);
      }
      requireUnforged(request.headers);
      return handler.call(app, request, reply);
    },
  });
  app.post('/graphql', { ...body, onSend: forbidStore }, async (request, reply) => {
    requireUnforged(request.headers);
    return handler.call(app, request, reply);
  });
}

/** Refuses a JSON body with a number that JavaScript would round, or with so many parts that parsing would block other requests. */
function parseJsonStrictly(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body: string, done) => {
    try {
      requireFewParts(body, MAX_BODY_COMMAS);
    } catch (error) {
      if (error instanceof TooManyValues) return done(tooManyValues(MAX_BODY_COMMAS));
      return done(invalidRequest(`The request ${(error as Error).message}.`));
    }
    void parse(request, body, (error, value) => {
      if (error) done(error);
      else if (hasInexactNumber(body)) done(invalidRequest(INEXACT_NUMBER));
      else done(null, value);
    });
  });
}

/** True if a browser opens the page. False if a client sends an operation. */
function isPageView({ headers, query }: FastifyRequest): boolean {
  return (headers.accept ?? '').includes('text/html') && !('query' in (query as object)) && !('extensions' in (query as object));
}

/** Forbids caching. Runs in onSend, because Apollo sets its own Cache-Control for some answers. */
async function forbidStore(_request: FastifyRequest, reply: FastifyReply): Promise<void> {
  void reply.header('cache-control', 'no-store');
}

/** Screens a request before Apollo parses it. Throws a GraphQLError, as Apollo expects from its context function. */
function screenOf(request: FastifyRequest, context: GraphQLContext, schema: GraphQLSchema, costs: QueryCosts): void {
  try {
    screen(request, context, schema, costs);
  } catch (error) {
    throw translated(error);
  }
}

/**
 * Checks an operation before anything runs, so that a refusal is a plain 401, 403, 400 or 429:
 * - Without a credential only introspection and the public mutations are allowed.
 * - A page of another site may not send public mutations.
 * - Variables must have the declared types.
 * - The payer must have the points that the operation may cost.
 */
function beforeExecution(costs: QueryCosts): ApolloServerPlugin<GraphQLContext> {
  return {
    requestDidStart: async () => {
      let estimate: Estimate | undefined;
      return {
        didResolveOperation: async ({ contextValue, operation, document, schema, request: { variables = {} } }) => {
          try {
            if (operation && contextValue.principal === null && !isPublicOperation(operation, document)) {
              throw new TollgateError('MISSING_API_KEY');
            }
            if (operation && !contextValue.isFromHere && hasPublicMutation(operation, document)) {
              throw new TollgateError('FORBIDDEN', FROM_ELSEWHERE);
            }
            const issues = operationIssues(schema, operation, variables);
            if (issues.length > 0) throw invalid(...issues);
            if (!operation) return; // Apollo reports it
            const asked = costs.estimate({ schema, document, operation, variables }, contextValue);
            costs.pay(asked);
            estimate = asked;
            contextValue.execution = new Execution(contextValue.work, asked.plan);
          } catch (error) {
            throw translated(error);
          }
        },
        willSendResponse: async ({ response: { body, http }, errors, contextValue }) => {
          if (body.kind !== 'single') return;
          const { singleResult } = body;
          const { excess } = contextValue.work;
          if (excess) {
            const { code, limits } = excess.extensions;
            Object.assign(singleResult, { data: undefined, errors: [{ message: excess.message, extensions: { code, limits } }] });
            http.status = 400;
          }
          const refusedAt = errors?.[0]?.extensions.cost as Cost | undefined;
          const cost = estimate ? costs.settle(estimate, singleResult.data, contextValue.execution) : refusedAt;
          if (cost) singleResult.extensions = { ...singleResult.extensions, cost };
        },
      };
    },
  };
}

function operationIssues(
  schema: GraphQLSchema,
  operation: OperationDefinitionNode | undefined,
  variables: Record<string, unknown>,
): Issue[] {
  if (!operation) return []; // Apollo reports it
  if (operation.operation === 'subscription') return [{ path: [], message: NO_STREAM }];
  if (!schema.getRootType(operation.operation)) return [{ path: [], message: `The schema has no ${operation.operation}.` }];
  return variableIssues(schema, operation, variables);
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

const invalidRequest = (message: string): TollgateError =>
  new TollgateError('INVALID_REQUEST', message, { issues: [{ path: [], message }] });

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
