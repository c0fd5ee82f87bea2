import { failures } from '../openapi/failures';

// What the operations of all exports share in the OpenAPI document.

export const INCOMPLETE = 'If the connection breaks, the export is incomplete: continue with `after`. Needs HTTP/1.1 or later.';

export const EXPORT_FAILURES = failures([
  'INVALID_REQUEST',
  'METHOD_NOT_ALLOWED',
  'MISSING_API_KEY',
  'INVALID_API_KEY',
  'REVOKED_API_KEY',
  'EXPIRED_API_KEY',
  'DISABLED_API_KEY',
  'FORBIDDEN',
  'IP_NOT_ALLOWED',
  'NOT_FOUND',
  'SERVICE_UNAVAILABLE',
  'INTERNAL',
]);
