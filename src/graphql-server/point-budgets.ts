import type { DocumentNode, GraphQLSchema, OperationDefinitionNode } from 'graphql';
import { TollgateError } from '../errors';
import { MemoryThrottles } from '../lib/memory-throttles';
import type { GraphQLContext } from '../graphql/context';
import { planOf, requestedPoints, wholePoints, type Cost, type Plan } from '../graphql/query-plan';
import { figuresOfDocument, figuresOfVariables, requireModest, tooComplex } from '../graphql/limits';
import { MAX_OPERATION_POINTS, type Execution } from '../graphql/work';

/**
 * Points in a full budget. There is one budget for each person, for the operator, for all credentials of a workspace together, and for each
 * address without a credential.
 */
export const MAX_POINTS = 20_000;
/** Points added to a budget per second. */
export const POINTS_PER_SECOND = 1_000;
/** Tokens per point. A document that is refused after it was parsed costs points for its tokens. */
const TOKENS_PER_POINT = 50;

/** A validated operation, with variables that fit it. */
export interface AskedOperation {
  schema: GraphQLSchema;
  document: DocumentNode;
  operation: OperationDefinitionNode;
  variables: Record<string, unknown>;
}

/** The maximum cost of an operation, estimated before it runs. */
export interface Estimate {
  payer: string;
  plan: Plan;
  requested: number;
}

/** Prices operations, and keeps the point budgets of their payers. */
export class QueryCosts {
  private readonly budgets: MemoryThrottles;

  constructor(now?: () => number) {
    this.budgets = new MemoryThrottles({ burst: MAX_POINTS, intervalMs: 1000 / POINTS_PER_SECOND, ...(now && { now }) });
  }

  /** Takes the points of reading documents. `estimate` gives them back. Throws RATE_LIMITED if the budget has too few. */
  payForReading(tokens: number, { work }: GraphQLContext): void {
    const requested = Math.floor(tokens / TOKENS_PER_POINT);
    this.take(work.payer, requested);
    work.readingPoints += requested;
  }

  /**
   * Estimates the maximum cost of an operation. Throws QUERY_TOO_COMPLEX if the operation, or its batch up to here, exceeds a limit.
   */
  estimate({ schema, document, operation, variables }: AskedOperation, { work }: GraphQLContext): Estimate {
    // Screening does not see the document of a persisted query
    requireModest({ ...figuresOfDocument(document), ...figuresOfVariables(variables) });
    const { payer } = work;
    this.budgets.giveBack(payer, work.readingPoints); // from here on the operation itself is paid for
    work.readingPoints = 0;
    const plan = planOf(schema, document, operation, variables);
    const requested = requestedPoints(plan);
    const asked = (work.pointsAsked += requested);
    if (asked > MAX_OPERATION_POINTS) throw tooComplex([{ limit: 'points', asked, allowed: MAX_OPERATION_POINTS }]);
    return { payer, plan, requested };
  }

  /** Takes the points from the payer's budget. Throws RATE_LIMITED if there are too few, with the time until there are enough. */
  pay({ payer, requested }: Estimate): void {
    this.take(payer, requested);
  }

  private take(payer: string, requested: number): void {
    const retryAfterMs = this.budgets.take(payer, requested);
    if (retryAfterMs === 0) return;
    const left = this.budgets.left(payer);
    const message =
      `This asks for ${requested} points, and ${left} are left; ${POINTS_PER_SECOND} come back each second. ` +
      'Wait as long as Retry-After says, or ask for less.';
    throw new TollgateError('RATE_LIMITED', message, { retryAfterMs, cost: this.costOf(payer, requested, 0) });
  }

  /**
   * Gives back the points that an operation did not use, or takes the points that it used beyond its estimate. An operation without data
   * costs at least its estimate: it failed at its root, or it was stopped.
   */
  settle({ payer, requested }: Estimate, data: unknown, execution: Execution | undefined): Cost {
    const done = wholePoints(execution?.points ?? 0);
    const actual = data ? done : Math.max(requested, done);
    this.budgets.giveBack(payer, requested - actual);
    return this.costOf(payer, requested, actual);
  }

  private costOf(payer: string, requested: number, actual: number): Cost {
    return { requested, actual, left: Math.max(this.budgets.left(payer), 0), max: MAX_POINTS, refillPerSecond: POINTS_PER_SECOND };
  }
}
