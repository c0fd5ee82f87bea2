import { validateHeaderName, validateHeaderValue } from 'node:http';
import { eachHeader, hopByHop, listOf, type Header, type RawHeaders } from './headers';
import { cookieName } from './request-headers';

/** The header and trailer in which an upstream reports usage. */
const USAGE = 'tollgate-usage';

/** The head of an upstream's answer, made ready for the caller. */
export interface AnswerHead {
  status: number;
  statusMessage: string;
  /** The headers for the caller. */
  headers: string[];
  /** True if the answer has no body, by its status or because the request was HEAD. */
  isBodiless: boolean;
  /** Length of the body, if the upstream said it. */
  contentLength: number | undefined;
  contentType: string;
  contentEncoding: string;
  /** The lines of `Tollgate-Usage`, joined. Undefined if there is none. */
  usage: string | undefined;
}

export interface AnswerHeaderRules {
  method: string;
  /** Headers that the caller gets in any case. The upstream's headers with these names are removed. */
  add: readonly Header[];
  ownCookies: ReadonlySet<string>;
  /** Whether trailers can be passed on to the caller. */
  passTrailers: boolean;
}

/**
 * Makes the head of an answer ready for the caller: removes headers of the connection, `Tollgate-Usage` and Tollgate's own cookies, forbids
 * shared caches to store the answer, and adds headers. Throws if Node could not send a header. Throws if the answer has a transfer coding
 * other than chunked, because its body could not be read.
 */
export function readHead(
  status: number,
  statusMessage: string,
  raw: RawHeaders,
  { method, add, ownCookies, passTrailers }: AnswerHeaderRules,
): AnswerHead {
  const isHopByHop = hopByHop(raw);
  const replaced = new Set(add.map(([name]) => name.toLowerCase()));
  const isBodiless = method === 'HEAD' || status === 204 || status === 304;
  const head: AnswerHead = {
    status,
    statusMessage,
    headers: [],
    isBodiless,
    contentLength: undefined,
    contentType: '',
    contentEncoding: '',
    usage: undefined,
  };
  const trailers: string[] = [];
  validateHeaderValue('reason', statusMessage);
  eachHeader(raw, (lowerName, value, name) => {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    if (lowerName === 'transfer-encoding' && value.toLowerCase() !== 'chunked') throw new Error(`It answered in the coding ${value}.`);
    if (lowerName === 'trailer') trailers.push(...listOf(value));
    else if (lowerName === USAGE) head.usage = joined(head.usage, value);
    else if (lowerName === 'content-length') {
      if (!isBodiless) head.contentLength = Number(value);
      head.headers.push(name, value);
    } else if (isHopByHop(lowerName) || replaced.has(lowerName)) return;
    else if (lowerName === 'set-cookie' && ownCookies.has(cookieName(value))) return;
    else {
      if (lowerName === 'content-type') head.contentType = value;
      if (lowerName === 'content-encoding') head.contentEncoding = joined(head.contentEncoding || undefined, value);
      head.headers.push(name, value);
    }
  });
  const announced = trailers.filter((name) => name.toLowerCase() !== USAGE);
  if (passTrailers && !isBodiless && head.contentLength === undefined && announced.length > 0) {
    head.headers.push('Trailer', announced.join(', '));
  }
  keepFromSharedCaches(head.headers);
  for (const [name, value] of add) head.headers.push(name, value);
  return head;
}

/** Splits the trailers of an answer into the usage and the trailers for the caller. Throws if Node could not send one. */
export function readTrailers(raw: RawHeaders): { usage: string | undefined; trailers: Header[] } {
  let usage: string | undefined;
  const trailers: Header[] = [];
  const isHopByHop = hopByHop([]);
  eachHeader(raw, (lowerName, value, name) => {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    if (lowerName === USAGE) usage = joined(usage, value);
    else if (lowerName !== 'content-length' && !isHopByHop(lowerName)) trailers.push([name, value]);
  });
  return { usage, trailers };
}

const joined = (before: string | undefined, value: string): string => (before === undefined ? value : `${before}, ${value}`);

/** One directive of Cache-Control, with its value, which can be quoted and then have commas. */
const DIRECTIVE = /(?:[^,"]|"(?:[^"\\]|\\.)*"?)+/g;

/**
 * Adds `private` to Cache-Control, in place of `public`, unless it already says `private` or `no-store`. `private` with a value does not
 * count, because it restricts only the headers in its value.
 */
function keepFromSharedCaches(headers: string[]): void {
  const lines = headers.flatMap((name, at) => (at % 2 === 0 && name.toLowerCase() === 'cache-control' ? at : []));
  const directives = lines.flatMap((at) => (headers[at + 1] as string).match(DIRECTIVE) ?? []).map((directive) => directive.trim());
  if (directives.some((directive) => /^(private|no-store)$/i.test(directive))) return;
  const others = directives.filter((directive) => directive !== '' && !/^public$/i.test(directive));
  const [first, ...rest] = lines;
  if (first === undefined) headers.push('Cache-Control', 'private');
  else headers[first + 1] = ['private', ...others].join(', ');
  for (const at of rest.reverse()) headers.splice(at, 2);
}
