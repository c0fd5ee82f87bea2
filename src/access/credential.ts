import { invalid } from '../errors';

const API_KEY = 'X-Api-Key';
const AUTHORIZATION = 'Authorization';

/**
 * The secret that a request carries, in `X-Api-Key` or as a bearer token; undefined if there is none. Takes the headers as they came, names
 * and values in turn: of a repeated `Authorization`, Node keeps only the first. INVALID_REQUEST if two secrets differ; equal ones count once.
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

/** Compares lengths first: this looks at every header of every call. */
function headerNamed(name: string): typeof API_KEY | typeof AUTHORIZATION | undefined {
  if (name.length === API_KEY.length) return name.toLowerCase() === 'x-api-key' ? API_KEY : undefined;
  return name.length === AUTHORIZATION.length && name.toLowerCase() === 'authorization' ? AUTHORIZATION : undefined;
}

const bearerIn = (value: string): string => /^bearer +(.*)$/i.exec(value)?.[1]?.trim() ?? '';

const conflictOf = (name: string, other: string) =>
  name === other
    ? invalid({ path: [name], message: 'came twice with different secrets; send one' })
    : invalid({ path: [AUTHORIZATION], message: `carries another secret than ${API_KEY}; send one` });
