import { invalid } from '../errors';

const API_KEY = 'X-Api-Key';
const AUTHORIZATION = 'Authorization';

/**
 * The secret of a request, from `X-Api-Key` or a bearer token, or undefined. Takes the raw headers, a list of names and values, because
 * Node's parsed headers keep only the first `Authorization`. Throws INVALID_REQUEST if two secrets differ. The same secret twice is
 * allowed.
 */
export function secretFrom(rawHeaders: readonly string[]): string | undefined {
  let secret: string | undefined;
  let header = '';
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = headerNamed(rawHeaders[index] as string);
    if (name === undefined) continue;
    const value = rawHeaders[index + 1] as string;
    const found = name === API_KEY ? value.trim() : bearerIn(value);
    if (found === '' || found === secret) continue;
    if (secret !== undefined) throw conflictOf(name, header);
    secret = found;
    header = name;
  }
  return secret;
}

/** Compares lengths first, because it runs for every header of every call. */
function headerNamed(name: string): typeof API_KEY | typeof AUTHORIZATION | undefined {
  if (name.length === API_KEY.length) return name.toLowerCase() === 'x-api-key' ? API_KEY : undefined;
  return name.length === AUTHORIZATION.length && name.toLowerCase() === 'authorization' ? AUTHORIZATION : undefined;
}

const bearerIn = (value: string): string => /^bearer +(.*)$/i.exec(value)?.[1]?.trim() ?? '';

const conflictOf = (name: string, other: string) =>
  name === other
    ? invalid({ path: [name], message: 'was sent twice with different secrets. Send one secret.' })
    : invalid({ path: [AUTHORIZATION], message: `has a different secret than ${API_KEY}. Send one secret.` });
