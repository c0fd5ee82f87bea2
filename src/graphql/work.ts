import { GraphQLError, type ExecutionResult } from 'graphql';
import { ownerOf } from '../access/places';
import type { Principal } from '../access/principal';
import { customerAt } from '../lib/cidr';
import { TURNS } from '../lib/turns';
import type { Plan } from './query-plan';
import { toGraphQLError } from './errors';
import { tooComplex } from './limits';

/** Maximum points of an operation, or of all operations of a batch together. */
export const MAX_OPERATION_POINTS = 10_000;
/** Maximum size of an answer, in bytes of its values and field names. Larger results are for exports. */
const MAX_ANSWER_LENGTH = 2_000_000;
/** Maximum errors in an answer. */
const MAX_ANSWER_ERRORS = 1_000;

const ALLOWED = { points: MAX_OPERATION_POINTS, answer: MAX_ANSWER_LENGTH, errors: MAX_ANSWER_ERRORS };

/** Counts the work of a request, all operations of a batch together, and shares the event loop with other requests. */
export class Work {
  /** Points that its operations may cost, by their estimates. */
  pointsAsked = 0;
  /** Points that were taken for reading its documents. */
  readingPoints = 0;
  /** Set when the request exceeds a limit. The answer then consists only of this error. */
  excess: GraphQLError | undefined;
  private readonly done = { points: 0, answer: 0, errors: 0 };
  private waiting = 0;
  private whenIdleTasks: (() => void)[] = [];

  /** `payer` names the point budget that pays for the request. */
  constructor(readonly payer: string) {}

  /** Counts executed work. Sets `excess` if a limit is exceeded. */
  count(figure: keyof typeof ALLOWED, amount: number): void {
    const done = (this.done[figure] += amount);
    if (done <= ALLOWED[figure] || this.excess) return;
    const { message, extensions } = toGraphQLError(tooComplex([{ limit: figure, asked: Math.ceil(done), allowed: ALLOWED[figure] }]));
    this.excess = new GraphQLError(message, { extensions });
  }

  /** Returns undefined if this turn of the event loop has time left. Otherwise returns a promise of a later turn. */
  turn(): Promise<void> | undefined {
    return TURNS.mayGoOn(this.payer) ? undefined : this.later();
  }

  /** Waits for a later turn. Never resolves if `isOver` returns true in that turn. */
  later(isOver = () => false): Promise<void> {
    this.waiting += 1;
    return new Promise((resolve) =>
      TURNS.enqueue(this.payer, () => {
        this.waiting -= 1;
        if (!isOver()) resolve();
        if (this.waiting > 0) return;
        const tasks = this.whenIdleTasks;
        this.whenIdleTasks = [];
        for (const task of tasks) this.whenIdle(task);
      }),
    );
  }

  /** Runs a task after all waiting work of this request has had its turn, because that work may join the task's batch. */
  whenIdle(task: () => void): void {
    queueMicrotask(() =>
      process.nextTick(() => {
        if (this.waiting === 0) task();
        else this.whenIdleTasks.push(task);
      }),
    );
  }
}

/** The execution of one operation, with the plan that determined its price. */
export class Execution {
  /** Points counted so far. */
  points = 0;
  /** Resolves with the error if the request exceeds a limit. Execution stops then. */
  readonly cut: Promise<ExecutionResult>;
  private end: (result: ExecutionResult) => void = () => undefined;

  constructor(
    private readonly work: Work,
    readonly plan: Plan,
  ) {
    this.cut = new Promise((resolve) => (this.end = resolve));
  }

  /** True if execution must stop, because the request has exceeded a limit. */
  get isOver(): boolean {
    const { excess } = this.work;
    if (excess) this.end({ errors: [excess] });
    return excess !== undefined;
  }

  /** Counts points, and bytes of the answer, just before they are produced. */
  count(points: number, length: number): void {
    this.points += points;
    this.work.count('points', points);
    this.work.count('answer', length);
  }

  /** Counts an error of a field, with the points of the field. */
  countError(points: number): void {
    this.count(points, 0);
    this.work.count('errors', 1);
  }

  /** Like `Work.turn`. The promise never resolves if the execution has stopped by then. */
  turn(): Promise<void> | undefined {
    return TURNS.isOver ? this.work.later(() => this.isOver) : undefined;
  }
}

/** Names the point budget that pays for a request: the budget of the principal's owner, or of the address if it is anonymous. */
export function payerOf(principal: Principal | null, ip: string | null): string {
  return principal ? ownerOf(principal) : `address ${customerAt(ip)}`;
}
