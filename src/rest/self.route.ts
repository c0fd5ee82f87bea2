import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { secretFrom } from '../access/credential';
import { kindOfSecret } from '../access/secret';
import type { Gate } from '../gate/gate';
import type { Self } from '../gate/self';
import { sendError, setRateHeaders } from './answer';
import { namedProjectOf, statedProjectOf, versionRefusal } from './json-request';

/** The answer, for the OpenAPI document. */
export const selfAnswer = z
  .object({
    id: z.string(),
    name: z.string(),
    kind: z.string().meta({ description: '`API_KEY`, `SERVICE_ACCOUNT` or `OAUTH_CLIENT`.' }),
    environment: z.string().meta({ description: '`LIVE` or `TEST`. Nothing is charged for TEST.' }),
    permissions: z.array(z.string()),
    expiresAt: z.iso.datetime().nullable(),
    project: z.object({ id: z.string(), name: z.string() }),
    rateLimit: z.object({
      sustainedRps: z.number().meta({ description: 'Sustained calls per second.' }),
      burst: z.int().meta({ description: 'The most calls at once after a pause.' }),
      remaining: z.int().meta({ description: 'Calls that are allowed now.' }),
      resetMs: z.int().meta({ description: 'Milliseconds until one more call is allowed.' }),
    }),
    budget: z.object({ availableMicroCredits: z.int().meta({ description: 'Credits of the project for its next calls.' }) }),
  })
  .meta({ id: 'Self' });

/** Registers `GET /v1/self`: a credential asks what it is and what it has left. */
export function registerSelf(rest: FastifyInstance, gate: Gate): void {
  rest.get('/v1/self', async (request, reply) => {
    const secret = secretFrom(request.raw.rawHeaders);
    if (secret === undefined) return sendError(reply, request.requestId, { code: 'MISSING_API_KEY', details: { header: 'Authorization' } });
    const credentialKind = kindOfSecret(secret);
    if (credentialKind === undefined) {
      gate.countUnknown();
      return sendError(reply, request.requestId, { code: 'INVALID_API_KEY', details: {} });
    }
    const refusal = versionRefusal(request);
    if (refusal) return sendError(reply, request.requestId, refusal);
    const statedProjectId = statedProjectOf(request);
    const namedProjectId = namedProjectOf({ credentialKind }, statedProjectId);
    const self = await gate.self.read({ secret, credentialKind, namedProjectId, statedProjectId, ip: request.address });
    setRateHeaders(reply, self.rate);
    return answerOf(self);
  });
}

function answerOf({ credential, projectName, rate, availableMicroCredits }: Self): z.input<typeof selfAnswer> {
  const { id, name, credentialKind: kind, environment, permissions, expiresAt, projectId } = credential;
  return {
    id,
    name,
    kind,
    environment,
    permissions: [...permissions],
    expiresAt: expiresAt === null ? null : new Date(expiresAt).toISOString(),
    project: { id: projectId, name: projectName },
    rateLimit: { ...rate.limit, remaining: rate.remaining, resetMs: Math.ceil(rate.untilNextUs / 1_000) },
    budget: { availableMicroCredits },
  };
}
