import { z } from 'zod';
import { ERRORS, type ErrorCode } from '../../errors';
import { isChallenged, saysWhenToRetry } from '../answer';
import { httpStatusOf } from '../status';
import { headers } from './headers';
import { json, ref, schemaOf, type Responses } from './part';

// Errors of REST in the document: one schema and one example for each code.

/** Codes that only GraphQL answers. */
type GraphQLCode = 'CONFLICT' | 'QUERY_TOO_COMPLEX' | 'SIGN_IN_FAILED';
/** Codes that only requests of the seller's own routes get. The document does not describe these routes. */
type ForwardCode = 'CALLER_GONE' | 'LOOP_DETECTED' | 'UPGRADE_NOT_SUPPORTED' | 'UPSTREAM_STATUS';
export type RestCode = Exclude<ErrorCode, GraphQLCode | ForwardCode>;

/** The `details` of a code, and an example of them. */
interface Details {
  schema: z.ZodObject;
  example: object;
}

const details = <Shape extends z.ZodRawShape>(shape: Shape, example: z.input<z.ZodObject<Shape>>): Details => ({
  schema: z.object(shape),
  example,
});
const nothing: Details = { schema: z.looseObject({}), example: {} };

const time = z.string().meta({ format: 'date-time' });
const amount = z.int().meta({ description: 'In micro-credits, 1 USD = 1,000,000.' });
/** Optional, because only calls have the details of a key. Exports refuse it without them. */
const keyId = z.string().meta({ description: 'The key or service account. Absent in answers of exports.' }).optional();
const since = time.meta({ description: 'Absent in answers of exports.' }).optional();
const header = z.string().meta({ description: 'The header that the error is about.' });

const issues = z
  .array(z.object({ path: z.array(z.union([z.string(), z.int()])), message: z.string() }))
  .meta({ description: 'Each problem, and the path from the root of the input to its place.' });

const KEY = { key_id: 'key_0VKq3Zb1M8fD2sYt6Hc0Qw' };

/** Names are in snake_case. */
const DETAILS: Record<RestCode, Details> = {
  INVALID_REQUEST: details({ issues }, { issues: [{ path: ['params'], message: 'must be an object' }] }),
  METHOD_NOT_ALLOWED: nothing,
  UNSUPPORTED_MEDIA_TYPE: nothing,
  MISSING_API_KEY: details({ header }, { header: 'Authorization' }),
  INVALID_API_KEY: nothing,
  REVOKED_API_KEY: details({ key_id: keyId, revoked_at: since }, { ...KEY, revoked_at: '2026-11-21T09:30:00.000Z' }),
  EXPIRED_API_KEY: details({ key_id: keyId, expired_at: since }, { ...KEY, expired_at: '2026-11-21T09:30:00.000Z' }),
  DISABLED_API_KEY: details({ key_id: keyId }, KEY),
  PAYMENT_REQUIRED: details(
    { price_micro_credits: amount, available_micro_credits: amount },
    { price_micro_credits: 1_000, available_micro_credits: 250 },
  ),
  FORBIDDEN: details({ required_permission: z.string() }, { required_permission: 'demo.echo' }),
  IP_NOT_ALLOWED: nothing,
  PROXY_NOT_TRUSTED: nothing,
  NOT_FOUND: details({ header: header.optional() }, {}),
  UNKNOWN_ACTION: details({ action: z.string() }, { action: 'demo.nothing' }),
  REQUEST_IN_PROGRESS: nothing,
  REPLAY_UNAVAILABLE: details({ charged_micro_credits: amount }, { charged_micro_credits: 1_000 }),
  REQUEST_ID_REUSED: nothing,
  ALREADY_SETTLED: details(
    {
      outcome: z.string().meta({ description: '`SUCCEEDED` or `FAILED`.' }),
      charged_micro_credits: amount,
      error_code: z.string().meta({ description: 'The code of a void.' }).optional(),
    },
    { outcome: 'SUCCEEDED', charged_micro_credits: 1_000 },
  ),
  HOLD_EXPIRED: nothing,
  PAYLOAD_TOO_LARGE: details({ limit_bytes: z.int() }, { limit_bytes: 10_485_760 }),
  RATE_LIMITED: details(
    { retry_after_ms: z.int().meta({ description: 'Milliseconds to wait.' }), violated_policies: z.array(z.string()) },
    { retry_after_ms: 250, violated_policies: ['project'] },
  ),
  UPSTREAM_FAILED: nothing,
  UPSTREAM_TIMEOUT: nothing,
  SERVICE_UNAVAILABLE: nothing,
  OUTCOME_UNKNOWN: nothing,
  INTERNAL: nothing,
};

