import { eachHeader, hopByHop, listOf, type Header, type RawHeaders } from './headers';
import { READABLE_CODINGS } from './usage/decoder';

export interface RequestHeaderRules {
  /** Headers that the upstream gets in any case. The caller's headers with these names are removed. */
  add: readonly Header[];
  /** Names, in lower case, of headers that the upstream must not get. */
  drop: readonly string[];
  /** Names of cookies that belong to Tollgate. */
  ownCookies: ReadonlySet<string>;
  /** The name of this installation in CDN-Loop. */
  loopId: string;
  /** The length of the body, if it is known and the body is passed on as a stream. */
  contentLength: string | undefined;
  /** Whether the usage is read from the answer. Then the upstream may only use codings that can be decoded. */
  mustBeReadable: boolean;
}

/** Set by the connection to the upstream, or meaningless there. */
const REPLACED = new Set(['host', 'content-length', 'expect']);

/**
 * Returns the headers for the upstream: the caller's headers as they came, then `add`, then CDN-Loop. Leaves out headers of the connection,
 * Tollgate's own headers and cookies, and `drop`.
 */
export function headersToUpstream(raw: RawHeaders, rules: RequestHeaderRules): string[] {
  const { add, drop, ownCookies, loopId, contentLength, mustBeReadable } = rules;
  const isHopByHop = hopByHop(raw);
  const replaced = new Set(drop);
  for (const [name] of add) replaced.add(name.toLowerCase());
  const passed: string[] = [];
  const accepted: string[] = [];
  let takesTrailers = false;
  eachHeader(raw, (lowerName, value, name) => {
    if (lowerName === 'te') takesTrailers ||= listOf(value.toLowerCase()).includes('trailers');
    // Some upstreams read `_` in a name as `-`
    const meaning = lowerName.includes('_') ? lowerName.replaceAll('_', '-') : lowerName;
    if (isHopByHop(lowerName) || isHopByHop(meaning)) return;
    if (REPLACED.has(meaning) || replaced.has(meaning) || meaning.startsWith('tollgate-')) return;
    if (mustBeReadable && meaning === 'accept-encoding') return void accepted.push(...readableCodings(value));
    const kept = lowerName === 'cookie' ? withoutCookies(value, ownCookies) : value;
    if (kept !== undefined) passed.push(name, kept);
  });
  if (mustBeReadable) passed.push('Accept-Encoding', accepted.join(', ') || 'identity');
  if (contentLength !== undefined) passed.push('Content-Length', contentLength);
  if (takesTrailers) passed.push('TE', 'trailers');
  for (const [name, value] of add) passed.push(name, value);
  passed.push('CDN-Loop', loopId);
  return passed;
}

/** The members of Accept-Encoding, with their weights, whose codings can be decoded. `*` would allow the others. */
const readableCodings = (value: string): string[] =>
  listOf(value).filter((member) => READABLE_CODINGS.has((member.split(';', 1)[0] as string).trim().toLowerCase()));

/** Whether a request has already passed through the installation that is named `loopId`. */
export function isLoop(raw: RawHeaders, loopId: string): boolean {
  let found = false;
  eachHeader(raw, (name, value) => {
    if (name === 'cdn-loop') found ||= listOf(value).some((member) => member.split(';', 1)[0]?.trim() === loopId);
  });
  return found;
}

/** Removes cookies from a `Cookie` header. Returns undefined if none is left. */
function withoutCookies(value: string, names: ReadonlySet<string>): string | undefined {
  const cookies = value.split(';');
  const kept = cookies.filter((cookie) => !names.has(cookieName(cookie)));
  if (kept.length === cookies.length) return value;
  return kept.join(';').trim() || undefined;
}

/** The name of a cookie: of one member of `Cookie`, or of `Set-Cookie`. */
export function cookieName(cookie: string): string {
  return (cookie.split('=', 1)[0] as string).trim();
}
