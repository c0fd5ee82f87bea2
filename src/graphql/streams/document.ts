import { GraphQLError, getOperationAST, parse, validate, type ExecutionArgs, type GraphQLSchema } from 'graphql';
import { TollgateError, invalid } from '../../errors';
import type { GraphQLContext } from '../context';
import type { Plan } from '../cost';
import { toGraphQLError } from '../errors';
import { requireNoFragmentCycle } from '../fragment-cycles';
import { MAX_DOCUMENT_ERRORS, MAX_TOKENS, figuresOfDocument, figuresOfText, figuresOfVariables, requireModest } from '../limits';
import type { AskedOperation } from '../query-costs';
import { variableIssues } from '../variables';
import type { Execution } from '../work';

/** What a client asks a stream of. */
export interface StreamRequest {
  query: string;
  operationName?: string | null | undefined;
  variables?: Record<string, unknown> | null | undefined;
  extensions?: Record<string, unknown> | null | undefined;
}

/** What an event may cost, as an operation of its own. */
export interface EventPrice {
  plan: Plan;
  /** Throws RATE_LIMITED, with the time to wait, where whoever asks has too little left. */
  pay(): void;
  /** Gives back what an execution did not come to. */
  settle(data: unknown, execution: Execution): void;
}

export interface StreamArgs extends Pick<ExecutionArgs, 'schema' | 'document' | 'operationName' | 'variableValues'> {
  price: EventPrice;
}

/** What a document may be: the limits of `/graphql` hold for streams too. */
export interface DocumentRules {
  /** The document to run for what a request brings. Throws where it may not be run. */
  documentOf(asked: StreamRequest): string;
  /** Takes what it costs to read a document, until it turns out to be one that runs. Throws where that is not there. */
  payForReading(tokens: number, viewer: GraphQLContext): void;
  /** Throws where that is more than whoever asks may ask for. */
  priceOf(asked: AskedOperation, viewer: GraphQLContext): EventPrice;
  /** Whether what is wrong with a document may name what is in the schema. */
  tellsSchema: boolean;
}

/**
 * A subscription that can be opened, or what is wrong with it, before anything of it runs. Whatever limits a document has are checked here,
 * for every kind of stream.
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
    if (errors.length > 0) return errors.map((error) => coded(error, 'GRAPHQL_VALIDATION_FAILED', rules.tellsSchema ? error.message : error.message.replace(/ ?Did you mean .+\?$/, '')));
    const operation = getOperationAST(document, operationName);
    if (!operation) throw refusal('There is no operation of that name, or several and no name.');
    if (operation.operation !== 'subscription') throw refusal(`A ${operation.operation} is for POST /graphql.`);
    const given = variables ?? {};
    const issues = variableIssues(schema, operation, given);
    if (issues.length > 0) throw invalid(...issues);
    const price = rules.priceOf({ schema, document, operation, variables: given }, viewer);
    price.pay(); // for opening it
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
