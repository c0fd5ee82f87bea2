import type { IncomingHttpHeaders } from 'node:http';
import { TollgateError } from '../errors';

/** Headers that a page of another site can have a browser send only where this server has said so before (CORS). */
const PREFLIGHTED_HEADERS = ['x-apollo-operation-name', 'apollo-require-preflight', 'authorization', 'x-api-key'];

const MESSAGE = `A request with a cookie comes with Content-Type: application/json or one of the headers ${PREFLIGHTED_HEADERS.join(', ')}, so that no page of another site can have sent it.`;

/**
 * INVALID_REQUEST for a request with a cookie that a form, an image or a link of another site could have made a browser send. One without
 * any cookie is nobody's, whoever made it: it needs no such proof.
 */
export function requireUnforged(headers: IncomingHttpHeaders): void {
  const mediaType = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
  if (headers.cookie === undefined || mediaType === 'application/json' || PREFLIGHTED_HEADERS.some((name) => headers[name])) return;
  throw new TollgateError('INVALID_REQUEST', MESSAGE, { issues: [{ path: [], message: MESSAGE }] });
}
