import { ApolloServer, type ApolloServerPlugin } from '@apollo/server';
import { ApolloServerPluginLandingPageDisabled } from '@apollo/server/plugin/disabled';
import { fastifyApolloHandler } from '@as-integrations/fastify';
import type { FastifyBaseLogger, FastifyError, FastifyInstance, FastifyRequest } from 'fastify';
import { Kind, type DocumentNode, type GraphQLSchema, type OperationDefinitionNode, type SelectionSetNode } from 'graphql';
import { ERRORS, TollgateError, type ErrorCode } from '../errors';
import type { GraphQLContext } from './context';
import { formatError, toGraphQLError } from './errors';
import { graphiqlPage, registerGraphiqlAssets } from './graphiql';

/** The longest document that is parsed, in tokens. */
const MAX_TOKENS = 10_000;
/** The largest GraphQL request, in bytes. */
const BODY_LIMIT_BYTES = 1_048_576;

export interface GraphQLDeps {
  schema: GraphQLSchema;
  /** Who asks; rejects with UNAUTHENTICATED for a wrong credential, whatever is asked. */
  contextOf(request: FastifyRequest): Promise<GraphQLContext>;
}

/** `/graphql`: queries and mutations for admin frontends, GraphiQL for browsers. */
export async function registerGraphQL(app: FastifyInstance, { schema, contextOf }: GraphQLDeps): Promise<void> {
  const apollo = new ApolloServer<GraphQLContext>({
    schema,
    introspection: true, // the docs load without a credential, in production too
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false, // the process stops itself, once calls in flight are done
    parseOptions: { maxTokens: MAX_TOKENS },
    csrfPrevention: { requestHeaders: ['x-apollo-operation-name', 'apollo-require-preflight', 'authorization', 'x-api-key'] },
    formatError: (formatted, error) => formatError(formatted, error, (cause) => app.log.warn({ err: cause }, 'graphql: an operation failed')),
    plugins: [requireCredential(), ApolloServerPluginLandingPageDisabled()],
    logger: toApolloLogger(app.log),
  });
  await apollo.start();
  app.addHook('onClose', () => apollo.stop());

  const handler = fastifyApolloHandler(apollo, { context: contextOf });
  registerGraphiqlAssets(app);
  app.setErrorHandler((error, request, reply) => {
    const { code, message } = codeOf(error as FastifyError);
    if (code === 'INTERNAL') request.log.error({ err: error }, 'graphql: request failed');
    const shown = toGraphQLError(new TollgateError(code, message, code === 'INVALID_REQUEST' ? { issues: [{ path: [], message }] } : {}));
    const { http: _http, ...extensions } = shown.extensions;
    return reply.code(statusOf(error as FastifyError)).type('application/json').send({ errors: [{ message: shown.message, extensions }] });
  });
  app.get('/graphql', async (request, reply) => {
    if (isPageView(request)) {
      const { html, headers } = graphiqlPage();
      return reply.headers(headers).send(html);
    }
    return handler.call(app, request, reply);
  });
  app.post('/graphql', { bodyLimit: BODY_LIMIT_BYTES }, handler);
}

/** A browser that opens the address, rather than a client that sends an operation. */
function isPageView({ headers, query }: FastifyRequest): boolean {
  return (headers.accept ?? '').includes('text/html') && !('query' in (query as object)) && !('extensions' in (query as object));
}

/** Without a credential only the schema can be asked for. Decided before anything runs, so that the answer is a plain 401. */
function requireCredential(): ApolloServerPlugin<GraphQLContext> {
  return {
    requestDidStart: async () => ({
      didResolveOperation: async ({ contextValue, operation, document }) => {
        if (contextValue.principal === null && asksForMoreThanSchema(operation, document)) {
          throw toGraphQLError(new TollgateError('MISSING_API_KEY'));
        }
      },
    }),
  };
}

function asksForMoreThanSchema(operation: OperationDefinitionNode | undefined, document: DocumentNode): boolean {
  const fragments = new Map(document.definitions.flatMap((node) => (node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node.selectionSet]] : [])));
  const asks = (selections: SelectionSetNode | undefined): boolean =>
    selections?.selections.some((node) => {
      if (node.kind === Kind.FIELD) return !node.name.value.startsWith('__');
      return asks(node.kind === Kind.INLINE_FRAGMENT ? node.selectionSet : fragments.get(node.name.value));
    }) ?? false;
  return asks(operation?.selectionSet);
}

function codeOf(error: FastifyError): { code: ErrorCode; message: string } {
  if (error instanceof TollgateError) return { code: error.code, message: error.message };
  const status = statusOf(error);
  if (status === 413) return { code: 'INVALID_REQUEST', message: `The request is larger than ${BODY_LIMIT_BYTES} bytes.` };
  if (status === 415) return { code: 'INVALID_REQUEST', message: 'Send the request as application/json.' };
  if (status < 500) return { code: 'INVALID_REQUEST', message: 'The request is not JSON.' };
  return { code: 'INTERNAL', message: ERRORS.INTERNAL.message };
}

const statusOf = (error: FastifyError): number => error.statusCode ?? 500;

function toApolloLogger(log: FastifyBaseLogger) {
  return {
    debug: (message: unknown) => log.debug(String(message)),
    info: (message: unknown) => log.debug(String(message)),
    warn: (message: unknown) => log.warn(String(message)),
    error: (message: unknown) => log.error(String(message)),
  };
}
