import type { ApolloServerPlugin } from '@apollo/server';
import type { GraphQLSchema, OperationDefinitionNode } from 'graphql';
import { TollgateError, invalid, type Issue } from '../errors';
import { FROM_ELSEWHERE, NO_STREAM, type GraphQLContext } from '../graphql/context';
import { translated } from '../graphql/errors';
import type { Cost } from '../graphql/query-plan';
import { Execution } from '../graphql/work';
import type { Estimate, QueryCosts } from './point-budgets';
import { hasPublicMutation, isPublicOperation } from './public-mutations';
import { variableIssues } from './variables';

/**
 * Checks an operation before anything runs, so that a refusal is a plain 401, 403, 400 or 429:
 * - Without a credential only introspection and the public mutations are allowed.
 * - A page of another site may not send public mutations.
 * - Variables must have the declared types.
 * - The payer must have the points that the operation may cost.
 *
 * Before the answer is sent, charges the points that the operation did cost. Replaces the answer of an operation that was stopped.
 */
export function admissionPlugin(costs: QueryCosts): ApolloServerPlugin<GraphQLContext> {
  return {
    requestDidStart: async () => {
      let estimate: Estimate | undefined;
      return {
        didResolveOperation: async ({ contextValue, operation, document, schema, request: { variables = {} } }) => {
          try {
            if (operation && contextValue.principal === null && !isPublicOperation(operation, document)) {
              throw new TollgateError('MISSING_API_KEY');
            }
            if (operation && !contextValue.isFromHere && hasPublicMutation(operation, document)) {
              throw new TollgateError('FORBIDDEN', FROM_ELSEWHERE);
            }
            const issues = operationIssues(schema, operation, variables);
            if (issues.length > 0) throw invalid(...issues);
            if (!operation) return; // Apollo reports it
            const asked = costs.estimate({ schema, document, operation, variables }, contextValue);
            costs.pay(asked);
            estimate = asked;
            contextValue.execution = new Execution(contextValue.work, asked.plan);
          } catch (error) {
            throw translated(error);
          }
        },
        willSendResponse: async ({ response: { body, http }, errors, contextValue }) => {
          if (body.kind !== 'single') return;
          const { singleResult } = body;
          const { excess } = contextValue.work;
          if (excess) {
            const { code, limits } = excess.extensions;
            Object.assign(singleResult, { data: undefined, errors: [{ message: excess.message, extensions: { code, limits } }] });
            http.status = 400;
          }
          const refusedAt = errors?.[0]?.extensions.cost as Cost | undefined;
          const cost = estimate ? costs.settle(estimate, singleResult.data, contextValue.execution) : refusedAt;
          if (cost) singleResult.extensions = { ...singleResult.extensions, cost };
        },
      };
    },
  };
}

function operationIssues(
  schema: GraphQLSchema,
  operation: OperationDefinitionNode | undefined,
  variables: Record<string, unknown>,
): Issue[] {
  if (!operation) return []; // Apollo reports it
  if (operation.operation === 'subscription') return [{ path: [], message: NO_STREAM }];
  if (!schema.getRootType(operation.operation)) return [{ path: [], message: `The schema has no ${operation.operation}.` }];
  return variableIssues(schema, operation, variables);
}
