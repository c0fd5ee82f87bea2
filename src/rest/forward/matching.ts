import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { TollgateError } from '../../errors';
import type { RouteFollower, RoutedMatch, RoutedRequest } from '../../routes/route-follower';
import type { Route } from '../../routes/route.entity';

/** How often a request is matched again because its route was changed while it was being admitted. */
export const MAX_MATCHES = 4;

/** A request as its caller made it. */
export interface Asked {
  method: string;
  host: string | undefined;
  url: string;
  headers: IncomingHttpHeaders;
}

export const askedBy = ({ method = '', url = '', headers }: IncomingMessage): Asked => ({ method, host: headers.host, url, headers });

/** Finds the route of a request. A CORS preflight belongs to the route of the method that it asks for, if that route passes it on. */
export function matchOf(follower: RouteFollower, { method, host, url, headers }: Asked): RoutedMatch {
  if (isPreflight({ method, headers })) {
    const match = follower.match(headers['access-control-request-method'] as string, host, url);
    if (match.kind === 'route' && match.route.passPreflight) return match;
  }
  return follower.match(method, host, url);
}

/** Finds the route anew after a change. Throws NOT_FOUND if there is none any more. */
export async function matchAgain(follower: RouteFollower, { method, host, url }: Asked): Promise<RoutedRequest> {
  await follower.reload();
  const match = follower.match(method, host, url);
  if (match.kind !== 'route') throw new TollgateError('NOT_FOUND');
  return match;
}

/** Whether a request is a CORS preflight that its route passes on, without a credential and without a bill. */
export const passesAsPreflight = (asked: Preflight, { passPreflight }: Route): boolean => passPreflight && isPreflight(asked);

type Preflight = Pick<IncomingMessage, 'method' | 'headers'>;

const isPreflight = ({ method, headers }: Preflight): boolean =>
  method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined;
