import findMyWay, { type HTTPMethod } from 'find-my-way';
import { inPieces } from '../lib/turns';
import { ROUTE_METHODS, reachOf } from './methods';
import { isOwnPath } from './own-paths';
import { hostOf, readPath, shapeOf, splitTarget, valuesOf } from './paths';
import type { Route } from './route.entity';

/** What a table says about a request. */
export type Match =
  /** `params` has the raw values of the path's parameters, `*` for a wildcard. */
  | { kind: 'route'; route: Route; params: Record<string, string> }
  | { kind: 'noRoute' }
  /** Routes with this path exist, but for the methods `allow` only. */
  | { kind: 'methodNotAllowed'; allow: string[] }
  /** `reason` ends a sentence that begins with "The path". */
  | { kind: 'badPath'; reason: string };

/**
 * The routes, ready to be matched. Requests of a disabled route match nothing: a wider route has another price. The table never changes:
 * a change of the routes makes a new one.
 */
export class RouteTable {
  static readonly EMPTY = new RouteTable(new Map());

  private constructor(private readonly hosts: ReadonlyMap<string | null, HostRoutes>) {}

  /** Builds a table of valid routes, of which no two match the same. Takes turns with other work of the process. */
  static async of(routes: readonly Route[]): Promise<RouteTable> {
    const hosts = new Map<string | null, HostRoutes>();
    for (const { host, methods } of routes) {
      const ofHost = hosts.get(host) ?? new HostRoutes();
      hosts.set(host, ofHost);
      ofHost.name(reachOf(methods) ?? []);
    }
    await inPieces(routes, (route) => hosts.get(route.host)?.add(route));
    return new RouteTable(hosts);
  }

  /**
   * Finds the route of a request. `host` is its `Host` header, which a target in absolute form overrides. The routes of the host come
   * first, then the routes of any host. For a CORS preflight, pass the method of `Access-Control-Request-Method`; the preflight may pass if
   * the route has `passPreflight`.
   */
  match(method: string, host: string | undefined, rawUrl: string): Match {
    if (rawUrl === '*' || this.hosts.size === 0) return { kind: 'noRoute' };
    const target = splitTarget(rawUrl);
    const ofHosts = [hostOf(target.host ?? host ?? ''), null].flatMap((name) => this.hosts.get(name) ?? []);
    if (ofHosts.length === 0) return { kind: 'noRoute' };
    const read = readPath(target.path);
    if ('fault' in read) return { kind: 'badPath', reason: read.fault };
    if (isOwnPath(read.canonical)) return { kind: 'noRoute' };
    const path = searchable(read.canonical);
    for (const routes of ofHosts) {
      const route = routes.find(method, path);
      if (route) return route.enabled ? { kind: 'route', route, params: valuesOf(route.path, target.path) } : { kind: 'noRoute' };
    }
    const allow = [...new Set(ofHosts.flatMap((routes) => routes.methodsAt(path)))].sort();
    return allow.length > 0 ? { kind: 'methodNotAllowed', allow } : { kind: 'noRoute' };
  }
}

/** A canonical path without the characters that find-my-way would decode or cut off. `!` is in no canonical path. */
const searchable = (canonical: string): string => canonical.replaceAll('%', '!');

/** The tree of find-my-way for the methods that no route of the host names. No route can have this method itself. */
const OTHER: HTTPMethod = 'TRACE';

/** The routes of one host: a tree for each method that a route names, and a tree for all other methods. */
class HostRoutes {
  // A longer parameter would fall to the wildcard. The server limits the length of a URL. All expressions are ours.
  private readonly router = findMyWay({ maxParamLength: Number.MAX_SAFE_INTEGER, allowUnsafeRegex: true });
  private readonly named = new Set<string>();

  /** Adds methods that a route of this host names. All must be known before the first route is added. */
  name(methods: readonly string[]): void {
    for (const method of methods) this.named.add(method);
  }

  add(route: Route): void {
    // find-my-way lets a parameter be empty unless an expression forbids it
    const path = searchable(shapeOf(route.path)).replaceAll('/:', '/:p(.+)');
    this.router.on([...(reachOf(route.methods) ?? [...this.named, OTHER])] as HTTPMethod[], path, NOTHING, route);
  }

  find(method: string, path: string): Route | undefined {
    if (!ROUTE_METHODS.includes(method)) return undefined;
    return this.routeIn(this.named.has(method) ? method : OTHER, path);
  }

  /** The methods with an enabled route at the path. */
  methodsAt(path: string): readonly string[] {
    if (this.routeIn(OTHER, path)?.enabled) return ROUTE_METHODS;
    return [...this.named].filter((method) => this.routeIn(method, path)?.enabled);
  }

  private routeIn(tree: string, path: string): Route | undefined {
    return this.router.find(tree as HTTPMethod, path)?.store as Route | undefined;
  }
}

/** find-my-way needs a handler; the table uses only the stored route. */
const NOTHING = (): void => undefined;
