import { z } from 'zod';

// The form of the OpenAPI document, and helpers to write it. Each route file has a file `*.openapi.ts` beside it with its part.

/** The groups of operations. Generated clients make a module or a class of each. */
export const TAGS = {
  Calls: 'Run actions with a key, a service account or an OAuth access token.',
  Verification: 'Ask from your own code whether a credential may call, and bill or hold its calls. Needs the permission `verify.keys`.',
  'Forward auth': 'Questions of a proxy about requests that it carries itself. Its client has sent the credential.',
  Exports: 'Stream whole tables and the audit trail. Each needs an administrative permission.',
  OAuth: 'Tokens of OAuth 2 and OpenID Connect. Errors have the form of RFC 6749.',
  Server: 'The state of the process, and this document. No operation needs a credential.',
} as const;

/** A body, by media type. */
type Content = Record<string, { schema: object; example?: unknown; examples?: Record<string, object> }>;

interface Response {
  description: string;
  headers?: Record<string, object>;
  content?: Content;
}

export type Responses = Record<number, Response>;

export interface Operation {
  /** The name of the function in generated clients. Never change it. */
  operationId: string;
  tags: [keyof typeof TAGS];
  summary: string;
  description: string;
  security: Record<string, string[]>[];
  parameters?: object[];
  requestBody?: object;
  responses: Responses;
}

/** The operations of one route file, by path and method, and the schemas that they refer to. */
export interface Part {
  paths: Record<string, Partial<Record<'get' | 'post' | 'put' | 'patch' | 'delete' | 'head' | 'options', Operation>>>;
  schemas?: Record<string, object>;
}

/** Refers to a schema of the document by its id. */
export const ref = (id: string): object => ({ $ref: `#/components/schemas/${id}` });

/** The content of a body of JSON. `more` has its examples. */
export const json = (schema: object, more: Omit<Content[string], 'schema'> = {}): Content => ({ 'application/json': { schema, ...more } });

/**
 * The content of a body that is sent line by line. OpenAPI 3.1 cannot describe its lines, so clients get text. `contentSchema` says what
 * each line is.
 */
export const jsonLines = (line: object, example: object): Content => ({
  'application/x-ndjson': {
    schema: { type: 'string', contentMediaType: 'application/x-ndjson', contentSchema: line },
    example: `${JSON.stringify(example)}\n`,
  },
});

/** Returns the JSON Schema of a zod schema. An answer may get more properties later, so only a `strictObject` forbids others. */
export function schemaOf(schema: z.ZodType): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' });
  return rest;
}

/** Returns the JSON Schemas of zod schemas by id. zod puts a schema with an id into `$defs`. */
export function schemasOf(...schemas: z.ZodType[]): Record<string, object> {
  return Object.assign({}, ...schemas.map((schema) => (schemaOf(schema) as { $defs: object }).$defs)) as Record<string, object>;
}

/** Returns the parameters of a query. */
export function queryParameters(query: z.ZodObject): object[] {
  const { properties = {} } = schemaOf(query) as { properties?: Record<string, object> };
  return Object.entries(properties).map(([name, property]) => {
    const { description, ...schema } = property as { description?: string };
    return { name, in: 'query', schema, description };
  });
}
