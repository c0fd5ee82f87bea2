import { CREDENTIAL_CODES, failures, type RestCode } from './openapi/failures';
import { json, ref, schemasOf, type Operation, type Part } from './openapi/part';
import { withSecret } from './openapi/security';
import {
  MAX_VERIFICATIONS,
  extendBody,
  extendedAnswer,
  notVerifiedAnswer,
  settleBody,
  settledAnswer,
  verification,
  verifiedAnswer,
  voidBody,
  voidedAnswer,
} from './verify.schema';

/** The refusals of the asker itself, not those of the credentials that it asks about. */
const ASKING_CODES = [
  'INVALID_REQUEST',
  ...CREDENTIAL_CODES,
  'FORBIDDEN',
  'PAYLOAD_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'INTERNAL',
  'SERVICE_UNAVAILABLE',
  'OUTCOME_UNKNOWN',
] as const satisfies RestCode[];
const VERIFY_CODES: RestCode[] = [...ASKING_CODES, 'REQUEST_ID_REUSED', 'RATE_LIMITED'];
const HOLD_CODES: RestCode[] = [...ASKING_CODES, 'NOT_FOUND', 'ALREADY_SETTLED', 'HOLD_EXPIRED'];

const NEEDS = 'Needs the permission `verify.keys`.';

const batchOf = (items: object, limits: object = {}): object => ({
  type: 'object',
  required: ['verifications'],
  properties: { verifications: { type: 'array', items, ...limits } },
});

const ANSWERS = [ref('Verified'), ref('NotVerified')];

function onHold(name: string, summary: string, body: string, answer: string): { post: Operation } {
  return {
    post: {
      operationId: `${name}Hold`,
      tags: ['Verification'],
      summary,
      description: `${NEEDS} A repeat with the same body gets the same answer.`,
      security: withSecret('verify.keys'),
      parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' }, description: 'The id of the hold.' }],
      requestBody: { required: true, content: json(ref(body)) },
      responses: { 200: { description: 'The hold after the request.', content: json(ref(answer)) }, ...failures(HOLD_CODES) },
    },
  };
}

export const verify: Part = {
  paths: {
    '/v1/keys/verify': {
      post: {
        operationId: 'verifyKeys',
        tags: ['Verification'],
        summary: 'Ask whether credentials may call, and bill or hold their calls',
        description: `${NEEDS} Up to ${MAX_VERIFICATIONS} questions in one request are answered in their order.`,
        security: withSecret('verify.keys'),
        requestBody: {
          required: true,
          content: json({ oneOf: [ref('Verification'), batchOf(ref('Verification'), { minItems: 1, maxItems: MAX_VERIFICATIONS })] }),
        },
        responses: {
          200: {
            description: 'Whether the credentials may call.',
            content: json({ oneOf: [...ANSWERS, batchOf({ oneOf: ANSWERS })] }),
          },
          ...failures(VERIFY_CODES),
        },
      },
    },
    '/v1/holds/{id}/settle': onHold('settle', 'Charge the call of a hold', 'Settle', 'Settled'),
    '/v1/holds/{id}/void': onHold('void', 'End a hold without a charge', 'Void', 'Voided'),
    '/v1/holds/{id}/extend': onHold('extend', 'Move the expiry of a hold', 'Extend', 'Extended'),
  },
  schemas: {
    ...schemasOf(verification, verifiedAnswer, notVerifiedAnswer),
    ...schemasOf(settleBody, settledAnswer, voidBody, voidedAnswer, extendBody, extendedAnswer),
  },
};
