import { HeaderMap, type GraphQLResponse } from '@apollo/server';
import { unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, Kind, type GraphQLErrorExtensions, type GraphQLFormattedError } from 'graphql';
import { isCutOff, isOutage } from '../db/failures';
import { ERRORS, TollgateError, type ErrorCode, type ErrorKind, type Issue } from '../errors';
import type { Cost } from './query-plan';
import type { Excess } from './limits';

type Code =
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'INVALID_REQUEST'
  | 'QUERY_TOO_COMPLEX'
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

/** Errors with a code more specific than the code of their kind. */
const CODE_OF_ERROR: Partial<Record<ErrorCode, Code>> = { QUERY_TOO_COMPLEX: 'QUERY_TOO_COMPLEX' };

const CUT_OFF = 'Reading this took too long and was stopped. Use a narrower filter or a smaller page.';

const OWN_CODES = new Set<unknown>([...Object.values(CODE_OF_KIND), ...Object.values(CODE_OF_ERROR)]);

/** Codes of Apollo that clients know. They are passed on. */
const APOLLO_CODES = new Set<unknown>([
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'PERSISTED_QUERY_NOT_FOUND',
  'PERSISTED_QUERY_NOT_SUPPORTED',
]);

/** Codes of Apollo that become INVALID_REQUEST. */
const APOLLO_CODES_OF_REQUESTS = new Set<unknown>(['BAD_USER_INPUT', 'BAD_REQUEST', 'OPERATION_RESOLUTION_FAILURE']);

const STATUS_OF_CODE: Partial<Record<Code, number>> = {
  INVALID_REQUEST: 400,
  QUERY_TOO_COMPLEX: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  CONFLICT: 409,
  RATE_LIMITED: 429,
  SERVICE_UNAVAILABLE: 503,
};

/** The details of an error that callers may read, in addition to its code. */
interface Told {
  issues?: Issue[];
  /** The figures of a query that are over their limits. */
  limits?: Excess[];
  retryAfterMs?: number;
  /** The current version, if a CONFLICT is caused by another expected version. */
  currentVersion?: number;
  /** The kind of a CONFLICT of an Idempotency-Key. */
  reason?: string;
  /** Id of the object that a mutation changed, if its answer is lost. */
  subjectId?: string;
}

const TOLD: readonly (keyof Told)[] = ['issues', 'limits', 'retryAfterMs', 'currentVersion', 'reason', 'subjectId'];

const toldOf = (details: Record<string, unknown>): Told =>
  Object.fromEntries(TOLD.flatMap((name) => (details[name] === undefined ? [] : [[name, details[name]]])));

/** The GraphQL code of an error, and the HTTP status of an answer that consists only of this error. */
export function graphqlAnswerOf(error: ErrorCode): { code: string; status: number } {
  const code = codeOf(error);
  return { code, status: STATUS_OF_CODE[code] ?? 200 };
}

const codeOf = (error: ErrorCode): Code => CODE_OF_ERROR[error] ?? CODE_OF_KIND[ERRORS[error].kind];

/** The status and headers of an answer that consists only of an error. */
interface Head {
  status: number;
  headers: Map<string, string>;
}

/** An error in the form of GraphQL. Apollo uses its `http` for the answer if nothing was executed. */
export interface GraphQLFailure extends GraphQLError {
  /** `cost` is copied to the extensions of the answer. */
  extensions: GraphQLErrorExtensions & Told & { code: string; http: Head; cost?: Cost };
}

export function toGraphQLError(error: TollgateError): GraphQLFailure {
  const { message, details, cause } = error;
  const code = codeOf(error.code);
  const headers = new Map<string, string>();
  if (code === 'UNAUTHENTICATED') {
    headers.set('www-authenticate', `Bearer realm="tollgate"${error.code === 'MISSING_API_KEY' ? '' : ', error="invalid_token"'}`);
  }
  const { retryAfterMs, cost } = details as { retryAfterMs?: number; cost?: Cost };
  if (code === 'SERVICE_UNAVAILABLE' || details.reason === 'IN_PROGRESS') headers.set('retry-after', '1');
  if (retryAfterMs !== undefined) headers.set('retry-after', String(Math.ceil(retryAfterMs / 1000)));
  const status = details.reason === 'KEY_REUSED' ? 422 : (STATUS_OF_CODE[code] ?? 500);
  const extensions = { code, ...toldOf(details), ...(cost && { cost }), http: { status, headers } };
  return new GraphQLError(message, { originalError: cause instanceof Error ? cause : undefined, extensions }) as GraphQLFailure;
}

/** Converts a TollgateError to a GraphQLError. Returns other errors unchanged. */
export const translated = (error: unknown): unknown => (error instanceof TollgateError ? toGraphQLError(error) : error);

/** Builds an answer that consists only of an error. Calls `report` with errors that belong in the log. */
export function failedResponse(error: unknown, report: (cause: unknown) => void): GraphQLResponse {
  const known = isOutage(error) ? 'SERVICE_UNAVAILABLE' : 'INTERNAL';
  if (!(error instanceof TollgateError)) report(error);
  const { message, extensions } = toGraphQLError(error instanceof TollgateError ? error : new TollgateError(known));
  const { http, ...told } = extensions;
  return {
    http: { status: http.status, headers: new HeaderMap(http.headers) },
    body: { kind: 'single', singleResult: { errors: [{ message, extensions: told }] } },
  };
}

/** Formats an error for the caller, without internal details. Calls `report` with errors that belong in the log. */
export function formatError(formatted: GraphQLFormattedError, error: unknown, report: (cause: unknown) => void): GraphQLFormattedError {
  const { locations, path } = formatted;
  const tell = (message: string, code: unknown, told: Told = {}): GraphQLFormattedError => ({
    message,
    ...(locations && { locations }),
    ...(path && { path }),
    extensions: { code, ...told },
  });
  const cause = translated(unwrapResolverError(error));
  if (cause instanceof GraphQLError) {
    const { code } = cause.extensions;
    if (OWN_CODES.has(code)) {
      if (cause.originalError) report(cause.originalError);
      return tell(cause.message, code, toldOf(cause.extensions));
    }
    if (APOLLO_CODES.has(code)) return tell(cause.message, code);
    if (isOfRequest(cause)) {
      return tell(ERRORS.INVALID_REQUEST.message, 'INVALID_REQUEST', { issues: [{ path: [], message: cause.message }] });
    }
  }
  report(cause);
  const { message, code } = failureOf(cause);
  return tell(message, code);
}

/**
 * Converts an unexpected error: to QUERY_TOO_COMPLEX if the database stopped a long read, to SERVICE_UNAVAILABLE if the database is
 * unavailable, otherwise to INTERNAL.
 */
export function failureOf(cause: unknown): TollgateError {
  if (isCutOff(cause)) return new TollgateError('QUERY_TOO_COMPLEX', CUT_OFF, {}, { cause });
  return new TollgateError(isOutage(cause) ? 'SERVICE_UNAVAILABLE' : 'INTERNAL', undefined, {}, { cause });
}

/** True if the request caused an error of a library: the code or the status says so, or the error belongs to a value and not to a field. */
function isOfRequest({ extensions, nodes }: GraphQLError): boolean {
  const { status = 500 } = (extensions.http ?? {}) as Partial<Head>;
  return APOLLO_CODES_OF_REQUESTS.has(extensions.code) || status < 500 || (nodes?.[0] !== undefined && nodes[0].kind !== Kind.FIELD);
}
