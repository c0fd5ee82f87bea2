import { HeaderMap, type ApolloServerPlugin, type GraphQLResponse } from '@apollo/server';
import type { DocumentNode, FieldNode, GraphQLFormattedError, GraphQLObjectType, GraphQLSchema, OperationDefinitionNode } from 'graphql';
import { getNamedType } from 'graphql';
import type { Idempotency, MutationClaim } from '../access/idempotency';
import { invalid } from '../errors';
import { BAD_IDEMPOTENCY_KEY, idempotencyKeyOf } from '../lib/idempotency-key';
import type { GraphQLContext } from '../graphql/context';
import { failedResponse, toGraphQLError } from '../graphql/errors';
import { PUBLIC_MUTATIONS } from './public-mutations';
import { answeredAs, fieldsOf, rootFieldsOf } from './root-fields';

/**
 * Mutations that sign a person in or out, or prove a person's identity. They change cookies or carry a password, so they are never
 * replayed.
 */
const OF_SIGNING_IN: ReadonlySet<string> = new Set([
  ...PUBLIC_MUTATIONS,
  ...['changePassword', 'beginSecondFactor', 'confirmSecondFactor', 'removeSecondFactor', 'endSession', 'signOut', 'signOutEverywhere'],
]);

/** The stored answer of a mutation. */
interface Kept {
  data: Record<string, Record<string, unknown>>;
  errors?: readonly GraphQLFormattedError[] | undefined;
  /** Paths of secrets that were shown once, and are null in the stored answer. */
  withheld: string[][];
}

export interface IdempotencyPluginDeps {
  idempotency: Idempotency;
  report(error: unknown, message: string): void;
}

/**
 * Implements `Idempotency-Key`: a mutation with this header runs once. A retry gets the answer of the first request, without secrets.
 * A request with the header may have only one mutation. Queries ignore it. All plugins that may refuse an operation must come before
 * this one.
 */
export function idempotencyPlugin({ idempotency, report }: IdempotencyPluginDeps): ApolloServerPlugin<GraphQLContext> {
  return {
    requestDidStart: async ({ request }) => {
      const header = request.http?.headers.get('idempotency-key');
      if (header === undefined) return undefined;
      let key: string | undefined;
      let mutation: FieldNode | undefined;
      let claim: MutationClaim | undefined;
      return {
        didResolveOperation: async ({ operation, document, contextValue, requestIsBatched }) => {
          if (operation?.operation !== 'mutation' || contextValue.principal === null) return;
          const [field, ...others] = rootFieldsOf(operation, document);
          key = idempotencyKeyOf(header);
          if (key === undefined) throw refusal(BAD_IDEMPOTENCY_KEY.message);
          if (!field || others.length > 0 || requestIsBatched) {
            throw refusal('allows exactly one mutation in a request. Send the others in separate requests.');
          }
          if (OF_SIGNING_IN.has(field.name.value)) {
            throw refusal(`is not allowed for ${field.name.value}, which runs each time. Send it without this header.`);
          }
          mutation = field;
        },
        responseForOperation: async ({ operation, source, request: { variables = {}, operationName }, contextValue }) => {
          if (key === undefined || !mutation) return null;
          try {
            const outcome = await idempotency.take(contextValue.caller, key, fingerprinted(operation, source, operationName, variables));
            if (outcome.kind === 'replay') return replayed(JSON.parse(outcome.answer) as Kept);
            claim = contextValue.claim = outcome.claim;
            return null;
          } catch (error) {
            return failedResponse(error, (cause) => report(cause, 'graphql: an Idempotency-Key could not be reserved'));
          }
        },
        willSendResponse: async ({ response: { body }, document, schema }) => {
          if (!claim || !mutation || body.kind !== 'single') return;
          const { data, errors } = body.singleResult;
          const answered = data?.[answeredAs(mutation)] as Record<string, unknown> | null | undefined;
          try {
            const kept = answered && keptOf(mutation, answered, errors, document as DocumentNode, schema);
            await idempotency.settle(claim, kept ? JSON.stringify(kept) : undefined);
          } catch (error) {
            report(error, 'graphql: the answer of a mutation could not be stored'); // the caller still gets the answer
          }
        },
      };
    },
  };
}

const refusal = (message: string) => toGraphQLError(invalid({ path: BAD_IDEMPOTENCY_KEY.path, message }));

/** Returns a text that is the same for retries: the document, the operation name, and its variables with their fields in sorted order. */
function fingerprinted(
  { variableDefinitions = [] }: OperationDefinitionNode,
  source: string,
  operationName: string | undefined,
  variables: Record<string, unknown>,
): string {
  const given = variableDefinitions.map(({ variable: { name } }) => [name.value, variables[name.value]]);
  return JSON.stringify([source, operationName ?? null, given], (_name, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** Builds the stored answer. Fields that are shown only once become null. */
function keptOf(
  mutation: FieldNode,
  answered: Record<string, unknown>,
  errors: Kept['errors'],
  document: DocumentNode,
  schema: GraphQLSchema,
): Kept {
  const root = answeredAs(mutation);
  const payload = getNamedType(schema.getMutationType()?.getFields()[mutation.name.value]?.type) as GraphQLObjectType;
  const isShownOnce = ({ name }: FieldNode): boolean => payload.getFields()[name.value]?.extensions.shownOnce === true;
  const secret = fieldsOf(mutation.selectionSet, document).filter(isShownOnce);
  const withheld = [...new Set(secret.map(answeredAs))].filter((name) => (answered[name] ?? null) !== null);
  const shown = { ...answered, ...Object.fromEntries(withheld.map((name) => [name, null])) };
  return { data: { [root]: shown }, errors, withheld: withheld.map((name) => [root, name]) };
}

function replayed({ data, errors, withheld }: Kept): GraphQLResponse {
  const extensions = { idempotencyReplay: true, ...(withheld.length > 0 && { withheld }) };
  return {
    http: { status: undefined, headers: new HeaderMap([['idempotent-replayed', 'true']]) },
    body: { kind: 'single', singleResult: { data, ...(errors && { errors }), extensions } },
  } as GraphQLResponse;
}
