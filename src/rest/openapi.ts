import { z } from 'zod';
import { PASSABLE_STATUSES } from '../actions/action.service';
import { ERRORS, type ErrorCode } from '../errors';
import { executeBody } from './execute.schema';
import { auditQuery } from './exports/audit.schema';
import type { ExportedTable } from './exports/table';
import { EXPORTED_TABLES } from './exports/tables.route';
import { httpStatusOf } from './status';

const billing = z.object({
  chargedMicroCredits: z.int().meta({ description: 'Price charged for this call, in micro-credits (1 USD = 1,000,000).' }),
  budgetAvailableMicroCredits: z.int().meta({ description: "Available budget of the project for its next call, in micro-credits." }),
});

const requestId = z.uuid().meta({ description: 'Chosen by the caller; otherwise made by the server.' });
const common = { requestId, action: z.string() };
const replay = z.object({ idempotencyReplay: z.literal(true) });

const success = z
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

const failure = z
  .object({
    ok: z.literal(false),
    success: z.literal(false),
    requestId,
    error: z.object({
      status: z.string().meta({ description: 'Class of the error.' }),
      code: z.string().meta({ description: 'Exact error within its class.' }),
      message: z.string(),
      details: z.record(z.string(), z.unknown()),
    }),
  })
  .meta({ id: 'Failure' });

/** Codes that only GraphQL answers. */
const GRAPHQL_CODES: readonly ErrorCode[] = ['CONFLICT', 'QUERY_TOO_COMPLEX', 'SIGN_IN_FAILED'];

/** Codes that execute answers, including the code for a wrong method. */
const EXECUTE_CODES = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => !GRAPHQL_CODES.includes(code));

/** Codes that the exports answer. */
const EXPORT_CODES = [
  'INVALID_REQUEST',
  'METHOD_NOT_ALLOWED',
  'MISSING_API_KEY',
  'INVALID_API_KEY',
  'REVOKED_API_KEY',
  'EXPIRED_API_KEY',
  'DISABLED_API_KEY',
  'FORBIDDEN',
  'IP_NOT_ALLOWED',
  'NOT_FOUND',
  'SERVICE_UNAVAILABLE',
  'INTERNAL',
] as const satisfies ErrorCode[];

const INFO = {
  title: 'Tollgate',
  version: '1',
  description: 'Run billable actions with an API key. A success is billed exactly once. Nothing else is billed.',
};

