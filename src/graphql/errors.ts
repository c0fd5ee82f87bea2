import { unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { isUnavailable } from '../db/failures';
import { ERRORS, TollgateError, type ErrorKind, type Issue } from '../errors';

type Code =
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'INVALID_REQUEST'
  | 'CONFLICT'
  | 'INSUFFICIENT_FUNDS'
  | 'RATE_LIMITED'
  | 'SERVICE_UNAVAILABLE'
  | 'INTERNAL';

const CODE_OF_KIND: Record<ErrorKind, Code> = {
  INVALID_REQUEST: 'INVALID_REQUEST',
  UNAUTHORIZED: 'UNAUTHENTICATED',
  PAYMENT_REQUIRED: 'INSUFFICIENT_FUNDS',
  FORBIDDEN: 'FORBIDDEN',
  NOT_FOUND: 'NOT_FOUND',
  CONFLICT: 'CONFLICT',
  PAYLOAD_TOO_LARGE: 'INVALID_REQUEST',
  RATE_LIMITED: 'RATE_LIMITED',
  UPSTREAM_FAILED: 'INTERNAL',
  SERVICE_UNAVAILABLE: 'SERVICE_UNAVAILABLE',
  INTERNAL: 'INTERNAL',
};

/** Codes of Apollo's own that clients know, and that stay. */
const APOLLO_CODES = new Set(['GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED', 'PERSISTED_QUERY_NOT_FOUND', 'PERSISTED_QUERY_NOT_SUPPORTED']);

/** A failure as GraphQL carries it, with the HTTP status and header that belong to it. */
export function toGraphQLError(error: TollgateError): GraphQLError {
  const { kind, message, details, cause } = error;
  const code = CODE_OF_KIND[kind];
  const http =
    code === 'UNAUTHENTICATED'
      ? { status: 401, headers: new Map([['www-authenticate', `Bearer realm="tollgate"${error.code === 'MISSING_API_KEY' ? '' : ', error="invalid_token"'}`]]) }
      : code === 'SERVICE_UNAVAILABLE'
        ? { status: 503, headers: new Map([['retry-after', '1']]) }
        : undefined;
  const { issues } = details as { issues?: Issue[] };
  return new GraphQLError(message, { originalError: cause instanceof Error ? cause : undefined, extensions: { code, ...(issues && { issues }), ...(http && { http }) } });
}

/** What of an error a caller gets to read: nothing of the inside. `report` is handed what is worth a line in the log. */
export function formatError(formatted: GraphQLFormattedError, error: unknown, report: (cause: unknown) => void): GraphQLFormattedError {
  const { locations, path } = formatted;
  const place = { ...(locations && { locations }), ...(path && { path }) };
  const cause = unwrapResolverError(error);
  if (cause instanceof TollgateError) {
    const { message, extensions } = toGraphQLError(cause);
    if (cause.cause) report(cause.cause);
    const { http: _http, ...told } = extensions;
    return { message, ...place, extensions: told };
  }
  const code = formatted.extensions?.code as string | undefined;
  if (cause instanceof GraphQLError && cause.originalError === undefined) {
    if (code === 'BAD_USER_INPUT' || code === 'BAD_REQUEST') return { message: 'The request is not valid; issues tells what and where.', ...place, extensions: { code: 'INVALID_REQUEST', issues: [issueOf(formatted.message)] } };
    if (code !== undefined && (APOLLO_CODES.has(code) || code in CODES)) return { message: formatted.message, ...place, extensions: { code, ...(formatted.extensions?.issues ? { issues: formatted.extensions.issues } : {}) } };
  }
  report(cause);
  const known = isUnavailable(cause) ? 'SERVICE_UNAVAILABLE' : 'INTERNAL';
  return { message: ERRORS[known].message, ...place, extensions: { code: known } };
}

const CODES = Object.fromEntries(Object.values(CODE_OF_KIND).map((code) => [code, true]));

/** graphql-js tells in a sentence which variable was wrong; the path in it is for programs. */
function issueOf(message: string): Issue {
  const found = /^Variable "\$([^"]+)"(?: got invalid value .*?)?(?: at "([^"]+)")?; (.*)$/s.exec(message);
  if (!found) return { path: [], message };
  const [, name, place, reason] = found as unknown as [string, string, string | undefined, string];
  const path = (place ?? name).split(/[.[\]]+/).filter((part) => part !== '');
  return { path: path.map((part) => (/^\d+$/.test(part) ? Number(part) : part)), message: reason };
}
