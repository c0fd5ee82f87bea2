import type { FastifyInstance } from 'fastify';

/** The routes of a server as `GET /docs/:name`, read from its printed tree. Leaves out HEAD and OPTIONS. */
export function serverRoutes(server: FastifyInstance): string[] {
  const parents: string[] = [];
  return server
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
}
