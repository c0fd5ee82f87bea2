import { GraphQLError, getOperationAST, parse, validate, type ExecutionArgs, type GraphQLSchema } from 'graphql';
import { TollgateError, invalid } from '../../errors';
import type { GraphQLContext } from '../../graphql/context';
import type { Plan } from '../../graphql/query-plan';
import { toGraphQLError } from '../../graphql/errors';
import { requireNoFragmentCycle } from '../fragment-cycles';
import { MAX_DOCUMENT_ERRORS, MAX_TOKENS, figuresOfDocument, figuresOfText, figuresOfVariables, requireModest } from '../../graphql/limits';
import type { AskedOperation } from '../point-budgets';
import { variableIssues } from '../variables';
import type { Execution } from '../../graphql/work';

/** The request of a client for a stream. */
export interface StreamRequest {
  query: string;
  operationName?: string | null | undefined;
  variables?: Record<string, unknown> | null | undefined;
  extensions?: Record<string, unknown> | null | undefined;
}

/** The price of one event, which is executed as a separate operation. */
export interface EventPrice {
  plan: Plan;
  /** Pays for one event. Throws RATE_LIMITED, with the time to wait, if the payer has too few points. */
  pay(): void;
  /** Gives back the points that an execution did not use. */
  settle(data: unknown, execution: Execution): void;
}

export interface StreamArgs extends Pick<ExecutionArgs, 'schema' | 'document' | 'operationName' | 'variableValues'> {
  price: EventPrice;
}

/** The checks of a document. Streams have the same limits as `/graphql`. */
export interface DocumentRules {
  /** Returns the document to run. Throws if it may not run. */
  documentOf(asked: StreamRequest): string;
  /** Takes the points of reading a document. `priceOf` gives them back. Throws RATE_LIMITED if the payer has too few. */
  payForReading(tokens: number, viewer: GraphQLContext): void;
  /** Prices the events of a subscription. Throws QUERY_TOO_COMPLEX if one event would cost too much. */
  priceOf(asked: AskedOperation, viewer: GraphQLContext): EventPrice;
  /** Whether validation errors may suggest names of the schema. */
  tellsSchema: boolean;
}

/**
 * Checks a subscription before it runs. Returns the arguments to open it with, or its errors. All limits of documents are checked here, for
 * both kinds of streams.
 */
export async function prepare(
  schema: GraphQLSchema,
  asked: StreamRequest,
  rules: DocumentRules,
  viewer: GraphQLContext,
): Promise<StreamArgs | readonly GraphQLError[]> {
  const { operationName, variables } = asked;
  try {
    const { work } = viewer;
    await work.turn();
    const query = rules.documentOf(asked);
    const figures = figuresOfText(query);
    requireModest({ ...figures, ...figuresOfVariables(variables) });
    rules.payForReading(figures.tokens, viewer);
    const document = parse(query, { maxTokens: MAX_TOKENS });
    requireModest(figuresOfDocument(document));
    requireNoFragmentCycle(schema, document, query);
    await work.turn();
    const errors = validate(schema, document, undefined, { maxErrors: MAX_DOCUMENT_ERRORS });
    await work.turn();
    if (errors.length > 0) {
      const told = ({ message }: GraphQLError) => (rules.tellsSchema ? message : message.replace(/ ?Did you mean .+\?$/, ''));
      return errors.map((error) => coded(error, 'GRAPHQL_VALIDATION_FAILED', told(error)));
    }
    const operation = getOperationAST(document, operationName);
    if (!operation) throw refusal('Send the operationName of one operation in the document.');
    if (operation.operation !== 'subscription') {
      throw refusal(`A stream accepts only subscriptions. Send a ${operation.operation} to POST /graphql.`);
    }
    const given = variables ?? {};
    const issues = variableIssues(schema, operation, given);
    if (issues.length > 0) throw invalid(...issues);
    const price = rules.priceOf({ schema, document, operation, variables: given }, viewer);
    price.pay(); // opening costs as much as one event
    return { schema, document, operationName: operationName ?? null, variableValues: given, price };
  } catch (error) {
    if (error instanceof TollgateError) return [toGraphQLError(error)];
    if (error instanceof GraphQLError) return [error.extensions.code === undefined ? coded(error, 'GRAPHQL_PARSE_FAILED') : error];
    throw error;
  }
}

const refusal = (message: string): TollgateError => invalid({ path: [], message });

const coded = ({ message, nodes, source, positions }: GraphQLError, code: string, told = message): GraphQLError =>
  new GraphQLError(told, { nodes, source, positions, extensions: { code } });
