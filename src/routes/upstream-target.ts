import { fillPath, splitTarget } from './paths';
import type { Route } from './route.entity';

/** Where a request goes: the upstream's origin, and its path with the query. */
export interface UpstreamTarget {
  origin: string;
  path: string;
}

/**
 * The target of a request at the upstream of its route. The path of `upstreamUrl` comes first. After it comes the path of the request, or
 * `upstreamPath` with the parameters of the request. Path and query stay encoded as the caller encoded them.
 */
export function upstreamTarget(
  { upstreamUrl, upstreamPath }: Pick<Route, 'upstreamUrl' | 'upstreamPath'>,
  params: Record<string, string>,
  rawUrl: string,
): UpstreamTarget {
  const { origin, pathname } = new URL(upstreamUrl);
  const { path, query } = splitTarget(rawUrl);
  const ownPath = upstreamPath === null ? path : fillPath(upstreamPath, params);
  return { origin, path: `${pathname.replace(/\/$/, '')}${ownPath}${query}` };
}
