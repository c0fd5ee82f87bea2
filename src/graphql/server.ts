import { ApolloServer, type ApolloServerPlugin } from '@apollo/server';
import { ApolloServerPluginLandingPageDisabled } from '@apollo/server/plugin/disabled';
import { fastifyApolloHandler } from '@as-integrations/fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { GraphQLError, Kind, type DocumentNode, type GraphQLSchema, type OperationDefinitionNode, type SelectionSetNode } from 'graphql';
import type { Logger } from 'pino';
import { TollgateError, invalid, type Issue } from '../errors';
import { FROM_ELSEWHERE, NO_STREAM, type GraphQLContext } from './context';
import { formatError, toGraphQLError, type GraphQLFailure } from './errors';
import { graphiqlPage, registerGraphiqlAssets } from './graphiql';
import { PUBLIC_MUTATIONS } from './public-mutations';
import { registerStreams, type StreamsDeps } from './streams/register';
import { variableIssues } from './variables';

/** The longest document that is parsed, in tokens. */
const MAX_TOKENS = 10_000;
/** The largest GraphQL request, in bytes. */
const BODY_LIMIT_BYTES = 1_048_576;

export interface GraphQLDeps {
  schema: GraphQLSchema;
  log: Logger;
  /** Who asks; rejects with UNAUTHENTICATED for a wrong credential, whatever is asked. */
  contextOf(request: FastifyRequest, reply: FastifyReply): Promise<GraphQLContext>;
  /** The same for streams. */
  streams: Pick<StreamsDeps, 'recognise' | 'again'>;
}

/** `/graphql`: queries, mutations and subscriptions for admin frontends, GraphiQL for browsers. */
export async function registerGraphQL(app: FastifyInstance, { schema, log, contextOf, streams }: GraphQLDeps): Promise<void> {
  const report = (cause: unknown) => log.warn({ err: cause }, 'graphql: an operation failed');
  const apollo = new ApolloServer<GraphQLContext>({
    schema,
    introspection: true, // the docs load without a credential, in production too
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false, // the process stops itself, once calls in flight are done
    parseOptions: { maxTokens: MAX_TOKENS },
    csrfPrevention: { requestHeaders: ['x-apollo-operation-name', 'apollo-require-preflight', 'authorization', 'x-api-key'] },
    formatError: (formatted, error) => formatError(formatted, error, report),
    plugins: [beforeExecution(), ApolloServerPluginLandingPageDisabled()],
    logger: toApolloLogger(log),
  });
  await apollo.start();
  app.addHook('onClose', () => apollo.stop());

  const handler = fastifyApolloHandler(apollo, { context: contextOf });
  registerGraphiqlAssets(app);
  app.removeContentTypeParser('text/plain'); // a form of another site could send it
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
  const takeSocket = await registerStreams(app, {
    ...streams,
    schema,
    rules: { maxTokens: MAX_TOKENS },
    bodyLimit: BODY_LIMIT_BYTES,
    tell: (error) => formatError(error.toJSON(), error, report),
    report,
  });
  app.route({
    method: 'GET',
    url: '/graphql',
    onSend: forbidStore,
    wsHandler: takeSocket,
    handler: async (request, reply) => {
      if (isPageView(request)) {
        const { html, headers } = graphiqlPage();
        return reply.headers(headers).send(html);
      }
      return handler.call(app, request, reply);
    },
  });
  app.post('/graphql', { bodyLimit: BODY_LIMIT_BYTES, onSend: forbidStore }, handler);
}

/** A browser that opens the address, rather than a client that sends an operation. */
function isPageView({ headers, query }: FastifyRequest): boolean {
  return (headers.accept ?? '').includes('text/html') && !('query' in (query as object)) && !('extensions' in (query as object));
}

/** Apollo has a word of its own on caches for some answers. */
async function forbidStore(_request: FastifyRequest, reply: FastifyReply): Promise<void> {
  void reply.header('cache-control', 'no-store');
}

/**
 * Without a credential only the schema and the public mutations can be asked for, these by no page of another site, and variables have to be
 * of their types. Decided before anything runs, so that the answer is a plain 401, 403 or 400.
 */
function beforeExecution(): ApolloServerPlugin<GraphQLContext> {
  return {
    requestDidStart: async () => ({
      didResolveOperation: async ({ contextValue, operation, document, schema, request }) => {
        const asked = operation ? topFieldsOf(operation, document) : [];
        const isPublic = (field: string) => operation?.operation === 'mutation' && PUBLIC_MUTATIONS.has(field);
        if (contextValue.principal === null && asked.some((field) => !isPublic(field))) throw toGraphQLError(new TollgateError('MISSING_API_KEY'));
        if (!contextValue.isFromHere && asked.some(isPublic)) throw toGraphQLError(new TollgateError('FORBIDDEN', FROM_ELSEWHERE));
        const issues = operationIssues(schema, operation, request.variables ?? {});
        if (issues.length > 0) throw toGraphQLError(invalid(...issues));
      },
    }),
  };
}

function operationIssues(schema: GraphQLSchema, operation: OperationDefinitionNode | undefined, variables: Record<string, unknown>): Issue[] {
  if (!operation) return []; // Apollo says so
  if (operation.operation === 'subscription') return [{ path: [], message: NO_STREAM }];
  if (!schema.getRootType(operation.operation)) return [{ path: [], message: `There is no ${operation.operation} here.` }];
  return variableIssues(schema, operation, variables);
}

/** The fields that an operation asks for at its top, those of the schema itself left out. */
function topFieldsOf(operation: OperationDefinitionNode, document: DocumentNode): string[] {
  const fragments = new Map(document.definitions.flatMap((node) => (node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node.selectionSet]] : [])));
  const seen = new Set<string>();
  const fieldsOf = (selections: SelectionSetNode | undefined): string[] =>
    selections?.selections.flatMap((node) => {
      if (node.kind === Kind.FIELD) return node.name.value.startsWith('__') ? [] : [node.name.value];
      if (node.kind === Kind.INLINE_FRAGMENT) return fieldsOf(node.selectionSet);
      if (seen.has(node.name.value)) return []; // or fragments that spread each other twice would double the work with each
      seen.add(node.name.value);
      return fieldsOf(fragments.get(node.name.value));
    }) ?? [];
  return fieldsOf(operation.selectionSet);
}

/** What went wrong before Apollo was asked, in our words rather than the framework's. */
function failureOf(error: FastifyError): TollgateError {
  if (error instanceof TollgateError) return error;
  const { statusCode: status = 500 } = error;
  if (status >= 500) return new TollgateError('INTERNAL');
  if (status === 413) return invalidRequest(`The request is larger than ${BODY_LIMIT_BYTES} bytes.`);
  if (status === 415) return invalidRequest('Send the request as application/json.');
  return invalidRequest('The request is not JSON.');
}

const invalidRequest = (message: string): TollgateError => new TollgateError('INVALID_REQUEST', message, { issues: [{ path: [], message }] });

function toApolloLogger(log: Logger) {
  return {
    debug: (message: unknown) => log.debug(String(message)),
    info: (message: unknown) => log.debug(String(message)),
    warn: (message: unknown) => log.warn(String(message)),
    error: (message: unknown) => log.error(String(message)),
  };
}
