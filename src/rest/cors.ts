import type { IncomingMessage, ServerResponse } from 'node:http';
import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

// What pages of other origins may read. `origins` are those of CORS_ORIGINS.

const EXPOSED_HEADERS = ['X-Request-Id', 'RateLimit', 'RateLimit-Policy', 'Retry-After', 'WWW-Authenticate', 'Idempotent-Replayed'];

/** Lets pages of these origins use all routes of Fastify. */
export async function registerCors(server: FastifyInstance, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return;
  await server.register(cors, { origin: [...origins], credentials: true, exposedHeaders: EXPOSED_HEADERS });
}

/** Lets a page of these origins read this server's own answer to a request of a route. An upstream's answer has its own headers. */
export function exposeAnswer({ headers: { origin } }: IncomingMessage, outgoing: ServerResponse, origins: readonly string[]): void {
  if (origins.length === 0) return;
  outgoing.setHeader('vary', 'Origin');
  if (origin === undefined || !origins.includes(origin)) return;
  outgoing.setHeader('access-control-allow-origin', origin);
  outgoing.setHeader('access-control-allow-credentials', 'true');
  outgoing.setHeader('access-control-expose-headers', EXPOSED_HEADERS.join(', '));
}
