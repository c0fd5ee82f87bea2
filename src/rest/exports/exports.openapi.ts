import { CREDENTIAL_CODES, failures } from '../openapi/failures';

// What the operations of all exports share in the OpenAPI document.

export const INCOMPLETE = 'If the connection breaks, the export is incomplete: continue with `after`. Needs HTTP/1.1 or later.';

export const EXPORT_FAILURES = failures([
  'INVALID_REQUEST',
  'METHOD_NOT_ALLOWED',
  ...CREDENTIAL_CODES,
  'FORBIDDEN',
  'NOT_FOUND',
  'SERVICE_UNAVAILABLE',
  'INTERNAL',
]);
