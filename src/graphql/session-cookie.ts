import type { FastifyReply, FastifyRequest } from 'fastify';
import { tokenIn, type SessionCookie } from '../access/sessions/cookie';
import type { ContextSource } from './context';
import type { Credentials } from './streams/services';

/** What a request tells of its sender, and how the sender is to keep a session. Needs @fastify/cookie where it is used. */
export function sourceOf(request: FastifyRequest, reply: FastifyReply, cookie: SessionCookie): ContextSource {
  return {
    headers: request.headers,
    ip: request.ip,
    session: tokenIn(request, cookie),
    keep: (token) => void (token === null ? reply.clearCookie(cookie.name, cookie.options) : reply.setCookie(cookie.name, token, cookie.options)),
  };
}

/** The same of a request that opens a stream, which can set no cookie any more. A client that cannot set headers says its credentials otherwise. */
export function streamSourceOf(request: FastifyRequest, cookie: SessionCookie, credentials: Credentials = {}): ContextSource {
  const given = Object.fromEntries(Object.entries(credentials).filter(([, value]) => value !== undefined));
  return { headers: { ...request.headers, ...given }, ip: request.ip, session: tokenIn(request, cookie), keep: () => undefined };
}
