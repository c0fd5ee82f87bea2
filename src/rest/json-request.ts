import { isUtf8 } from 'node:buffer';
import type { FastifyRequest } from 'fastify';
import { NAMES_ITS_PROJECT } from '../access/secret';
import { invalid, validate } from '../errors';
import { PROJECT_HEADER } from '../gate/checks';
import { DuplicateNames, TooManyParts, readJson } from '../lib/json-text';
import { idRule } from '../lib/rules';
import type { ErrorAnswer } from './answer';
import { PLAIN_BODY, isEncoded } from './arriving-bodies';

// The parts that the routes with a JSON body, or with the project of a call, have in common.

const API_VERSION = '1';
const DUPLICATE_NAMES = 'has an object with two members of the same name, and parsers disagree on which one counts: send each name once';

/** A request of any route. */
export type AnyRequest = Pick<FastifyRequest, 'headers' | 'credentialKind'>;

export const NO_BODY = Buffer.alloc(0);

export function headerOf(request: Pick<FastifyRequest, 'headers'>, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** The refusal of a version of the contract that does not exist, or undefined. */
export function versionRefusal(request: AnyRequest): ErrorAnswer | undefined {
  const version = headerOf(request, 'x-api-version');
  if (version === undefined || version === API_VERSION) return undefined;
  return invalid({ path: ['X-Api-Version'], message: `must be ${API_VERSION}` });
}

/** The refusal of a body that is not plain JSON, or undefined. */
export function mediaRefusal(request: AnyRequest): ErrorAnswer | undefined {
  // Checked here too, because Fastify accepts an empty body without a type
  if (!/^application\/json\s*(;|$)/i.test(headerOf(request, 'content-type') ?? '')) return { code: 'UNSUPPORTED_MEDIA_TYPE', details: {} };
  return isEncoded(request) ? { code: 'UNSUPPORTED_MEDIA_TYPE', message: PLAIN_BODY, details: {} } : undefined;
}

/** Parses a body as `readJson` does. Throws INVALID_REQUEST. */
export function parseJson(raw: Buffer, member = ''): ReturnType<typeof readJson> {
  // Otherwise decoding replaces such bytes with U+FFFD, and the reader gets another text than the caller sent
  if (!isUtf8(raw)) throw invalid({ path: [], message: 'is not UTF-8' });
  try {
    return readJson(raw.toString(), member);
  } catch (error) {
    if (error instanceof DuplicateNames) throw invalid({ path: [], message: DUPLICATE_NAMES });
    if (error instanceof TooManyParts) throw invalid({ path: [], message: error.message });
    throw invalid({ path: [], message: 'is not JSON' });
  }
}

/** Returns the project in the header X-Project-Id, or null without that header. Throws INVALID_REQUEST if it is not an id. */
export function statedProjectOf(request: AnyRequest): string | null {
  const name = headerOf(request, PROJECT_HEADER.toLowerCase());
  return name === undefined ? null : validate(idRule, name, PROJECT_HEADER);
}

/**
 * Returns the stated project for a credential that can call in several projects. Returns null for other credentials: their project is
 * fixed.
 */
export function namedProjectOf({ credentialKind }: Pick<AnyRequest, 'credentialKind'>, stated: string | null): string | null {
  return NAMES_ITS_PROJECT.has(credentialKind) ? stated : null;
}
