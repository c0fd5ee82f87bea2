import { z } from 'zod';
import { PASSABLE_STATUSES } from '../actions/action.service';
import { executeBody } from './execute.schema';
import { REST_CODES, failures, type RestCode } from './openapi/failures';
import { headers } from './openapi/headers';
import { json, ref, schemasOf, type Part, type Responses } from './openapi/part';
import { withSecret } from './openapi/security';

const billing = z.object({
  chargedMicroCredits: z.int().meta({ description: 'Price charged for this call, in micro-credits (1 USD = 1,000,000).' }),
  budgetAvailableMicroCredits: z.int().meta({ description: 'Available budget of the project for its next call, in micro-credits.' }),
});

const requestId = z.uuid().meta({ description: 'Chosen by the caller; otherwise made by the server.' });
const common = { requestId, action: z.string() };
const replay = z.object({ idempotencyReplay: z.literal(true) });

const succeeded = z
  .object({
    ok: z.literal(true),
    success: z.literal(true),
    ...common,
    data: z.record(z.string(), z.unknown()).meta({ description: 'Result of the action, unchanged: numbers keep every digit.' }),
    errors: z.array(z.never()).max(0),
    billing,
    meta: replay.optional().meta({ description: 'Present if this answer repeats the answer of an earlier success.' }),
  })
  .meta({ id: 'Succeeded' });

const saidNo = z
  .object({
    ok: z.literal(false),
    success: z.literal(false),
    ...common,
    data: z.null(),
    errors: z.array(z.object({ code: z.string().regex(/^[A-Z][A-Z0-9_]{0,63}$/), message: z.string().max(1000) })).min(1),
    billing,
  })
  .meta({ id: 'SaidNo' });

/** Codes that can come after the rate check. Only then does an answer have the headers of the rate limit. */
const AFTER_RATE: readonly RestCode[] = [
  'RATE_LIMITED',
  'REQUEST_IN_PROGRESS',
  'REPLAY_UNAVAILABLE',
  'REQUEST_ID_REUSED',
  'PAYMENT_REQUIRED',
  'UPSTREAM_FAILED',
  'UPSTREAM_TIMEOUT',
  'OUTCOME_UNKNOWN',
  'INTERNAL',
];

/** Codes that only requests about holds and questions of proxies get. */
const OTHER_CODES: readonly RestCode[] = ['ALREADY_SETTLED', 'HOLD_EXPIRED', 'PROXY_NOT_TRUSTED'];
const EXECUTE_CODES = REST_CODES.filter((code) => !OTHER_CODES.includes(code));

export const PARAMETERS = [
  {
    name: 'service',
    in: 'path',
    required: true,
    schema: { type: 'string', pattern: '^[a-z][a-z0-9-]{0,62}$' },
    description: 'The service that the action belongs to.',
    example: 'demo',
  },
  {
    name: 'Idempotency-Key',
    in: 'header',
    schema: { type: 'string', minLength: 1, maxLength: 257 },
    description: 'The requestId, sent as a header instead of in the body.',
    example: 'order-4711',
  },
  {
    name: 'X-Project-Id',
    in: 'header',
    schema: { type: 'string', pattern: '^[0-9A-Za-z_-]{1,64}$' },
    description:
      'The project of a call with a service account. Optional if the account has only one project. ' +
      'A key may send only the id of its own project.',
  },
  { name: 'X-Api-Version', in: 'header', schema: { type: 'string', enum: ['1'] }, description: 'The version of this contract.' },
];

const SUCCEEDED = {
  ok: true,
  success: true,
  requestId: '019abf2e-6f2c-7cc3-98c4-dc0c0c07398f',
  action: 'demo.echo',
  data: { hello: 'world' },
  errors: [],
  billing: { chargedMicroCredits: 1_000, budgetAvailableMicroCredits: 99_000 },
};
const SAID_NO = {
  ...SUCCEEDED,
  ok: false,
  success: false,
  action: 'demo.fail',
  data: null,
  errors: [{ code: 'DEMO_FAILURE', message: 'This action always says no.' }],
  billing: { chargedMicroCredits: 0, budgetAvailableMicroCredits: 99_000 },
};
const ANSWERS = {
  succeeded: { summary: 'The action succeeded', value: SUCCEEDED },
  replayed: { summary: 'The answer of an earlier success again', value: { ...SUCCEEDED, meta: { idempotencyReplay: true } } },
  saidNo: { summary: 'The action said no', value: SAID_NO },
};
const rateHeaders = headers('RateLimit', 'RateLimit-Policy');

/** Adds to the answers of execute the statuses that an action may answer when it refuses a call. */
function withRefusals(responses: Responses): Responses {
  const passed = PASSABLE_STATUSES.map((status): [number, Responses[number]] => {
    const { description = '', headers: more = {}, content } = responses[status] ?? {};
    const { schema, examples } = content?.['application/json'] ?? {};
    return [
      status,
      {
        description: `${description} \`SaidNo\`: the action said no, with this status.`.trim(),
        headers: { ...more, ...rateHeaders },
        content: json(schema ? { oneOf: [schema, ref('SaidNo')] } : ref('SaidNo'), { examples: { ...examples, saidNo: ANSWERS.saidNo } }),
      },
    ];
  });
  return { ...responses, ...Object.fromEntries(passed) };
}

export const execute: Part = {
  paths: {
    '/v1/{service}/execute': {
      post: {
        operationId: 'execute',
        tags: ['Calls'],
        summary: 'Run an action',
        description:
          'Needs the permission of the action. Send a `requestId` or an `Idempotency-Key` if you may repeat the call: ' +
          'for 24 hours after a success, the same id gets the same answer and is not billed again.',
        security: withSecret(),
        parameters: PARAMETERS,
        requestBody: {
          required: true,
          content: json(ref('ExecuteRequest'), { example: { action: 'demo.echo', params: { hello: 'world' } } }),
        },
        responses: {
          200: {
            description: 'The action ran. `Succeeded` is billed; `SaidNo` is a refusal by the action and is not billed.',
            headers: rateHeaders,
            content: json({ oneOf: [ref('Succeeded'), ref('SaidNo')] }, { examples: ANSWERS }),
          },
          ...withRefusals(failures(EXECUTE_CODES, AFTER_RATE)),
        },
      },
    },
  },
  schemas: schemasOf(executeBody, succeeded, saidNo),
};
