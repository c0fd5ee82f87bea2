import { ERRORS, type ErrorCode, type ErrorKind } from '../errors';

const STATUS_OF_KIND: Record<ErrorKind, number> = {
  INVALID_REQUEST: 400,
  UNAUTHORIZED: 401,
  PAYMENT_REQUIRED: 402,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  PAYLOAD_TOO_LARGE: 413,
  RATE_LIMITED: 429,
  UPSTREAM_FAILED: 502,
  SERVICE_UNAVAILABLE: 503,
  INTERNAL: 500,
};

/** Codes with a more exact HTTP status than their kind has. */
const STATUS_OF_CODE: Partial<Record<ErrorCode, number>> = {
  METHOD_NOT_ALLOWED: 405,
  UNSUPPORTED_MEDIA_TYPE: 415,
  HOLD_EXPIRED: 410,
  REQUEST_ID_REUSED: 422,
  UPSTREAM_TIMEOUT: 504,
  LOOP_DETECTED: 508,
  UPGRADE_NOT_SUPPORTED: 501,
  CALLER_GONE: 408,
};

/** Returns the HTTP status of an error in REST. */
export function httpStatusOf(code: ErrorCode): number {
  return STATUS_OF_CODE[code] ?? STATUS_OF_KIND[ERRORS[code].kind];
}
