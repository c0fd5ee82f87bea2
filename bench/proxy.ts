import proxy from '@fastify/http-proxy';
import Fastify from 'fastify';
import type { AddressInfo } from 'node:net';

// A Fastify server that passes each request on to the upstream: no key, no budget, no database. The comparison for Tollgate's routes.

async function main(): Promise<void> {
  const app = Fastify();
  await app.register(proxy, { upstream: process.env.UPSTREAM_URL as string });
  await app.listen({ host: '127.0.0.1', port: 0 });
  process.once('SIGTERM', () => process.exit(0));
  console.log(`listening on http://127.0.0.1:${(app.server.address() as AddressInfo).port}`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
