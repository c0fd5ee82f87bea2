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
