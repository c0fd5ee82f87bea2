import type { DocumentNode, GraphQLSchema, OperationDefinitionNode } from 'graphql';
import { ownerOf } from '../access/places';
import type { Principal } from '../access/principal';
import { TollgateError } from '../errors';
import { TokenBuckets, customerAt } from '../lib/token-buckets';
import type { GraphQLContext } from './context';
import { actualPoints, planOf, requestedPoints, type Cost, type Plan } from './cost';
import { figuresOfDocument, figuresOfVariables, requireModest, tooComplex } from './limits';

/** The points that a person, the operator, or all credentials of a workspace together have after a quiet spell. */
export const MAX_POINTS = 20_000;
/** The points that come back to them in a second. */
export const POINTS_PER_SECOND = 1_000;
/** Tokens of a document that make a point, where it is refused after it was read. */
const TOKENS_PER_POINT = 50;
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

  /** Takes the points of reading a document, which are given back where it runs. RATE_LIMITED where they are not there. */
  payForReading(tokens: number, context: GraphQLContext): void {
    const requested = Math.floor(tokens / TOKENS_PER_POINT);
    this.take(payerOf(context.principal, context.whence.ip), requested);
    context.asked.readingPoints += requested;
  }

  /** What an operation may cost. QUERY_TOO_COMPLEX where that is more than one may ask for, alone or with what its request has asked for before. */
  estimate({ schema, document, operation, variables }: AskedOperation, context: GraphQLContext): Estimate {
    requireModest({ ...figuresOfDocument(document), ...figuresOfVariables(variables) }); // a persisted document has not come by as a text
    const payer = payerOf(context.principal, context.whence.ip);
    this.budgets.giveBack(payer, context.asked.readingPoints); // its own are those that count from here on
    context.asked.readingPoints = 0;
    const plan = planOf(schema, document, operation, variables);
    const requested = requestedPoints(plan);
    const asked = (context.asked.points += requested);
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

  /** Gives back what an operation was paid for and did not come to, or takes what it came to besides. Without data, for there was an error at its top, it came to all of it. */
  settle({ payer, plan, requested }: Estimate, data: unknown): Cost {
    const actual = data ? actualPoints(plan, data) : requested;
    this.budgets.giveBack(payer, requested - actual);
    return this.costOf(payer, requested, actual);
  }

  private costOf(payer: string, requested: number, actual: number): Cost {
    return { requested, actual, left: Math.max(this.budgets.left(payer), 0), max: MAX_POINTS, refillPerSecond: POINTS_PER_SECOND };
  }
}

/** Whose budget a request is paid from: its principal's owner's, or without one that of its address. */
const payerOf = (principal: Principal | null, ip: string | null): string => (principal ? ownerOf(principal) : `address ${customerAt(ip)}`);
