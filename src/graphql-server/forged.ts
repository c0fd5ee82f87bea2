import type { IncomingHttpHeaders } from 'node:http';
import { TollgateError } from '../errors';

/** Headers that a page of another site can make a browser send only if this server has allowed it (CORS preflight). */
const PREFLIGHTED_HEADERS = ['x-apollo-operation-name', 'apollo-require-preflight', 'authorization', 'x-api-key'];

const MESSAGE =
  'This request has a cookie, and a page of another site could have sent it. ' +
  `Send Content-Type: application/json or one of the headers ${PREFLIGHTED_HEADERS.join(', ')}.`;

/**
 * Prevents cross-site request forgery. Throws INVALID_REQUEST for a request with a cookie that a form, an image or a link of another site
 * could have sent. A request without a cookie carries no credential of the browser, and so needs no proof.
 */
export function requireUnforged(headers: IncomingHttpHeaders): void {
  const mediaType = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
  if (headers.cookie === undefined || mediaType === 'application/json' || PREFLIGHTED_HEADERS.some((name) => headers[name])) return;
  throw new TollgateError('INVALID_REQUEST', MESSAGE, { issues: [{ path: [], message: MESSAGE }] });
}
