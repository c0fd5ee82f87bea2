import { getOperationAST, parse, type DocumentNode, type GraphQLSchema } from 'graphql';
import { TollgateError } from '../errors';
import type { GraphQLContext } from '../graphql/context';
import { requireNoFragmentCycle } from './fragment-cycles';
import {
  MAX_TOKENS,
  figuresOfDocument,
  figuresOfText,
  figuresOfVariables,
  requireModest,
  tooComplex,
  type Figures,
} from '../graphql/limits';
import { isPublicOperation } from './public-mutations';
import type { QueryCosts } from './point-budgets';

/** Maximum operations in a batch, if batching is enabled. */
const MAX_BATCH = 10;

/** The parts of a request that are checked before Apollo gets it. Their types are not known yet. */
export interface ScreenedRequest {
  method: string;
  body: unknown;
  query: unknown;
}

interface Asked {
  query?: unknown;
  variables?: unknown;
  operationName?: unknown;
}

/**
 * Refuses requests that are too expensive to validate:
 * - QUERY_TOO_COMPLEX if the documents of the request together exceed a limit;
 * - RATE_LIMITED if the payer has too few points left for reading them;
 * - UNAUTHENTICATED if the caller is anonymous and an operation is not public.
 * Also refuses fragment cycles. Ignores unreadable requests, because Apollo reports those.
 */
export function screen({ method, body, query }: ScreenedRequest, context: GraphQLContext, schema: GraphQLSchema, costs: QueryCosts): void {
  const given: unknown = method === 'POST' ? body : query;
  const operations = (Array.isArray(given) ? given : [given]).filter(isAsked);
  if (operations.length > MAX_BATCH) throw tooComplex([{ limit: 'batch', asked: operations.length, allowed: MAX_BATCH }]);
  const texts = operations.flatMap(({ query: text, operationName }) => (typeof text === 'string' ? [{ text, operationName }] : []));
  const figures = together([
    ...texts.map(({ text }) => figuresOfText(text)),
    ...operations.map(({ variables }) => figuresOfVariables(variables)),
  ]);
  requireModest(figures);
  costs.payForReading(figures.tokens ?? 0, context);
  const documents = texts.flatMap(({ text, operationName }) => {
    const document = parsed(text);
    return document ? [{ text, document, operationName }] : [];
  });
  requireModest(together(documents.map(({ document }) => figuresOfDocument(document))));
  for (const { text, document } of documents) requireNoFragmentCycle(schema, document, text);
  if (context.principal) return;
  for (const { document, operationName } of documents) {
    const operation = getOperationAST(document, typeof operationName === 'string' ? operationName : undefined);
    if (operation && !isPublicOperation(operation, document)) throw new TollgateError('MISSING_API_KEY');
  }
}

const isAsked = (operation: unknown): operation is Asked => typeof operation === 'object' && operation !== null;

const HIGHEST = new Set(['nesting', 'depth', 'breadth', 'repeats']);

/** Combines the figures of a batch: the maximum of the HIGHEST figures, and the sum of all others. */
function together(all: Partial<Figures>[]): Partial<Figures> {
  const sum: Record<string, number> = {};
  for (const [figure, asked] of all.flatMap((figures) => Object.entries(figures))) {
    sum[figure] = HIGHEST.has(figure) ? Math.max(sum[figure] ?? 0, asked) : (sum[figure] ?? 0) + asked;
  }
  return sum;
}

function parsed(text: string): DocumentNode | undefined {
  try {
    return parse(text, { maxTokens: MAX_TOKENS, noLocation: true });
  } catch {
    return undefined;
  }
}
