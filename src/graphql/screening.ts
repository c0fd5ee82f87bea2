import { getOperationAST, parse, type DocumentNode, type GraphQLSchema } from 'graphql';
import { TollgateError } from '../errors';
import type { GraphQLContext } from './context';
import { requireNoFragmentCycle } from './fragment-cycles';
import { MAX_TOKENS, figuresOfDocument, figuresOfText, figuresOfVariables, requireModest, tooComplex, type Figures } from './limits';
import { isPublicOperation } from './public-mutations';
import type { QueryCosts } from './query-costs';

/** Operations in one batch, where batches are taken. */
const MAX_BATCH = 10;

/** What of a request is looked at before Apollo is handed it; whatever it really is. */
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
 * Refuses what costs more to validate than it is worth: documents that are too much of anything (QUERY_TOO_COMPLEX), those of a batch taken
 * together, what whoever asks has no points left to have read (RATE_LIMITED), and without a credential what is not public (UNAUTHENTICATED).
 * What cannot be read passes, for others say what is wrong with it.
 */
export function screen({ method, body, query }: ScreenedRequest, context: GraphQLContext, schema: GraphQLSchema, costs: QueryCosts): void {
  const given: unknown = method === 'POST' ? body : query;
  const operations = (Array.isArray(given) ? given : [given]).filter((one): one is Asked => typeof one === 'object' && one !== null);
  if (operations.length > MAX_BATCH) throw tooComplex([{ limit: 'batch', asked: operations.length, allowed: MAX_BATCH }]);
  const texts = operations.flatMap((one) => (typeof one.query === 'string' ? [{ text: one.query, operationName: one.operationName }] : []));
  const figures = together([...texts.map(({ text }) => figuresOfText(text)), ...operations.map(({ variables }) => figuresOfVariables(variables))]);
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

const HIGHEST = new Set(['nesting', 'depth', 'breadth', 'repeats']);

/** The figures of a batch: how far the deepest goes, and of all else as much as there is in all of them. */
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
