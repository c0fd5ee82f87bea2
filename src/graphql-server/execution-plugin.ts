import { HeaderMap, type ApolloServerPlugin } from '@apollo/server';
import type { GraphQLError, GraphQLFormattedError } from 'graphql';
import { run } from './bounded-execution';
import type { GraphQLContext } from '../graphql/context';

/**
 * Executes operations within their limits. Waits for a turn of the event loop before each long step: parsing, validation, execution and
 * formatting. Must be the last plugin that answers operations. `tell` formats an error for the caller.
 */
export function executionPlugin(tell: (error: GraphQLError) => GraphQLFormattedError): ApolloServerPlugin<GraphQLContext> {
  return {
    requestDidStart: async ({ contextValue: { work } }) => {
      const turn = async (): Promise<void> => work.turn();
      return {
        parsingDidStart: turn,
        validationDidStart: async () => {
          await turn();
          return turn;
        },
        responseForOperation: async ({ operation, schema, document, contextValue, request }) => {
          const { execution } = contextValue;
          if (!operation || !execution) return null; // Apollo reports it
          await turn();
          const { variables: variableValues, operationName } = request;
          const { data, errors } = await run({ schema, document, contextValue, variableValues, operationName }, execution);
          const told: GraphQLFormattedError[] = [];
          for (const error of errors ?? []) {
            await turn();
            told.push(tell(error));
          }
          await turn();
          return {
            http: { status: undefined, headers: new HeaderMap() },
            body: { kind: 'single', singleResult: { ...(data !== undefined && { data }), ...(errors && { errors: told }) } },
          };
        },
      };
    },
  };
}
