import { z } from 'zod';

/** The class of an error. Servers map kinds to HTTP statuses and GraphQL codes; nobody else knows those. */
export type ErrorKind =
  | 'INVALID_REQUEST'
  | 'UNAUTHORIZED'
  | 'PAYMENT_REQUIRED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'CONFLICT'
  | 'PAYLOAD_TOO_LARGE'
  | 'RATE_LIMITED'
  | 'UPSTREAM_FAILED'
  | 'SERVICE_UNAVAILABLE'
  | 'INTERNAL';

/** Every error that a caller can meet: its code, its kind, and what the caller reads where nothing more exact is known. */
export const ERRORS = {
  INVALID_REQUEST: { kind: 'INVALID_REQUEST', message: 'The request is not valid; issues tells what and where.' },
  QUERY_TOO_COMPLEX: { kind: 'INVALID_REQUEST', message: 'The operation asks for too much at once; limits tells what and how much is allowed.' },
  METHOD_NOT_ALLOWED: { kind: 'INVALID_REQUEST', message: 'This route has other methods; the Allow header names them.' },
  UNSUPPORTED_MEDIA_TYPE: { kind: 'INVALID_REQUEST', message: 'Send the body as application/json.' },
  MISSING_API_KEY: { kind: 'UNAUTHORIZED', message: 'Send an API key as X-Api-Key or as Authorization: Bearer.' },
  INVALID_API_KEY: { kind: 'UNAUTHORIZED', message: 'This API key is not valid.' },
  REVOKED_API_KEY: { kind: 'UNAUTHORIZED', message: 'This API key was revoked, or replaced by a new secret.' },
  EXPIRED_API_KEY: { kind: 'UNAUTHORIZED', message: 'This API key has expired.' },
  DISABLED_API_KEY: { kind: 'UNAUTHORIZED', message: 'This API key is disabled.' },
  SIGN_IN_FAILED: { kind: 'UNAUTHORIZED', message: 'The e-mail, the password or the code is not right.' },
  PAYMENT_REQUIRED: { kind: 'PAYMENT_REQUIRED', message: 'There is not enough credit for this.' },
  FORBIDDEN: { kind: 'FORBIDDEN', message: 'This credential is not allowed to do that.' },
  IP_NOT_ALLOWED: { kind: 'FORBIDDEN', message: 'This API key may not be used from this address.' },
  NOT_FOUND: { kind: 'NOT_FOUND', message: 'There is no such thing.' },
  UNKNOWN_ACTION: { kind: 'NOT_FOUND', message: 'This service has no such action.' },
  CONFLICT: { kind: 'CONFLICT', message: 'This does not fit the present state.' },
  REQUEST_IN_PROGRESS: { kind: 'CONFLICT', message: 'A call with this requestId is still running; ask again later.' },
  REPLAY_UNAVAILABLE: { kind: 'CONFLICT', message: 'This call succeeded and was billed; its answer was too large to keep.' },
  REQUEST_ID_REUSED: { kind: 'CONFLICT', message: 'This requestId belongs to a call with another body or service.' },
  PAYLOAD_TOO_LARGE: { kind: 'PAYLOAD_TOO_LARGE', message: 'The body is larger than this server takes.' },
  RATE_LIMITED: { kind: 'RATE_LIMITED', message: 'Too many calls; wait as long as Retry-After says.' },
  UPSTREAM_FAILED: { kind: 'UPSTREAM_FAILED', message: 'The action broke off or gave no usable answer.' },
  UPSTREAM_TIMEOUT: { kind: 'UPSTREAM_FAILED', message: 'The action did not answer in its time.' },
  SERVICE_UNAVAILABLE: { kind: 'SERVICE_UNAVAILABLE', message: 'Not available right now; nothing was billed. Try again later.' },
  OUTCOME_UNKNOWN: {
    kind: 'SERVICE_UNAVAILABLE',
    message: 'The action may have run and been billed, and its answer is lost. Repeat with the same requestId, or look that up in the logs.',
  },
  INTERNAL: { kind: 'INTERNAL', message: 'Something went wrong on this side.' },
} as const satisfies Record<string, { kind: ErrorKind; message: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** What is wrong with one part of an input; `path` leads to it from the input's root. */
export interface Issue {
  path: (string | number)[];
  message: string;
}

/** An expected failure. `message` and `details` are for the caller; `cause` is for the log. */
export class TollgateError extends Error {
  readonly kind: ErrorKind;

  constructor(
    readonly code: ErrorCode,
    message?: string,
    readonly details: Record<string, unknown> = {},
    options?: { cause?: unknown },
  ) {
    const { stackTraceLimit } = Error;
    if (code !== 'INTERNAL') Error.stackTraceLimit = 0; // where an expected error comes from is no news, and finding out is slow
    super(message ?? ERRORS[code].message, options);
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'TollgateError';
    this.kind = ERRORS[code].kind;
  }
}

/** INVALID_REQUEST for one or more parts of an input. */
export function invalid(...issues: Issue[]): TollgateError {
  return new TollgateError('INVALID_REQUEST', undefined, { issues });
}

/** Throws NOT_FOUND, word for word the same whether the object never was or is another tenant's. */
export function notFound(): never {
  throw new TollgateError('NOT_FOUND');
}

export function conflict(message: string): TollgateError {
  return new TollgateError('CONFLICT', message);
}

/** The most problems that one answer names: a body can have millions. */
export const MAX_ISSUES = 100;

/** `value` as `schema` reads it, or INVALID_REQUEST with its problems, each path beginning with `root`. */
export function validate<T extends z.ZodType>(schema: T, value: unknown, ...root: string[]): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw invalid(...toIssues(result.error, root).slice(0, MAX_ISSUES));
}

export function toIssues(error: z.ZodError, root: string[] = []): Issue[] {
  return error.issues.flatMap((issue) => {
    const path = [...root, ...issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))];
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.slice(0, MAX_ISSUES).map((key) => ({ path: [...path, key], message: 'is not known here' }));
    }
    return [{ path, message: issue.message }];
  });
}
