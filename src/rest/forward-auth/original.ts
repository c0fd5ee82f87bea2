import type { IncomingMessage } from 'node:http';
import { invalid } from '../../errors';
import type { Asked } from '../forward/matching';

// The ways in which proxies tell the request that they ask about. Reads raw headers: a header that is there twice may be the client's own
// beside the proxy's, and Node would join them.

/** `nginx`; `forwarded`: Traefik, Caddy and APISIX; `envoy`. */
export type Dialect = 'nginx' | 'forwarded' | 'envoy';

/** A question of a proxy: its dialect, and the target after the prefix, which Envoy adds to the target of the request. */
export interface Question {
  dialect: Dialect;
  target: string;
}

const PREFIX = '/v1/forward-auth/';

/** The question that a URL asks, or undefined. */
export function questionIn(url: string): Question | undefined {
  if (!url.startsWith(PREFIX)) return undefined;
  const [, dialect, target = ''] = /^(?:(nginx|forwarded)(?:\?.*)?|envoy(\/.*))$/.exec(url.slice(PREFIX.length)) ?? [];
  if (dialect !== undefined) return { dialect: dialect as Dialect, target: '' };
  return target === '' ? undefined : { dialect: 'envoy', target };
}

/** The request that a proxy asks about. Throws INVALID_REQUEST if a header is missing, there twice, or not valid. */
export function originalOf({ dialect, target }: Question, incoming: IncomingMessage): Asked {
  const { method = '', headers, rawHeaders } = incoming;
  const header = (name: string): string => only(rawHeaders, name) ?? fail(name, 'is required; the proxy must send it');
  const hostIn = (name: string): string => {
    const host = header(name);
    return /[\s,/\\?#@]/.test(host) ? fail(name, 'is not a host') : host;
  };
  const pathIn = (name: string): string => {
    const url = header(name);
    return url.startsWith('/') ? url : fail(name, 'must be a path with its query, such as /v1/items?page=2');
  };
  switch (dialect) {
    case 'nginx': {
      const host = hostIn(headers['x-original-host'] === undefined ? 'Host' : 'X-Original-Host');
      return { method: header('X-Original-Method'), host, url: pathIn('X-Original-URI'), headers };
    }
    case 'forwarded':
      return { method: header('X-Forwarded-Method'), host: hostIn('X-Forwarded-Host'), url: pathIn('X-Forwarded-Uri'), headers };
    case 'envoy':
      return { method, host: hostIn('Host'), url: target, headers };
  }
}

/** The value of a header, or undefined if it is missing or empty. Throws INVALID_REQUEST if it is there twice. */
export function only(rawHeaders: readonly string[], name: string): string | undefined {
  const values = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name.toLowerCase());
  if (values.length > 1) fail(name, 'was sent twice; the proxy must replace what a client sends');
  return values[0] || undefined;
}

/** Throws INVALID_REQUEST about a header. */
export function fail(name: string, message: string): never {
  throw invalid({ path: [name], message });
}
