import type { IncomingHttpHeaders } from 'node:http';

/** A cookie that scripts cannot read and forms of other sites do not send. */
interface Cookie {
  name: string;
  options: { httpOnly: true; sameSite: 'lax'; path: '/'; secure: boolean; maxAge: number };
}

/** The cookies of this server. */
export interface BrowserCookies {
  /** The token of a session. */
  session: Cookie;
  /** Proof that the browser signed in before. See devices.ts. */
  device: Cookie;
}

/** The values of the cookies of a request. */
export interface Held {
  session: string | undefined;
  device: string | undefined;
}

const SESSION_MAX_AGE_SECONDS = 2_592_000; // 30 days, the longest session
const DEVICE_MAX_AGE_SECONDS = 34_560_000; // 400 days, the longest time that browsers keep a cookie

/** Over HTTPS, the names begin with `__Host-`: a browser then accepts them only over TLS and only from this host. */
export function browserCookies(publicUrl: string | undefined): BrowserCookies {
  const secure = publicUrl?.startsWith('https:') ?? false;
  const cookie = (name: string, maxAge: number): Cookie => ({
    name: secure ? `__Host-${name}` : name,
    options: { httpOnly: true, sameSite: 'lax', path: '/', secure, maxAge },
  });
  return { session: cookie('tollgate_session', SESSION_MAX_AGE_SECONDS), device: cookie('tollgate_device', DEVICE_MAX_AGE_SECONDS) };
}

/** Reads the cookies of a request. */
export const heldIn = ({ cookies }: { cookies: Record<string, string | undefined> }, { session, device }: BrowserCookies): Held => ({
  session: cookies[session.name] || undefined,
  device: cookies[device.name] || undefined,
});

/** The methods of an answer that set cookies. */
interface CookieJar {
  setCookie(name: string, value: string, options: Cookie['options']): unknown;
  clearCookie(name: string, options: Cookie['options']): unknown;
}

/** Sets the given cookies. Null removes the session cookie; undefined changes nothing. */
export function keepIn(jar: CookieJar, { session, device }: BrowserCookies, kept: Kept): void {
  if (kept.session === null) jar.clearCookie(session.name, session.options);
  else if (kept.session !== undefined) jar.setCookie(session.name, kept.session, session.options);
  if (kept.device !== undefined) jar.setCookie(device.name, kept.device, device.options);
}

export interface Kept {
  session?: string | null;
  device?: string;
}

/** The origins with pages that may send the cookies of this server. */
export interface TrustedOrigins {
  origins: ReadonlySet<string>;
  /** Whether to trust the origin with the host of the request. True if PUBLIC_URL is not set. */
  ownHost: boolean;
}

export const trustedOrigins = ({
  publicUrl,
  corsOrigins,
}: {
  publicUrl: string | undefined;
  corsOrigins: readonly string[];
}): TrustedOrigins => ({
  origins: new Set([...corsOrigins, ...(publicUrl === undefined ? [] : [new URL(publicUrl).origin])]),
  ownHost: publicUrl === undefined,
});

/**
 * Whether a request may use its cookies: yes if its headers say that it comes from a trusted origin, or if it has no such headers. Only
 * programs send no such headers, and another site cannot make a program send a person's cookie.
 */
export function isFromHere({ origin, host, 'sec-fetch-site': site }: IncomingHttpHeaders, { origins, ownHost }: TrustedOrigins): boolean {
  if (origin === 'null') return false; // browsers send this to hide an origin
  if (origin !== undefined) return origins.has(origin) || (ownHost && (origin === `http://${host}` || origin === `https://${host}`));
  return site === undefined || site === 'same-origin' || site === 'none';
}
