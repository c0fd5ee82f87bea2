import type { DocumentNode, GraphQLSchema, OperationDefinitionNode } from 'graphql';
import { TollgateError } from '../errors';
import { MemoryThrottles } from '../lib/memory-throttles';
import type { GraphQLContext } from './context';
import { planOf, requestedPoints, wholePoints, type Cost, type Plan } from './cost';
import { figuresOfDocument, figuresOfVariables, requireModest, tooComplex } from './limits';
import { MAX_OPERATION_POINTS, type Execution } from './work';

/** The points that a person, the operator, or all credentials of a workspace together have after a quiet spell. */
export const MAX_POINTS = 20_000;
/** The points that come back to them in a second. */
export const POINTS_PER_SECOND = 1_000;
/** Tokens of a document that make a point, where it is refused after it was read. */
const TOKENS_PER_POINT = 50;

/** What is to be run, validated, with variables that fit it. */
export interface AskedOperation {
  schema: GraphQLSchema;
  document: DocumentNode;
  operation: OperationDefinitionNode;
  variables: Record<string, unknown>;
}

/** What an operation may cost, before it has run. */
export interface Estimate {
  payer: string;
  plan: Plan;
  requested: number;
}

/** What operations cost, and who may still ask for how much. */
export class QueryCosts {
  private readonly budgets: MemoryThrottles;

  constructor(now?: () => number) {
    this.budgets = new MemoryThrottles({ burst: MAX_POINTS, intervalMs: 1000 / POINTS_PER_SECOND, ...(now && { now }) });
  }

  /** Takes the points of reading a document, which are given back where it runs. RATE_LIMITED where they are not there. */
  payForReading(tokens: number, { work }: GraphQLContext): void {
    const requested = Math.floor(tokens / TOKENS_PER_POINT);
    this.take(work.payer, requested);
    work.readingPoints += requested;
  }

  /** What an operation may cost. QUERY_TOO_COMPLEX where that is more than one may ask for, alone or with what its request has asked for before. */
  estimate({ schema, document, operation, variables }: AskedOperation, { work }: GraphQLContext): Estimate {
    requireModest({ ...figuresOfDocument(document), ...figuresOfVariables(variables) }); // a persisted document has not come by as a text
    const { payer } = work;
    this.budgets.giveBack(payer, work.readingPoints); // its own are those that count from here on
    work.readingPoints = 0;
    const plan = planOf(schema, document, operation, variables);
    const requested = requestedPoints(plan);
    const asked = (work.pointsAsked += requested);
    if (asked > MAX_OPERATION_POINTS) throw tooComplex([{ limit: 'points', asked, allowed: MAX_OPERATION_POINTS }]);
    return { payer, plan, requested };
  }

  /** Takes the points out of the payer's budget. RATE_LIMITED where there are too few, with the time until there will be enough. */
  pay({ payer, requested }: Estimate): void {
    this.take(payer, requested);
  }

  private take(payer: string, requested: number): void {
    const retryAfterMs = this.budgets.take(payer, requested);
    if (retryAfterMs === 0) return;
    const left = this.budgets.left(payer);
    const message = `This asks for ${requested} points, and ${left} are left; ${POINTS_PER_SECOND} come back each second. Wait as long as Retry-After says, or ask for less.`;
    throw new TollgateError('RATE_LIMITED', message, { retryAfterMs, cost: this.costOf(payer, requested, 0) });
  }

  /**
   * Gives back what an operation was paid for and did not come to, or takes what it came to besides. Without data it came to all of it at
   * least: there was an error at its top, or it was cut off.
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