/** Every code that REST answers. */
export const REST_CODES = Object.keys(DETAILS) as RestCode[];

/** The name of the schema of an error: RATE_LIMITED becomes RateLimitedError. */
function nameOf(code: RestCode): string {
  const words = code.split('_').map((word) => `${word.slice(0, 1)}${word.slice(1).toLowerCase()}`);
  return `${words.join('')}Error`;
}

const UNKNOWN_CODES =
  '`code` tells which error it is. Later versions may answer with other codes and with more properties. ' +
  'Accept them, and treat an unknown `code` like its `status`, or like the HTTP status.';

/** `Failure`, and the schema of `error` for each code. Clients can tell them apart by `code`. */
export const failureSchemas: Record<string, object> = {
  Failure: {
    type: 'object',
    properties: {
      ok: { type: 'boolean', const: false },
      success: { type: 'boolean', const: false },
      requestId: { type: 'string', format: 'uuid', description: 'Chosen by the caller; otherwise made by the server.' },
      error: {
        description: UNKNOWN_CODES,
        oneOf: REST_CODES.map((code) => ref(nameOf(code))),
        discriminator: {
          propertyName: 'code',
          mapping: Object.fromEntries(REST_CODES.map((code) => [code, `#/components/schemas/${nameOf(code)}`])),
        },
      },
    },
    required: ['ok', 'success', 'requestId', 'error'],
  },
  ...Object.fromEntries(REST_CODES.map((code) => [nameOf(code), errorSchema(code)])),
};

function errorSchema(code: RestCode): object {
  return {
    type: 'object',
    description: ERRORS[code].message,
    properties: {
      status: { type: 'string', const: ERRORS[code].kind },
      code: { type: 'string', const: code },
      message: { type: 'string', description: 'For people. Do not compare it, because it may change.' },
      details: schemaOf(DETAILS[code].schema),
    },
    required: ['status', 'code', 'message', 'details'],
  };
}

/** An example of each error, by code. */
export const failureExamples: Record<string, object> = Object.fromEntries(
  REST_CODES.map((code) => {
    const { kind, message } = ERRORS[code];
    const error = { status: kind, code, message, details: DETAILS[code].example };
    const value = { ok: false, success: false, requestId: '019abf2e-6f2c-7cc3-98c4-dc0c0c07398f', error };
    return [code, { summary: `HTTP ${httpStatusOf(code)}`, value }];
  }),
);

/** The refusals of a credential. */
export const CREDENTIAL_CODES = [
  'MISSING_API_KEY',
  'INVALID_API_KEY',
  'REVOKED_API_KEY',
  'EXPIRED_API_KEY',
  'DISABLED_API_KEY',
  'IP_NOT_ALLOWED',
] as const satisfies RestCode[];

/** Returns the answers for error codes, by HTTP status. `withRate` lists the codes whose answers have the headers of the rate limit. */
export function failures(codes: readonly RestCode[], withRate: readonly RestCode[] = []): Responses {
  const byStatus = new Map<number, RestCode[]>();
  for (const code of codes) byStatus.set(httpStatusOf(code), [...(byStatus.get(httpStatusOf(code)) ?? []), code]);
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      status,
      {
        description: codes.map((code) => `\`${code}\`: ${ERRORS[code].message}`).join(' '),
        headers: headers(
          ...(codes.some(saysWhenToRetry) ? (['Retry-After'] as const) : []),
          ...(codes.some(isChallenged) ? (['WWW-Authenticate'] as const) : []),
          ...(codes.includes('METHOD_NOT_ALLOWED') ? (['Allow'] as const) : []),
          ...(codes.some((code) => withRate.includes(code)) ? (['RateLimit', 'RateLimit-Policy'] as const) : []),
        ),
        content: json(ref('Failure'), {
          examples: Object.fromEntries(codes.map((code) => [code, { $ref: `#/components/examples/${code}` }])),
        }),
      },
    ]),
  );
}
