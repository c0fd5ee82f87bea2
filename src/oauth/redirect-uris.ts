import type { z } from 'zod';

export const MAX_REDIRECT_URIS = 20;
const MAX_REDIRECT_URI_LENGTH = 1_000;

/** Addresses on which a program on a person's device may listen. Only IP addresses: a name may resolve to another host (RFC 8252, 8.3). */
const LOOPBACKS = ['127.0.0.1', '[::1]'];
/** A custom scheme in reverse domain notation, so that two programs do not choose the same one by accident (RFC 8252, 7.1). */
const CUSTOM_SCHEME = /^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:$/;

/**
 * Checks redirect addresses, adds issues to `context`, and returns the addresses without duplicates. Allows https. Public clients run on
 * a person's device, so they may also have a loopback address or a custom scheme. A request must name one of the addresses exactly, except
 * for the port of a loopback address.
 */
export function redirectUrisRule(
  uris: string[],
  confidential: boolean,
  context: z.core.$RefinementCtx,
  root: string[] = ['redirectUris'],
): string[] {
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
  if (username !== '' || password !== '') return 'must have no user name or password';
  if (/[*\\]/.test(uri)) return 'must be exact: no wildcards, no backslashes';
  if (protocol === 'https:') return isLoopback(hostname) ? 'must be http if it is a loopback address' : undefined;
  if (confidential) return 'must begin with https://';
  if (protocol === 'http:') return LOOPBACKS.includes(hostname) ? undefined : 'must be https, or http on 127.0.0.1 or [::1]';
  if (CUSTOM_SCHEME.test(protocol)) return undefined;
  return 'must be https, http on a loopback address, or a custom scheme such as com.example.app:';
}

const isLoopback = (hostname: string): boolean => LOOPBACKS.includes(hostname) || hostname === 'localhost';
