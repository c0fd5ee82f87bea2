import { validate as isUuid } from 'uuid';
import { z } from 'zod';
import { MAX_GRANTED_PERMISSIONS } from '../access/permissions';
import { ACTION_PATTERN, SERVICE_PATTERN } from '../actions/action.service';
import { usageRule } from '../actions/unit-prices';
import { MAX_SINGLE_HOLD_SECONDS } from '../gate/decide';
import { plainAddress } from '../lib/cidr';
import { idRule, lineOfText, priceRule } from '../lib/rules';

// The bodies of the routes that verify credentials and settle holds. The OpenAPI document is generated from them.

/** The most questions in one request. */
export const MAX_VERIFICATIONS = 100;
/** The most names of metadata of one call, and the most bytes of its JSON text. */
const MAX_METADATA = 20;
const MAX_METADATA_BYTES = 4_096;

const secondsRule = z
  .int('must be a whole number of seconds')
  .min(1, 'must be at least 1')
  .max(MAX_SINGLE_HOLD_SECONDS, `must be at most ${MAX_SINGLE_HOLD_SECONDS}`);

const metadataRule = z
  .record(
    z.string().regex(/^[A-Za-z][A-Za-z0-9_.-]{0,39}$/, 'must be 1 to 40 letters, digits, _, . and -; the first is a letter'),
    z.string('must be a string').max(255, 'must be at most 255 characters'),
  )
  .refine((metadata) => Object.keys(metadata).length <= MAX_METADATA, `must be at most ${MAX_METADATA} strings`)
  .refine((metadata) => Buffer.byteLength(JSON.stringify(metadata)) <= MAX_METADATA_BYTES, `must be at most ${MAX_METADATA_BYTES} bytes`);

const usage = usageRule.meta({ description: 'The quantity of each unit that the call uses, such as `{ "faces": 1 }`.' });

/** One question. */
export const verification = z
  .strictObject(
    {
      key: z.string('must be a string').max(512, 'is too long').meta({ description: 'The secret of the caller.' }),
      service: z.string('must be a string').regex(SERVICE_PATTERN, 'is not the name of a service').optional(),
      action: z
        .string('must be a string')
        .regex(ACTION_PATTERN, 'is not the name of an action')
        .meta({ description: 'The action that the call wants. Without it, only the credential is checked.' })
        .optional(),
      mode: z
        .enum(['charge', 'hold', 'peek'], 'must be charge, hold or peek')
        .meta({
          description: '`charge`, the default, bills the call at once. `hold` reserves its credits. `peek` changes nothing.',
        })
        .optional(),
      usage: usage.optional(),
      permissions: z
        .array(z.string('must be a string').max(128, 'is too long'))
        .max(MAX_GRANTED_PERMISSIONS, `must be at most ${MAX_GRANTED_PERMISSIONS}`)
        .meta({ description: 'Further permissions that the credential must have.' })
        .default([]),
      holdSeconds: secondsRule.meta({ description: 'Time until a hold expires.' }).default(60),
      projectId: idRule.meta({ description: 'The project of the call, for a service account with several projects.' }).optional(),
      requestId: z
        .string('must be a string')
        .refine(isUuid, 'must be a UUID')
        .meta({ format: 'uuid', description: 'Makes repeats safe for 24 hours. It counts within the asker.' })
        .optional(),
      ip: z
        .string('must be a string')
        .max(45, 'is too long')
        .refine((text) => plainAddress(text) !== null, 'is not an IP address')
        .meta({ description: 'The address of the caller. A key with allowed addresses is refused without it.' })
        .optional(),
      userAgent: z
        .string('must be a string')
        .max(2_000, 'is too long')
        .refine((text) => !/\p{Cs}/u.test(text), 'is not valid text')
        .meta({ description: 'Kept in the log: its first 255 characters.' })
        .optional(),
      subject: lineOfText(255).meta({ description: 'Your own name for the user behind the call. Kept in the log.' }).optional(),
      metadata: metadataRule.meta({ description: `At most ${MAX_METADATA} strings. Kept in the log.` }).optional(),
    },
    'must be a JSON object',
  )
  .refine(({ service, action }) => (service === undefined) === (action === undefined), 'must name both service and action, or none of them')
  .refine(({ action, mode }) => action !== undefined || mode === undefined || mode === 'peek', {
    path: ['mode'],
    message: 'needs a service and an action; without them, only the credential is checked',
  })
  .meta({ id: 'Verification' });

