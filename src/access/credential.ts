import type { IncomingHttpHeaders } from 'node:http';
import { invalid } from '../errors';

/** The secret that a request carries, in `X-Api-Key` or as a bearer token; undefined where neither. INVALID_REQUEST where they differ. */
export function secretFrom(headers: IncomingHttpHeaders): string | undefined {
  const header = headers['x-api-key'];
  const own = (Array.isArray(header) ? header.join(', ') : (header ?? '')).trim();
  const bearer = /^bearer +(.*)$/i.exec(headers.authorization ?? '')?.[1]?.trim() ?? '';
  if (own !== '' && bearer !== '' && own !== bearer) {
    throw invalid({ path: ['Authorization'], message: 'carries another secret than X-Api-Key; send one' });
  }
  return own || bearer || undefined;
}
