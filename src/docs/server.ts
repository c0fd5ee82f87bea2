import type { FastifyInstance } from 'fastify';
import { Asset, takesGzip } from '../lib/asset';
import { POLICY } from './layout';
import { renderDocs, type DocsDeps } from './site';

const HEADERS = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  // A browser asks each time whether its copy is current. Most often it is.
  'cache-control': 'no-cache',
  vary: 'Accept-Encoding',
};

/** Serves the manual under `/docs/`, without a credential. The pages have no scripts. They are rendered once and stay in memory. */
export function registerDocs(app: FastifyInstance, deps: DocsDeps): void {
  let pages: ReadonlyMap<string, Asset> | undefined;
  const pageOf = (name: string): Asset | undefined => {
    pages ??= new Map([...renderDocs(deps)].map(([file, text]) => [file, new Asset('text/html; charset=utf-8', Buffer.from(text))]));
    return pages.get(name);
  };
  app.get('/docs', async (_request, reply) => reply.redirect('docs/', 302)); // relative, because a proxy may add a prefix
  app.get<{ Params: { name?: string } }>('/docs/:name', async (request, reply) => {
    const page = pageOf(request.params.name || 'index.html');
    if (!page) {
      reply.callNotFound();
      return reply;
    }
    reply.headers({ ...HEADERS, etag: `W/"${page.version}"` });
    if (request.headers['if-none-match']?.includes(`"${page.version}"`)) return reply.code(304).send();
    reply.type(page.type);
    if (!takesGzip(request.headers['accept-encoding'])) return reply.send(page.body);
    return reply.header('content-encoding', 'gzip').send(await page.gzipped());
  });
}
