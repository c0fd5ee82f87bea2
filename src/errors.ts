import { z } from 'zod';

/** The class of an error. Only the servers map kinds to HTTP statuses and GraphQL codes. */
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

/** All errors that a caller can get, by code. Each has a kind and a default message. The message names the problem and the next step. */
export const ERRORS = {
  INVALID_REQUEST: { kind: 'INVALID_REQUEST', message: 'The request is not valid. See issues for each problem and its place.' },
  QUERY_TOO_COMPLEX: {
    kind: 'INVALID_REQUEST',
    message: 'The operation asks for too much at once. See limits for each figure, and ask for less.',
  },
  METHOD_NOT_ALLOWED: {
    kind: 'INVALID_REQUEST',
    message: 'This route does not support this method. See the Allow header for its methods.',
  },
  UNSUPPORTED_MEDIA_TYPE: {
    kind: 'INVALID_REQUEST',
    message: 'The media type of the body is not supported. Send the body as application/json.',
  },
  MISSING_API_KEY: { kind: 'UNAUTHORIZED', message: 'The API key is missing. Send it as X-Api-Key or as Authorization: Bearer.' },
  INVALID_API_KEY: { kind: 'UNAUTHORIZED', message: 'This API key is not valid. Check that it was copied completely.' },
  REVOKED_API_KEY: {
    kind: 'UNAUTHORIZED',
    message: 'This API key was revoked, or replaced by a new secret. Use the new secret or another key.',
  },
  EXPIRED_API_KEY: { kind: 'UNAUTHORIZED', message: 'This API key has expired. Use another key.' },
  DISABLED_API_KEY: { kind: 'UNAUTHORIZED', message: 'This API key is disabled. Use another key, or have this one enabled.' },
  SIGN_IN_FAILED: { kind: 'UNAUTHORIZED', message: 'The e-mail, the password or the code is wrong. Check them and try again.' },
  PAYMENT_REQUIRED: { kind: 'PAYMENT_REQUIRED', message: 'There is not enough credit for this. Add credit and try again.' },
  FORBIDDEN: { kind: 'FORBIDDEN', message: 'This credential is not allowed to do that. Use a credential that has the permission.' },
  IP_NOT_ALLOWED: { kind: 'FORBIDDEN', message: 'This API key may not be used from this address. Use it from an allowed address.' },
  PROXY_NOT_TRUSTED: {
    kind: 'FORBIDDEN',
    message: 'Only a trusted proxy may ask this. Ask from this machine, or name the address of the proxy in TRUSTED_PROXIES.',
  },
  NOT_FOUND: { kind: 'NOT_FOUND', message: 'This does not exist, or this credential may not see it. Check the path and the ids.' },
  UNKNOWN_ACTION: { kind: 'NOT_FOUND', message: 'This service has no such action. Check the names of the service and the action.' },
  CONFLICT: { kind: 'CONFLICT', message: 'This does not fit the current state. Read the current state and try again.' },
  REQUEST_IN_PROGRESS: {
    kind: 'CONFLICT',
    message: 'A call with this requestId is still running. Repeat it after the time in Retry-After.',
  },
  REPLAY_UNAVAILABLE: {
    kind: 'CONFLICT',
    message: 'This call succeeded and was billed, but its answer was too large to keep. Use a new requestId to run it again.',
  },
  REQUEST_ID_REUSED: {
    kind: 'CONFLICT',
    message: 'This requestId belongs to a different call. Use a new requestId.',
  },
  ALREADY_SETTLED: {
    kind: 'CONFLICT',
    message: 'Another request has settled or voided this hold. See the details for its outcome.',
  },
  HOLD_EXPIRED: { kind: 'CONFLICT', message: 'This hold has expired, and nothing was billed. Verify the credential again for a new one.' },
  PAYLOAD_TOO_LARGE: { kind: 'PAYLOAD_TOO_LARGE', message: 'The body is larger than this server accepts. Send a smaller one.' },
  RATE_LIMITED: { kind: 'RATE_LIMITED', message: 'There were too many calls. Try again after the time in Retry-After.' },
  UPSTREAM_FAILED: {
    kind: 'UPSTREAM_FAILED',
    message: 'The action broke off or gave no usable answer. Nothing was billed. Try again later.',
  },
  UPSTREAM_STATUS: {
    kind: 'UPSTREAM_FAILED',
    message: 'The upstream answered with a status that is not billed. See its answer.',
  },
  UPSTREAM_TIMEOUT: { kind: 'UPSTREAM_FAILED', message: 'The action did not answer in time. Nothing was billed. Try again later.' },
  LOOP_DETECTED: {
    kind: 'UPSTREAM_FAILED',
    message: 'The request came back to this server. The upstream of its route must not lead here.',
  },
  UPGRADE_NOT_SUPPORTED: {
    kind: 'UPSTREAM_FAILED',
    message: 'Routes do not pass on WebSockets or other upgrades. Send the request without the header Upgrade.',
  },
  CALLER_GONE: {
    kind: 'INVALID_REQUEST',
    message: 'The request stopped before it was complete. Nothing was billed. Send it again.',
  },
  SERVICE_UNAVAILABLE: { kind: 'SERVICE_UNAVAILABLE', message: 'Not available right now. Nothing was billed. Try again later.' },
  OUTCOME_UNKNOWN: {
    kind: 'SERVICE_UNAVAILABLE',
    message:
      'The action may have run and been billed, but its answer is lost. Repeat it with the same requestId, or look in the logs.',
  },
  INTERNAL: { kind: 'INTERNAL', message: 'An internal error occurred. If it happens again, report the request id to the operator.' },
} as const satisfies Record<string, { kind: ErrorKind; message: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** A problem of one part of an input. `path` leads from the input's root to the part. */
export interface Issue {
  path: (string | number)[];
  message: string;
}

/** An expected failure. The caller sees `message` and `details`; only the log has `cause`. */
export class TollgateError extends Error {
  readonly kind: ErrorKind;

  constructor(
    readonly code: ErrorCode,
    message?: string,
    readonly details: Record<string, unknown> = {},
    options?: { cause?: unknown },
  ) {
    const { stackTraceLimit } = Error;
    if (code !== 'INTERNAL') Error.stackTraceLimit = 0; // expected errors need no stack, and a stack is slow
    super(message ?? ERRORS[code].message, options);
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'TollgateError';
    this.kind = ERRORS[code].kind;
  }
}

/** Makes an INVALID_REQUEST error for one or more problems of an input. */
export function invalid(...issues: Issue[]): TollgateError {
  return new TollgateError('INVALID_REQUEST', undefined, { issues });
}

/** Throws NOT_FOUND. The error is the same if the object does not exist and if it belongs to another tenant. */
export function notFound(): never {
  throw new TollgateError('NOT_FOUND');
}

export function conflict(message: string): TollgateError {
  return new TollgateError('CONFLICT', message);
}

/** The most problems in one answer. A body can have millions. */
export const MAX_ISSUES = 100;

/** Parses `value` with `schema`. Throws INVALID_REQUEST with the problems, each with a path that begins with `root`. */
export function validate<T extends z.ZodType>(schema: T, value: unknown, ...root: string[]): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw invalid(...toIssues(result.error, root).slice(0, MAX_ISSUES));
}

export function toIssues(error: z.ZodError, root: string[] = []): Issue[] {
  return error.issues.flatMap((issue) => {
    const path = [...root, ...issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))];
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.slice(0, MAX_ISSUES).map((key) => ({ path: [...path, key], message: 'is not known; remove it' }));
    }
    return [{ path, message: issue.message }];
  });
}
