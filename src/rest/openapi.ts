import { z } from 'zod';
import { PASSABLE_STATUSES } from '../actions/action.service';
import { ERRORS, type ErrorCode } from '../errors';
import { executeBody } from './execute.schema';
import { auditQuery } from './exports/audit.schema';
import type { ExportedTable } from './exports/table';
import { EXPORTED_TABLES } from './exports/tables.route';
import { httpStatusOf } from './status';

const billing = z.object({
  chargedMicroCredits: z.int().meta({ description: 'What this call cost, in micro-credits (1 USD = 1,000,000).' }),
  budgetAvailableMicroCredits: z.int().meta({ description: "What the project's next call can draw on." }),
});

const common = { requestId: z.uuid().meta({ description: 'The caller’s own, or made by the server.' }), action: z.string() };

const success = z
  .object({
    ok: z.literal(true),
    success: z.literal(true),
    ...common,
    data: z.record(z.string(), z.unknown()).meta({ description: 'What the action answered, as it wrote it: numbers keep every digit.' }),
    errors: z.array(z.never()).max(0),
    billing,
    meta: z.object({ idempotencyReplay: z.literal(true) }).optional().meta({ description: 'There where an earlier success is answered again.' }),
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
    requestId: common.requestId,
    error: z.object({
      status: z.string().meta({ description: 'The class of the error.' }),
      code: z.string().meta({ description: 'The case.' }),
      message: z.string(),
      details: z.record(z.string(), z.unknown()),
    }),
  })
  .meta({ id: 'Failure' });

/** Codes that only GraphQL answers. */
const GRAPHQL_CODES: readonly ErrorCode[] = ['CONFLICT', 'QUERY_TOO_COMPLEX', 'SIGN_IN_FAILED'];

/** All that a caller of the execute route can meet, the wrong method included. */
const EXECUTE_CODES = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => !GRAPHQL_CODES.includes(code));

/** The same of the exports. */
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

/** The OpenAPI 3.1 document of the REST routes, made of the schemas that validate. */
export function openApiDocument(): object {
  const schemas = components(executeBody, success, saidNo, failure, ...EXPORTED_TABLES.map(({ line }) => line));
  return {
    openapi: '3.1.0',
    info: { title: 'Tollgate', version: '1', description: 'Run billable actions with an API key. A success is billed exactly once; nothing else ever is.' },
    paths: {
      '/v1/{service}/execute': {
        post: {
          operationId: 'execute',
          summary: 'Run an action',
          security: [{ apiKey: [] }, { bearer: [] }],
          parameters: [
            { name: 'service', in: 'path', required: true, schema: { type: 'string', pattern: '^[a-z][a-z0-9-]{0,62}$' }, description: 'The service that the action belongs to.' },
            { name: 'Idempotency-Key', in: 'header', schema: { type: 'string', minLength: 1, maxLength: 257 }, description: 'The requestId, for callers that would rather send a header.' },
            { name: 'X-Project-Id', in: 'header', schema: { type: 'string', pattern: '^[0-9A-Za-z_-]{1,64}$' }, description: 'The project that a call of a service account is for; it may be absent where the account has only one. With a key it may name that of the key, and no other.' },
            { name: 'X-Api-Version', in: 'header', schema: { type: 'string', enum: ['1'] }, description: 'The version of this contract.' },
          ],
          requestBody: { required: true, content: json(ref('ExecuteRequest')) },
          responses: {
            200: { description: 'The action ran: it succeeded and is billed, or said no and is not.', headers: rateHeaders, content: json({ oneOf: [ref('Succeeded'), ref('SaidNo')] }) },
            ...withRefusals(failures(EXECUTE_CODES)),
          },
        },
      },
      '/v1/audit/export': {
        get: {
          operationId: 'exportAuditTrail',
          summary: 'The audit trail, an event a line, in the order in which events were sealed',
          description: 'A connection that breaks has not sent all: go on with `after`. Needs HTTP/1.1 or later.',
          security: [{ apiKey: [] }, { bearer: [] }],
          parameters: queryParameters(auditQuery),
          responses: {
            200: { description: 'Lines of JSON, each with the cursor to go on after it. A line may be empty.', content: { 'application/x-ndjson': { schema: { type: 'string' } } } },
            ...failures(EXPORT_CODES),
          },
        },
      },
      ...Object.fromEntries(EXPORTED_TABLES.map((table) => [`/v1/export/${table.name}`, exportOf(table)])),
      '/healthz': { get: { operationId: 'health', summary: 'Whether the process lives', responses: { 200: { description: 'It does.' } } } },
      '/readyz': {
        get: {
          operationId: 'readiness',
          summary: 'Whether it can reach its database and write to it',
          responses: { 200: { description: 'It can.' }, 503: { description: 'It cannot.', content: json(ref('Failure')) } },
        },
      },
      '/openapi.json': { get: { operationId: 'openApi', summary: 'This document', responses: { 200: { description: 'This document.' } } } },
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

const header = (description: string) => ({ description, schema: { type: 'string' } });
const rateHeaders = {
  'RateLimit-Policy': header("The project's limit, as draft-ietf-httpapi-ratelimit-headers-10 writes it."),
  RateLimit: header('Calls that would pass now, and seconds until one more would.'),
};

const ref = (id: string) => ({ $ref: `#/components/schemas/${id}` });
const json = (schema: object) => ({ 'application/json': { schema } });

function exportOf({ name, summary, permission, query, line }: ExportedTable): object {
  const { id = '' } = line.meta() ?? {};
  return {
    get: {
      operationId: `export-${name}`.replace(/-(\w)/g, (_dash, letter: string) => letter.toUpperCase()),
      summary,
      description:
        `Needs the permission \`${permission}\`. A connection that breaks has not sent all: go on with \`after\`. ` +
        'Needs HTTP/1.1 or later.',
      security: [{ apiKey: [] }, { bearer: [] }],
      parameters: queryParameters(query),
      responses: {
        200: {
          description: 'Each line of JSON has these properties, each record of CSV these fields. A line of JSON may be empty.',
          headers: { 'Content-Disposition': header('The name of the file.') },
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

/** The answers of execute, with those of an action that refuses by a status which it passes on. A status keeps the schema that it had. */
function withRefusals(responses: Record<number, Response>): Record<number, Response> {
  const passed = PASSABLE_STATUSES.map((status): [number, Response] => {
    const { description = '', content = json(ref('SaidNo')) } = responses[status] ?? {};
    return [status, { description: `${description} Or the action said no and passes this status on: \`SaidNo\`.`.trim(), content }];
  });
  return { ...responses, ...Object.fromEntries(passed) };
}

/** Each schema under its id, which is where zod puts one that has an id. */
function components(...schemas: z.ZodType[]): Record<string, unknown> {
  return Object.assign({}, ...schemas.map((schema) => z.toJSONSchema(schema, { unrepresentable: 'any', reused: 'inline' }).$defs)) as Record<string, unknown>;
}
