import type { FastifyReply, FastifyRequest } from 'fastify';
import { heldIn, keepIn, type BrowserCookies } from '../access/sessions/cookie';
import type { ContextSource } from '../graphql/context';
import type { Credentials } from './streams/services';

/** Reads the sender's data from a request. Its `keep` sets cookies in the answer. Requires the plugin @fastify/cookie. */
export function sourceOf(request: FastifyRequest, reply: FastifyReply, cookies: BrowserCookies): ContextSource {
  return {
    headers: request.headers,
    rawHeaders: request.raw.rawHeaders,
    address: request.address,
    held: heldIn(request, cookies),
    keep: (kept) => keepIn(reply, cookies, kept),
  };
}

/**
 * Does the same as `sourceOf` for a request that opens a stream, which cannot set cookies. `credentials` come from clients that cannot set
 * headers.
 */
export function streamSourceOf(request: FastifyRequest, cookies: BrowserCookies, credentials: Credentials = {}): ContextSource {
  const entries = Object.entries<string | undefined>({ ...credentials });
  const given = entries.flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
  const rawHeaders = [...request.raw.rawHeaders, ...given];
  return { headers: request.headers, rawHeaders, address: request.address, held: heldIn(request, cookies), keep: () => undefined };
}
