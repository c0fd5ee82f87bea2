/**
 * The paths that Tollgate serves itself, or will serve, each with all paths below it. No route can take them, and no request to them
 * reaches an upstream. A test compares them with the paths of the server.
 */
export const OWN_PATHS: readonly string[] = [
  '/graphql',
  '/oauth',
  '/.well-known',
  '/docs',
  '/console',
  '/account',
  '/brand',
  '/invitation',
  '/reset-password',
  '/healthz',
  '/readyz',
  '/openapi.json',
  '/v1/keys',
  '/v1/holds',
  '/v1/self',
  '/v1/export',
  '/v1/audit',
  '/v1/forward-auth',
  '/v1/secret-scanning',
];

/** The path of the calls to a service. */
const EXECUTE = /^\/v1\/[^/]+\/execute$/;

/** Whether Tollgate serves a path itself. The path is canonical, or the shape of a route's path. */
export function isOwnPath(path: string): boolean {
  if (path === '/' || EXECUTE.test(path)) return true;
  return OWN_PATHS.some((own) => path === own || path.startsWith(`${own}/`));
}
