import type { FastifyReply, FastifyRequest } from 'fastify';
import { heldIn, keepIn, type BrowserCookies } from '../access/sessions/cookie';
import type { ContextSource } from './context';
import type { Credentials } from './streams/services';

/** What a request tells of its sender, and how the sender is to keep a session. Needs @fastify/cookie where it is used. */
export function sourceOf(request: FastifyRequest, reply: FastifyReply, cookies: BrowserCookies): ContextSource {
  return {
    headers: request.headers,
    rawHeaders: request.raw.rawHeaders,
    address: request.address,
    held: heldIn(request, cookies),
    keep: (kept) => keepIn(reply, cookies, kept),
  };
}

/** The same of a request that opens a stream, which can set no cookie any more. A client that cannot set headers says its credentials otherwise. */
export function streamSourceOf(request: FastifyRequest, cookies: BrowserCookies, credentials: Credentials = {}): ContextSource {
  const given = Object.entries<string | undefined>({ ...credentials }).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
  const rawHeaders = [...request.raw.rawHeaders, ...given];
  return { headers: request.headers, rawHeaders, address: request.address, held: heldIn(request, cookies), keep: () => undefined };
}
