import type { FastifyReply, FastifyRequest } from 'fastify';
import type { SessionCookie } from '../access/sessions/cookie';
import type { ContextSource } from './context';

/** What a request tells of its sender, and how the sender is to keep a session. Needs @fastify/cookie where it is used. */
export function sourceOf(request: FastifyRequest, reply: FastifyReply, { name, options }: SessionCookie): ContextSource {
  return {
    headers: request.headers,
    ip: request.ip,
    session: request.cookies[name] || undefined,
    keep: (token) => void (token === null ? reply.clearCookie(name, options) : reply.setCookie(name, token, options)),
  };
}

/** The same of a request that opens a stream, which can set no cookie any more. A client that cannot set headers says its credentials otherwise. */
export function streamSourceOf(request: FastifyRequest, { name }: SessionCookie, credentials: Partial<Record<'authorization' | 'x-api-key', string | undefined>> = {}): ContextSource {
  const given = Object.fromEntries(Object.entries(credentials).filter(([, value]) => value !== undefined));
  return { headers: { ...request.headers, ...given }, ip: request.ip, session: request.cookies[name] || undefined, keep: () => undefined };
}
