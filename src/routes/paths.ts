// The paths of requests and of routes, compared in one canonical form. An encoded character means the same as the character itself: this is
// unambiguous because a path with an encoded slash is refused. The upstream gets the path as the caller wrote it.

/** Most paths: they have no fault, and are canonical as they are. */
const PLAIN = /^(?:\/[0-9A-Za-z_~-][0-9A-Za-z._~-]*)+\/?$/;

/** A path in its canonical form, or a fault. The text of a fault ends a sentence that begins with "The path". */
export type ReadPath = { canonical: string } | { fault: string };

/**
 * Reads a path without its query. Refuses every path that an upstream may read as another path: proxies and servers disagree about encoded
 * slashes, backslashes, dot segments and empty segments.
 */
export function readPath(path: string): ReadPath {
  if (PLAIN.test(path)) return { canonical: path };
  if (!path.startsWith('/')) return { fault: 'must begin with /' };
  if (/[^\x21-\x7e\x80-\xff]|[\\#?]/.test(path)) return { fault: 'must not contain a backslash, #, ?, a blank or a control character' };
  const segments: string[] = [];
  const encoded = path.slice(1).replace(/[\x80-\xff]/g, (byte) => encodedByte(byte)); // some clients send bytes of UTF-8 unencoded
  for (const segment of encoded.split('/')) {
    const decoded = decode(segment);
    if (decoded === undefined) return { fault: 'must be percent-encoded UTF-8; write % itself as %25' };
    if (/[/\\\0]/.test(decoded)) return { fault: 'must not contain an encoded slash, backslash or zero byte (%2F, %5C, %00)' };
    if (/^\.\.?(;|$)/.test(decoded)) return { fault: 'must not contain a segment . or .., even if it is encoded' };
    segments.push(encode(decoded));
  }
  if (segments.slice(0, -1).includes('')) return { fault: 'must not contain an empty segment (//)' };
  return { canonical: `/${segments.join('/')}` };
}

function decode(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

/** Encodes everything but letters, digits and -._~ */
const encode = (segment: string): string => encodeURIComponent(segment).replace(/[!'()*]/g, encodedByte);

const encodedByte = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;

/** The parts of a request target. `host` is only in the absolute form, and may have a port. `query` begins with `?`, or is empty. */
export interface RequestTarget {
  host: string | undefined;
  path: string;
  query: string;
}

/** Splits a request target such as `/v1/items?page=2` or `http://api.example.com/v1/items`. */
export function splitTarget(rawUrl: string): RequestTarget {
  const [origin = '', host] = /^https?:\/\/([^/?#]*)/i.exec(rawUrl) ?? [];
  const rest = rawUrl.slice(origin.length);
  const at = rest.indexOf('?');
  const path = at === -1 ? rest : rest.slice(0, at);
  return { host, path: path === '' && host !== undefined ? '/' : path, query: at === -1 ? '' : rest.slice(at) };
}

/** The host of a `Host` header or of a URL, as routes have it: in lower case, without port. IPv6 addresses keep their brackets. */
export function hostOf(authority: string): string {
  const host = authority.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
  return host.startsWith('[') && URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : host;
}

/** Whether the segment of a route's path is a parameter such as `:id`. */
const isParameter = (segment: string): boolean => segment.startsWith(':');

/** The names of the parameters of a route's path, and `*` if it ends with a wildcard. */
export const parametersOf = (path: string): string[] =>
  path.split('/').flatMap((segment) => (isParameter(segment) ? segment.slice(1) : segment === '*' ? '*' : []));

/** The canonical form of a route's path, with `:` for each parameter. Routes with the same shape match the same paths. */
export function shapeOf(path: string): string {
  const shape = path
    .split('/')
    .slice(1)
    .map((segment) => (isParameter(segment) ? ':' : segment === '*' ? '*' : canonicalSegment(segment)));
  return `/${shape.join('/')}`;
}

function canonicalSegment(segment: string): string {
  const read = readPath(`/${segment}`);
  if ('fault' in read) throw new Error(`The path of a route ${read.fault}: ${segment}`); // the rule for paths has refused it
  return read.canonical.slice(1);
}

/** The parameters of a request, as they are encoded in its path. Both paths must match. */
export function valuesOf(routePath: string, requestPath: string): Record<string, string> {
  const given = requestPath.split('/');
  const values: Record<string, string> = {};
  routePath.split('/').forEach((segment, index) => {
    if (isParameter(segment)) values[segment.slice(1)] = given[index] ?? '';
    else if (segment === '*') values['*'] = given.slice(index).join('/');
  });
  return values;
}

/** Puts values of parameters into a path. */
export const fillPath = (path: string, values: Record<string, string>): string =>
  path
    .split('/')
    .map((segment) => (isParameter(segment) ? (values[segment.slice(1)] ?? '') : segment === '*' ? (values['*'] ?? '') : segment))
    .join('/');
