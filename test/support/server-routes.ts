import type { FastifyInstance } from 'fastify';

/** The routes that are answered before Fastify sees them. Each has any method; the tables name one. */
const BEFORE_FASTIFY = ['GET /v1/forward-auth/nginx', 'GET /v1/forward-auth/forwarded', 'GET /v1/forward-auth/envoy/:path'];

/** The routes of a server as `GET /docs/:name`, most of them read from its printed tree. Leaves out HEAD and OPTIONS. */
export function serverRoutes(server: FastifyInstance): string[] {
  const parents: string[] = [];
  const printed = server
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .flatMap((line) => {
      const found = /^(\W*[├└]── )(\/\S*) \(([A-Z, ]+)\)/.exec(line);
      if (!found) return [];
      const [, branch = '', part = '', methods = ''] = found;
      parents.length = branch.length / '├── '.length - 1;
      parents.push(part);
      return methods
        .split(', ')
        .filter((method) => method !== 'HEAD' && method !== 'OPTIONS')
        .map((method) => `${method} ${parents.join('')}`);
    });
  return [...printed, ...BEFORE_FASTIFY];
}
