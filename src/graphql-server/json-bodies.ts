import type { FastifyInstance } from 'fastify';
import { TollgateError } from '../errors';
import { tooManyValues } from '../graphql/limits';
import { TooManyValues, hasInexactNumber, requireFewParts } from '../lib/json-text';

const INEXACT_NUMBER =
  'A number in the request does not fit a 64-bit float exactly. Send fewer digits, or a number in the range of a 64-bit float.';
/** The most commas outside strings in a request. Bounds the numbers to check for lost digits. A request within MAX_VALUES has fewer. */
const MAX_BODY_COMMAS = 20_000;

/** Refuses a JSON body with a number that JavaScript would round, or with so many parts that parsing would block other requests. */
export function parseJsonStrictly(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body: string, done) => {
    try {
      requireFewParts(body, MAX_BODY_COMMAS);
    } catch (error) {
      if (error instanceof TooManyValues) return done(tooManyValues(MAX_BODY_COMMAS));
      return done(invalidRequest(`The request ${(error as Error).message}.`));
    }
    void parse(request, body, (error, value) => {
      if (error) done(error);
      else if (hasInexactNumber(body)) done(invalidRequest(INEXACT_NUMBER));
      else done(null, value);
    });
  });
}

/** The error for a request that as a whole is wrong. */
export const invalidRequest = (message: string): TollgateError =>
  new TollgateError('INVALID_REQUEST', message, { issues: [{ path: [], message }] });