export type VerificationBody = z.output<typeof verification>;

/** Several questions. Each is validated alone, so that one that is not valid does not refuse the others. */
export const verificationBatch = z.strictObject({
  verifications: z
    .array(z.unknown(), 'must be a list')
    .min(1, 'must not be empty')
    .max(MAX_VERIFICATIONS, `must be at most ${MAX_VERIFICATIONS} verifications`),
});

export const settleBody = z
  .strictObject(
    {
      usage: usage.optional(),
      amountMicroCredits: priceRule
        .meta({ description: 'The amount to charge, instead of the prices. Above the hold, it is charged as far as the budget allows.' })
        .optional(),
    },
    'must be a JSON object',
  )
  .refine((body) => body.usage === undefined || body.amountMicroCredits === undefined, 'must have usage or amountMicroCredits, not both')
  .meta({ id: 'Settle' });

export const voidBody = z
  .strictObject(
    {
      errorCode: z
        .string('must be a string')
        .regex(/^[A-Z][A-Z0-9_]{0,63}$/, 'must be 1 to 64 of A-Z, 0-9 and _, a letter first')
        .meta({ description: 'Kept in the log.' })
        .default('VOIDED'),
    },
    'must be a JSON object',
  )
  .meta({ id: 'Void' });

export const extendBody = z
  .strictObject(
    { seconds: secondsRule.meta({ description: 'Time until the hold expires, from now: at most an hour after its start.' }) },
    'must be a JSON object',
  )
  .meta({ id: 'Extend' });

// The answers, for the OpenAPI document.

const microCredits = (description: string) => z.int().meta({ description });
const billing = z.object({
  chargedMicroCredits: microCredits('What was charged, in micro-credits.'),
  budgetAvailableMicroCredits: microCredits('Available budget of the project for its next call.'),
});
const hold = z.object({
  id: z.string(),
  expiresAt: z.iso.datetime(),
  amountMicroCredits: microCredits('The credits that the hold reserves.'),
});

export const verifiedAnswer = z
  .object({
    valid: z.literal(true),
    code: z.literal('VALID'),
    requestId: z.uuid(),
    key: z.object({
      id: z.string(),
      name: z.string(),
      kind: z.string().meta({ description: '`API_KEY`, `SERVICE_ACCOUNT` or `OAUTH_CLIENT`.' }),
      environment: z.string().meta({ description: '`LIVE` or `TEST`. Nothing is charged for TEST.' }),
      permissions: z.array(z.string()),
      expiresAt: z.iso.datetime().nullable(),
      projectId: z.string().nullable(),
      workspaceId: z.string(),
    }),
    rateLimit: z
      .object({
        remaining: z.int().meta({ description: 'Calls that the project may make now.' }),
        resetMs: z.int().meta({ description: 'Milliseconds until one more call is allowed.' }),
      })
      .nullable()
      .meta({ description: 'Null without an action.' }),
    billing: billing.nullable().meta({ description: 'Null without an action.' }),
    hold: hold.nullable().meta({ description: 'Null unless the mode is `hold`.' }),
  })
  .meta({ id: 'Verified' });

export const notVerifiedAnswer = z
  .object({
    valid: z.literal(false),
    code: z.string().meta({ description: 'The code of the error.' }),
    requestId: z.uuid(),
    error: z.object({
      status: z.string(),
      code: z.string(),
      message: z.string(),
      details: z.record(z.string(), z.unknown()),
      http: z.int().meta({ description: 'The HTTP status that execute answers with this error.' }),
    }),
  })
  .meta({ id: 'NotVerified' });

export const settledAnswer = z.object({ outcome: z.literal('SUCCEEDED'), billing }).meta({ id: 'Settled' });
export const voidedAnswer = z.object({ outcome: z.literal('FAILED') }).meta({ id: 'Voided' });
export const extendedAnswer = z.object({ hold }).meta({ id: 'Extended' });
