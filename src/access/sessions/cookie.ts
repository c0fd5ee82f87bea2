import type { IncomingHttpHeaders } from 'node:http';

/** The cookie that a session is kept in: no script reads it, and no other site's form sends it. */
export interface SessionCookie {
  name: string;
  options: { httpOnly: true; sameSite: 'lax'; path: '/'; secure: boolean; maxAge: number };
}

const COOKIE_MAX_AGE_SECONDS = 2_592_000; // as long as a session lasts at most

/** With `__Host-` a browser takes it over TLS alone, and from this host alone. */
export function sessionCookie(publicUrl: string | undefined): SessionCookie {
  const secure = publicUrl?.startsWith('https:') ?? false;
  return {
    name: secure ? '__Host-tollgate_session' : 'tollgate_session',
    options: { httpOnly: true, sameSite: 'lax', path: '/', secure, maxAge: COOKIE_MAX_AGE_SECONDS },
  };
}

/** The origins whose pages may use a cookie of ours, besides the host that a request reached. */
export const trustedOrigins = ({ publicUrl, corsOrigins }: { publicUrl: string | undefined; corsOrigins: readonly string[] }): Set<string> =>
  new Set([...corsOrigins, ...(publicUrl === undefined ? [] : [new URL(publicUrl).origin])]);

/**
 * Whether a request may come with a cookie, as far as browsers tell: from a page of this host, or of a trusted origin. Programs tell nothing,
 * and nobody can make them send a cookie of somebody else.
 */
export function isFromHere({ origin, host, 'sec-fetch-site': site }: IncomingHttpHeaders, trusted: ReadonlySet<string>): boolean {
  if (origin !== undefined) return trusted.has(origin) || origin === `http://${host}` || origin === `https://${host}`;
  return site === undefined || site === 'same-origin' || site === 'none';
}