const EXECUTE_PARAMETERS = [
  {
    name: 'service',
    in: 'path',
    required: true,
    schema: { type: 'string', pattern: '^[a-z][a-z0-9-]{0,62}$' },
    description: 'The service that the action belongs to.',
  },
  {
    name: 'Idempotency-Key',
    in: 'header',
    schema: { type: 'string', minLength: 1, maxLength: 257 },
    description: 'The requestId, sent as a header instead of in the body.',
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

/** The OpenAPI 3.1 document of the REST routes, generated from the schemas that validate requests. */
export function openApiDocument(): object {
  const schemas = components(executeBody, success, saidNo, failure, ...EXPORTED_TABLES.map(({ line }) => line));
  return {
    openapi: '3.1.0',
    info: INFO,
    paths: {
      '/v1/{service}/execute': {
        post: {
          operationId: 'execute',
          summary: 'Run an action',
          security: [{ apiKey: [] }, { bearer: [] }],
          parameters: EXECUTE_PARAMETERS,
          requestBody: { required: true, content: json(ref('ExecuteRequest')) },
          responses: {
            200: {
              description: 'The action ran. `Succeeded` is billed; `SaidNo` is a refusal by the action and is not billed.',
              headers: rateHeaders,
              content: json({ oneOf: [ref('Succeeded'), ref('SaidNo')] }),
            },
            ...withRefusals(failures(EXECUTE_CODES)),
          },
        },
      },
      '/v1/audit/export': {
        get: {
          operationId: 'exportAuditTrail',
          summary: 'Audit trail, one event per line, in the order in which events were sealed',
          description: INCOMPLETE,
          security: [{ apiKey: [] }, { bearer: [] }],
          parameters: queryParameters(auditQuery),
          responses: {
            200: {
              description: 'Lines of JSON. Each has the `cursor` to continue after it. Ignore empty lines.',
              content: { 'application/x-ndjson': { schema: { type: 'string' } } },
            },
            ...failures(EXPORT_CODES),
          },
        },
      },
      ...Object.fromEntries(EXPORTED_TABLES.map((table) => [`/v1/export/${table.name}`, exportOf(table)])),
      '/healthz': {
        get: { operationId: 'health', summary: 'Liveness of the process', responses: { 200: { description: 'The process runs.' } } },
      },
      '/readyz': {
        get: {
          operationId: 'readiness',
          summary: 'Readiness: whether the process can reach its database and write to it',
          responses: { 200: { description: 'Ready.' }, 503: { description: 'Not ready.', content: json(ref('Failure')) } },
        },
      },
      '/openapi.json': {
        get: { operationId: 'openApi', summary: 'This document', responses: { 200: { description: 'This document.' } } },
      },
    },
    components: {
      securitySchemes: {
        apiKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key' },
        bearer: { type: 'http', scheme: 'bearer' },
      },
      schemas,
    },
  };
}

const INCOMPLETE = 'If the connection breaks, the export is incomplete: continue with `after`. Needs HTTP/1.1 or later.';

const header = (description: string) => ({ description, schema: { type: 'string' } });
const rateHeaders = {
  'RateLimit-Policy': header("The project's rate limit, in the syntax of draft-ietf-httpapi-ratelimit-headers-10."),
  RateLimit: header('Number of calls that would be allowed now, and seconds until one more would be.'),
};

const ref = (id: string) => ({ $ref: `#/components/schemas/${id}` });
const json = (schema: object) => ({ 'application/json': { schema } });

function exportOf({ name, summary, permission, query, line }: ExportedTable): object {
  const { id = '' } = line.meta() ?? {};
  return {
    get: {
      operationId: `export-${name}`.replace(/-(\w)/g, (_dash, letter: string) => letter.toUpperCase()),
      summary,
      description: `Needs the permission \`${permission}\`. ${INCOMPLETE}`,
      security: [{ apiKey: [] }, { bearer: [] }],
      parameters: queryParameters(query),
      responses: {
        200: {
          description: 'Each line of JSON has these properties, and each record of CSV has them as fields. Ignore empty lines of JSON.',
          headers: { 'Content-Disposition': header('Name of the file.') },
          content: { 'application/x-ndjson': { schema: ref(id) }, 'text/csv': { schema: { type: 'string' } } },
        },
        ...failures(EXPORT_CODES),
      },
    },
  };
}

function queryParameters(query: z.ZodObject): object[] {
  const { properties = {} } = z.toJSONSchema(query, { io: 'input' });
  return Object.entries(properties).map(([name, property]) => {
    const { description, ...schema } = property as { description?: string };
    return { name, in: 'query', schema, description };
  });
}

interface Response {
  description: string;
  content: object;
}

function failures(codes: readonly ErrorCode[]): Record<number, Response> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) byStatus.set(httpStatusOf(code), [...(byStatus.get(httpStatusOf(code)) ?? []), code]);
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      status,
      { description: codes.map((code) => `\`${code}\`: ${ERRORS[code].message}`).join(' '), content: json(ref('Failure')) },
    ]),
  );
}

/** Adds to the answers of execute the statuses that an action may answer when it refuses a call. A status keeps the schema that it has. */
function withRefusals(responses: Record<number, Response>): Record<number, Response> {
  const passed = PASSABLE_STATUSES.map((status): [number, Response] => {
    const { description = '', content = json(ref('SaidNo')) } = responses[status] ?? {};
    return [status, { description: `${description} \`SaidNo\`: the action said no, with this status.`.trim(), content }];
  });
  return { ...responses, ...Object.fromEntries(passed) };
}

/** Returns the JSON Schemas by id. zod puts a schema with an id into `$defs`. */
function components(...schemas: z.ZodType[]): Record<string, unknown> {
  const definitions = schemas.map((schema) => z.toJSONSchema(schema, { unrepresentable: 'any', reused: 'inline' }).$defs);
  return Object.assign({}, ...definitions) as Record<string, unknown>;
}
