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

/** The token of the session that a request comes with. */
export const tokenIn = ({ cookies }: { cookies: Record<string, string | undefined> }, { name }: SessionCookie): string | undefined => cookies[name] || undefined;

/** Whose pages may use a cookie of ours. */
export interface TrustedOrigins {
  origins: ReadonlySet<string>;
  /** Whether those of the host that a request reached may: where nobody has said what this server's own origin is. */
  ownHost: boolean;
}

export const trustedOrigins = ({ publicUrl, corsOrigins }: { publicUrl: string | undefined; corsOrigins: readonly string[] }): TrustedOrigins => ({
  origins: new Set([...corsOrigins, ...(publicUrl === undefined ? [] : [new URL(publicUrl).origin])]),
  ownHost: publicUrl === undefined,
});

/**
 * Whether a request may come with a cookie, as far as browsers tell: from a page of a trusted origin. Programs tell nothing, and nobody can
 * make them send a cookie of somebody else.
 */
export function isFromHere({ origin, host, 'sec-fetch-site': site }: IncomingHttpHeaders, { origins, ownHost }: TrustedOrigins): boolean {
  if (origin === 'null') return false; // what a browser says where it tells no origin
  if (origin !== undefined) return origins.has(origin) || (ownHost && (origin === `http://${host}` || origin === `https://${host}`));
  return site === undefined || site === 'same-origin' || site === 'none';
}
