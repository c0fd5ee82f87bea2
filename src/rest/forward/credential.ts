import { secretFrom } from '../../access/credential';

/** The credential of a request to a route. */
export interface RouteCredential {
  secret: string;
  /** The name, in lower case, of the header that has it. */
  header: 'x-api-key' | 'authorization';
}

/**
 * The credential of a request, or undefined. If `X-Api-Key` is there, it is the credential, and `Authorization` belongs to the upstream.
 * Throws INVALID_REQUEST if one of them is sent twice with different secrets.
 */
export function routeCredential(rawHeaders: readonly string[]): RouteCredential | undefined {
  const ofKey = secretFrom(only(rawHeaders, 'x-api-key'));
  if (ofKey !== undefined) return { secret: ofKey, header: 'x-api-key' };
  const bearer = secretFrom(only(rawHeaders, 'authorization'));
  return bearer === undefined ? undefined : { secret: bearer, header: 'authorization' };
}

const only = (rawHeaders: readonly string[], wanted: string): string[] =>
  rawHeaders.filter((_, at) => rawHeaders[at - (at % 2)]?.toLowerCase() === wanted);
