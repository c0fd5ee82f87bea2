import type { IncomingHttpHeaders } from 'node:http';

/** No script reads it, and no other site's form sends it. */
interface Cookie {
  name: string;
  options: { httpOnly: true; sameSite: 'lax'; path: '/'; secure: boolean; maxAge: number };
}

/** The cookies that this server has a browser keep. */
export interface BrowserCookies {
  /** The token of a session. */
  session: Cookie;
  /** Proof that the browser signed in before: see devices.ts. */
  device: Cookie;
}

/** What a browser keeps in them. */
export interface Held {
  session: string | undefined;
  device: string | undefined;
}

const SESSION_MAX_AGE_SECONDS = 2_592_000; // as long as a session lasts at most
const DEVICE_MAX_AGE_SECONDS = 34_560_000; // 400 days, as long as browsers keep a cookie

/** With `__Host-` a browser takes them over TLS alone, and from this host alone. */
export function browserCookies(publicUrl: string | undefined): BrowserCookies {
  const secure = publicUrl?.startsWith('https:') ?? false;
  const cookie = (name: string, maxAge: number): Cookie => ({
    name: secure ? `__Host-${name}` : name,
    options: { httpOnly: true, sameSite: 'lax', path: '/', secure, maxAge },
  });
  return { session: cookie('tollgate_session', SESSION_MAX_AGE_SECONDS), device: cookie('tollgate_device', DEVICE_MAX_AGE_SECONDS) };
}

/** What the browser of a request holds. */
export const heldIn = ({ cookies }: { cookies: Record<string, string | undefined> }, { session, device }: BrowserCookies): Held => ({
  session: cookies[session.name] || undefined,
  device: cookies[device.name] || undefined,
});

/** The part of an answer that sets cookies. */
interface CookieJar {
  setCookie(name: string, value: string, options: Cookie['options']): unknown;
  clearCookie(name: string, options: Cookie['options']): unknown;
}

/** Has a browser keep what is given; null removes the session. */
export function keepIn(jar: CookieJar, { session, device }: BrowserCookies, kept: Kept): void {
  if (kept.session === null) jar.clearCookie(session.name, session.options);
  else if (kept.session !== undefined) jar.setCookie(session.name, kept.session, session.options);
  if (kept.device !== undefined) jar.setCookie(device.name, kept.device, device.options);
}

export interface Kept {
  session?: string | null;
  device?: string;
}

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
