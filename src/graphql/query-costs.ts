import type { DocumentNode, GraphQLSchema, OperationDefinitionNode } from 'graphql';
import type { Principal } from '../access/principal';
import { TollgateError } from '../errors';
import { TokenBuckets, customerAt } from '../lib/token-buckets';
import type { GraphQLContext } from './context';
import { actualPoints, planOf, requestedPoints, type Cost, type Plan } from './cost';
import { figuresOfDocument, figuresOfVariables, requireModest, tooComplex } from './limits';

/** The points that a principal has after a quiet spell. */
export const MAX_POINTS = 20_000;
/** The points that come back to it in a second. */
export const POINTS_PER_SECOND = 1_000;
/** The points that an operation may ask for, or all operations of a batch. */
const MAX_OPERATION_POINTS = 10_000;

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
  private readonly budgets: TokenBuckets;

  constructor(now: () => number = () => performance.now()) {
    this.budgets = new TokenBuckets({ most: MAX_POINTS, perSecond: POINTS_PER_SECOND, now });
  }

  /** What an operation may cost. QUERY_TOO_COMPLEX where that is more than one may ask for, alone or with what its request has asked for before. */
  estimate({ schema, document, operation, variables }: AskedOperation, context: GraphQLContext): Estimate {
    requireModest({ ...figuresOfDocument(document), ...figuresOfVariables(variables) }); // a persisted document has not come by as a text
    const plan = planOf(schema, document, operation, variables);
    const requested = requestedPoints(plan);
    const asked = (context.asked.points += requested);
    if (asked > MAX_OPERATION_POINTS) throw tooComplex([{ limit: 'points', asked, allowed: MAX_OPERATION_POINTS }]);
    return { payer: payerOf(context.principal, context.whence.ip), plan, requested };
  }

  /** Takes the points out of the principal's budget. RATE_LIMITED where it has too few, with the time until it will have enough. */
  pay({ payer, requested }: Estimate): void {
    const retryAfterMs = this.budgets.take(payer, requested);
    if (retryAfterMs === 0) return;
    const left = this.budgets.left(payer);
    const message = `This asks for ${requested} points, and ${left} are left; ${POINTS_PER_SECOND} come back each second. Wait as long as Retry-After says, or ask for less.`;
    throw new TollgateError('RATE_LIMITED', message, { retryAfterMs, cost: this.costOf(payer, requested, 0) });
  }

  /** Gives back what an operation was paid for and did not come to. Without data, for there was an error at its top, it came to all of it. */
  settle({ payer, plan, requested }: Estimate, data: unknown): Cost {
    const actual = data ? Math.min(actualPoints(plan, data), requested) : requested;
    this.budgets.giveBack(payer, requested - actual);
    return this.costOf(payer, requested, actual);
  }

  private costOf(payer: string, requested: number, actual: number): Cost {
    return { requested, actual, left: this.budgets.left(payer), max: MAX_POINTS, refillPerSecond: POINTS_PER_SECOND };
  }
}

/** Whose budget a request is paid from: the principal's, or without one that of its address. */
const payerOf = (principal: Principal | null, ip: string | null): string => (principal ? `${principal.kind} ${principal.id}` : `address ${customerAt(ip)}`);
