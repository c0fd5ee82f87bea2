import { HeaderMap, type ApolloServerPlugin, type GraphQLResponse } from '@apollo/server';
import type { DocumentNode, FieldNode, GraphQLFormattedError, GraphQLObjectType, GraphQLSchema, OperationDefinitionNode } from 'graphql';
import { getNamedType } from 'graphql';
import type { Idempotency, MutationClaim } from '../access/idempotency';
import { invalid } from '../errors';
import { BAD_IDEMPOTENCY_KEY, idempotencyKeyOf } from '../lib/idempotency-key';
import type { GraphQLContext } from './context';
import { failedResponse, toGraphQLError } from './errors';
import { PUBLIC_MUTATIONS } from './public-mutations';
import { answeredAs, fieldsOf, rootFieldsOf } from './root-fields';

/** What signs somebody in or out, or proves who somebody is: it changes the browser's cookie, or carries a password, and happens each time. */
const OF_SIGNING_IN: ReadonlySet<string> = new Set([
  ...PUBLIC_MUTATIONS,
  ...['changePassword', 'beginSecondFactor', 'confirmSecondFactor', 'removeSecondFactor', 'endSession', 'signOut', 'signOutEverywhere'],
]);

/** What a kept answer is, beside what a client gets to read again. */
interface Kept {
  data: Record<string, Record<string, unknown>>;
  errors?: readonly GraphQLFormattedError[] | undefined;
  /** Paths of what was shown once, and is null now. */
  withheld: string[][];
}

export interface IdempotencyPluginDeps {
  idempotency: Idempotency;
  report(error: unknown, message: string): void;
}

/**
 * `Idempotency-Key`: the one mutation of a request with it runs once, and a repeat is answered what the first request was, without secrets.
 * On a query it counts for nothing. Whatever else may refuse an operation has to come before this plugin.
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
          if (!field || others.length > 0 || requestIsBatched) throw refusal('comes with exactly one mutation; send the others by themselves');
          if (OF_SIGNING_IN.has(field.name.value)) throw refusal(`is not for ${field.name.value}, which happens each time that it is asked for; send it without`);
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
            return failedResponse(error, (cause) => report(cause, 'graphql: an Idempotency-Key could not be taken'));
          }
        },
        willSendResponse: async ({ response: { body }, document, schema }) => {
          if (!claim || !mutation || body.kind !== 'single') return;
          const { data, errors } = body.singleResult;
          const answered = data?.[answeredAs(mutation)] as Record<string, unknown> | null | undefined;
          try {
            await idempotency.settle(claim, answered ? JSON.stringify(keptOf(mutation, answered, errors, document as DocumentNode, schema)) : undefined);
          } catch (error) {
            report(error, 'graphql: the answer of a mutation could not be kept'); // whoever asked gets it all the same
          }
        },
      };
    },
  };
}

const refusal = (message: string) => toGraphQLError(invalid({ path: BAD_IDEMPOTENCY_KEY.path, message }));

/** What makes a request the same one: its document, the operation, and the variables of that, in whatever order they came. */
function fingerprinted({ variableDefinitions = [] }: OperationDefinitionNode, source: string, operationName: string | undefined, variables: Record<string, unknown>): string {
  const given = variableDefinitions.map(({ variable: { name } }) => [name.value, variables[name.value]]);
  return JSON.stringify([source, operationName ?? null, given], (_name, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value,
  );
}

/** What may be kept of an answer: all but what is shown once. */
function keptOf(mutation: FieldNode, answered: Record<string, unknown>, errors: Kept['errors'], document: DocumentNode, schema: GraphQLSchema): Kept {
  const root = answeredAs(mutation);
  const payload = getNamedType(schema.getMutationType()?.getFields()[mutation.name.value]?.type) as GraphQLObjectType;
  const secret = fieldsOf(mutation.selectionSet, document).filter(({ name }) => payload.getFields()[name.value]?.extensions.shownOnce === true);
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
