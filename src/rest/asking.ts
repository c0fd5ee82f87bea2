import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest, preParsingHookHandler } from 'fastify';
import { secretFrom } from '../access/credential';
import type { Authenticator } from '../gate/authenticator';
import { sendError } from './answer';
import { isLarge, type ArrivingBodies } from './arriving-bodies';
import { mediaRefusal, versionRefusal } from './json-request';

// What the routes for other servers have in common: a server asks with its own credential in the header, and a JSON body.

export interface AskingDeps {
  authenticator: Pick<Authenticator, 'bySecret'>;
  bodies: Pick<ArrivingBodies, 'admit'>;
}

/** Adds the parser of bodies and the checks of headers. Later, `request.secret` is the secret of the asker: it may be the root key. */
export function prepareAsking(rest: FastifyInstance, { authenticator, bodies }: AskingDeps): void {
  rest.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  rest.addHook('onRequest', (request: FastifyRequest, reply: FastifyReply, done) => {
    const secret = secretFrom(request.raw.rawHeaders);
    const refusal =
      secret === undefined
        ? ({ code: 'MISSING_API_KEY', details: { header: 'Authorization' } } as const)
        : (versionRefusal(request) ?? mediaRefusal(request));
    if (refusal) return void sendError(reply, request.requestId, refusal);
    request.secret = secret as string;
    done();
  });
  const admitLarge: preParsingHookHandler = (request, reply, payload, done) => {
    if (!isLarge(request)) return done(null, payload);
    const principalOf = () => authenticator.bySecret(request.secret, request.address);
    bodies.admit(request, reply, payload as Parameters<ArrivingBodies['admit']>[2], principalOf).then((body) => done(null, body), done);
  };
  rest.addHook('preParsing', admitLarge);
}

/** SHA-256 of a value as JSON with sorted names, so that the order of names does not matter. */
export function fingerprintOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value, sorted)).digest('base64url');
}

function sorted(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
