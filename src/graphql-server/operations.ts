import { readFile } from 'node:fs/promises';
import type { ApolloServerPlugin } from '@apollo/server';
import { GraphQLError, parse, validate, type GraphQLSchema } from 'graphql';
import { z } from 'zod';
import { ConfigError } from '../config';
import { TollgateError } from '../errors';
import type { GraphQLContext } from '../graphql/context';
import { failedResponse } from '../graphql/errors';
import { requireNoFragmentCycle } from './fragment-cycles';

/** The manifest that Apollo's tools write. */
const manifestRule = z.object({
  format: z.literal('apollo-persisted-query-manifest'),
  version: z.literal(1),
  operations: z.array(z.object({ id: z.string().min(1), name: z.string().optional(), body: z.string() })),
});

/** The map that Relay's compiler writes: from the id of each document to its text. */
const mapRule = z.record(z.string().min(1), z.string());

/** Maximum problems that an error at startup lists. */
const MAX_PROBLEMS = 20;

/** A request with an unknown hash. Apollo finds no document for it, and so runs nothing. */
const NOTHING = { persistedQuery: { version: 1, sha256Hash: '' } };

const MESSAGE =
  'This server runs only registered operations. Send the exact text of one, or its id as extensions.persistedQuery.sha256Hash. ' +
  'To register an operation, add it to the file that GRAPHQL_OPERATIONS names.';

/** The only operations that a production server runs. It refuses all other operations, also the operations that GraphiQL sends. */
export class RegisteredOperations {
  private readonly documents: ReadonlySet<string>;

  private constructor(private readonly byId: ReadonlyMap<string, string>) {
    this.documents = new Set(byId.values());
  }

  /**
   * Reads a manifest of Apollo or a map of Relay. Validates each document against the schema. Throws a ConfigError that lists the problems.
   */
  static async read(path: string, schema: GraphQLSchema): Promise<RegisteredOperations> {
    const text = await readFile(path, 'utf8').catch((error: Error) => wrong(`cannot be read: ${error.message}`));
    const entries = entriesOf(text);
    const problems = entries.flatMap(({ id, body }) => problemsOf(body, schema).map((problem) => `${id}: ${problem}`));
    const ids = entries.map(({ id }) => id);
    problems.push(...ids.filter((id, index) => ids.indexOf(id) !== index).map((id) => `${id}: is there twice`));
    const others = problems.length > MAX_PROBLEMS ? ` And ${problems.length - MAX_PROBLEMS} more.` : '';
    const listed = problems.slice(0, MAX_PROBLEMS).join(' ');
    if (problems.length > 0) wrong(`has operations that this server cannot run. ${listed}${others}`);
    return new RegisteredOperations(new Map(entries.map(({ id, body }) => [id, body])));
  }

  /** Returns the registered document of a request. Throws INVALID_REQUEST if it is not registered. */
  require(query: unknown, extensions: unknown): string {
    return this.find(query, idIn(extensions)) ?? refuse();
  }

  /** Returns the registered document with this text, or with this id. Undefined if it is not registered. */
  find(query: unknown, id: unknown): string | undefined {
    if (typeof query === 'string' && query !== '') return this.documents.has(query) ? query : undefined;
    return typeof id === 'string' ? this.byId.get(id) : undefined;
  }

  /** Passes only registered documents to Apollo, so that others are not even parsed. */
  plugin(): ApolloServerPlugin<GraphQLContext> {
    return {
      requestDidStart: async ({ request }) => {
        const document = this.find(request.query, idIn(request.extensions));
        const { persistedQuery: _asked, ...extensions } = request.extensions ?? {};
        Object.assign(request, { query: document, extensions: document === undefined ? NOTHING : extensions });
        if (document !== undefined) return undefined;
        return {
          willSendResponse: async ({ response }) => {
            const { http, body } = failedResponse(unregistered(), () => undefined);
            response.http.status = http.status;
            response.body = body;
          },
        };
      },
    };
  }
}

/** The refusal of an operation that is not registered. */
export const unregistered = (): TollgateError =>
  new TollgateError('INVALID_REQUEST', MESSAGE, { issues: [{ path: ['query'], message: MESSAGE }] });

interface WithPersistedQuery {
  persistedQuery?: { sha256Hash?: unknown } | null;
}

const idIn = (extensions: unknown): unknown => (extensions as WithPersistedQuery | null | undefined)?.persistedQuery?.sha256Hash;

function refuse(): never {
  throw unregistered();
}

function entriesOf(text: string): { id: string; body: string }[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    wrong(`is not JSON: ${(error as Error).message}`);
  }
  const manifest = manifestRule.safeParse(json);
  if (manifest.success) return manifest.data.operations;
  const map = mapRule.safeParse(json);
  if (map.success) return Object.entries(map.data).map(([id, body]) => ({ id, body }));
  return wrong(
    'is neither a manifest { "format": "apollo-persisted-query-manifest", "version": 1, "operations": [{ "id", "body" }] } ' +
      'nor a map { "ID": "DOCUMENT" }',
  );
}

function problemsOf(body: string, schema: GraphQLSchema): string[] {
  try {
    const document = parse(body);
    requireNoFragmentCycle(schema, document, body);
    return validate(schema, document).map(({ message }) => message);
  } catch (error) {
    if (error instanceof GraphQLError) return [error.message];
    throw error;
  }
}

function wrong(problem: string): never {
  throw new ConfigError(`The file of GRAPHQL_OPERATIONS ${problem}`);
}
