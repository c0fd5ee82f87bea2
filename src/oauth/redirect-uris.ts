import type { z } from 'zod';

export const MAX_REDIRECT_URIS = 20;
const MAX_REDIRECT_URI_LENGTH = 1_000;

/** A program on a person's device listens there for its own browser; by number, as a name may be resolved to somewhere else (RFC 8252, 8.3). */
const LOOPBACKS = ['127.0.0.1', '[::1]'];
/** A name of its own, in reverse, so that no other program has it by accident (RFC 8252, 7.1). */
const OWN_SCHEME = /^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:$/;

/**
 * Where people may be sent back to: https anywhere, and for public clients, which run on a person's device, a loopback address or a scheme of
 * their own. They are compared word for word later on, but for the port of a loopback address.
 */
export function redirectUrisRule(uris: string[], confidential: boolean, context: z.core.$RefinementCtx, root: string[] = ['redirectUris']): string[] {
  const complain = (message: string, ...path: number[]) => context.addIssue({ code: 'custom', path: [...root, ...path], message });
  if (uris.length === 0) complain('must name at least one');
  if (uris.length > MAX_REDIRECT_URIS) complain(`must be at most ${MAX_REDIRECT_URIS}`);
  uris.forEach((uri, index) => {
    const problem = problemOf(uri, confidential);
    if (problem) complain(problem, index);
  });
  return [...new Set(uris)];
}

function problemOf(uri: string, confidential: boolean): string | undefined {
  if (uri.length > MAX_REDIRECT_URI_LENGTH) return `must be at most ${MAX_REDIRECT_URI_LENGTH} characters`;
  if (!/^[\x21-\x7e]+$/.test(uri) || !URL.canParse(uri)) return 'must be a URI of visible ASCII characters';
  const { protocol, hostname, username, password } = new URL(uri);
  if (uri.includes('#')) return 'must have no fragment';
  if (username !== '' || password !== '') return 'must name nobody before its host';
  if (/[*\\]/.test(uri)) return 'must be exact: no wildcards, no backslashes';
  if (protocol === 'https:') return LOOPBACKS.includes(hostname) || hostname === 'localhost' ? 'must be http where it is a loopback address' : undefined;
  if (confidential) return 'must begin with https://';
  if (protocol === 'http:') return LOOPBACKS.includes(hostname) ? undefined : 'must be https, or http on 127.0.0.1 or [::1]';
  return OWN_SCHEME.test(protocol) ? undefined : 'must be https, http on a loopback address, or a scheme of your own such as com.example.app:';
}
