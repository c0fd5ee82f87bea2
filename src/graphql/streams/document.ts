import { GraphQLError, getOperationAST, parse, validate, type DocumentNode, type ExecutionArgs, type GraphQLSchema } from 'graphql';
import { invalid } from '../../errors';
import { toGraphQLError } from '../errors';
import { variableIssues } from '../variables';

/** What a client asks a stream of. */
export interface StreamRequest {
  query: string;
  operationName?: string | null | undefined;
  variables?: Record<string, unknown> | null | undefined;
}

export type StreamArgs = Pick<ExecutionArgs, 'schema' | 'document' | 'operationName' | 'variableValues'>;

/** What a document may be: the limits of `/graphql` hold for streams too. */
export interface DocumentRules {
  maxTokens: number;
}

/**
 * A subscription that can be opened, or what is wrong with it, before anything of it runs. Whatever limits a document has are checked here,
 * for every kind of stream.
 */
export function prepare(schema: GraphQLSchema, { query, operationName, variables }: StreamRequest, { maxTokens }: DocumentRules): StreamArgs | readonly GraphQLError[] {
  let document: DocumentNode;
  try {
    document = parse(query, { maxTokens });
  } catch (error) {
    return [coded(error as GraphQLError, 'GRAPHQL_PARSE_FAILED')];
  }
  const errors = validate(schema, document);
  if (errors.length > 0) return errors.map((error) => coded(error, 'GRAPHQL_VALIDATION_FAILED'));
  const operation = getOperationAST(document, operationName);
  if (!operation) return [refusal('There is no operation of that name, or several and no name.')];
  if (operation.operation !== 'subscription') return [refusal(`A ${operation.operation} is for POST /graphql.`)];
  const issues = variableIssues(schema, operation, variables ?? {});
  if (issues.length > 0) return [toGraphQLError(invalid(...issues))];
  return { schema, document, operationName: operationName ?? null, variableValues: variables ?? {} };
}

const refusal = (message: string): GraphQLError => toGraphQLError(invalid({ path: [], message }));

const coded = (error: GraphQLError, code: string): GraphQLError =>
  new GraphQLError(error.message, { nodes: error.nodes, source: error.source, positions: error.positions, extensions: { code } });
