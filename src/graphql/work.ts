import { GraphQLError, type ExecutionResult } from 'graphql';
import { ownerOf } from '../access/places';
import type { Principal } from '../access/principal';
import { customerAt } from '../lib/cidr';
import { TURNS } from '../lib/turns';
import type { Plan } from './cost';
import { toGraphQLError } from './errors';
import { tooComplex } from './limits';

/** The points that an operation may ask for and come to, or all operations of a batch. */
export const MAX_OPERATION_POINTS = 10_000;
/** The longest answer of a request, in bytes of its values and of the names that they have. Exports are for what is longer. */
const MAX_ANSWER_LENGTH = 2_000_000;
/** Errors of an answer. */
const MAX_ANSWER_ERRORS = 1_000;

const ALLOWED = { points: MAX_OPERATION_POINTS, answer: MAX_ANSWER_LENGTH, errors: MAX_ANSWER_ERRORS };

/** What a request has asked for and come to, all operations of a batch together, and when it may go on. */
export class Work {
  /** The points that its operations have asked for. */
  pointsAsked = 0;
  /** The points that were taken for reading its documents. */
  readingPoints = 0;
  /** Why it is answered with nothing else. */
  excess: GraphQLError | undefined;
  private readonly done = { points: 0, answer: 0, errors: 0 };
  private waiting = 0;
  private whenIdleTasks: (() => void)[] = [];

  /** `payer` is the name of the budget that it is paid from. */
  constructor(readonly payer: string) {}

  /** Counts what an operation comes to. Past a limit there is an `excess`. */
  count(figure: keyof typeof ALLOWED, amount: number): void {
    const done = (this.done[figure] += amount);
    if (done <= ALLOWED[figure] || this.excess) return;
    const { message, extensions } = toGraphQLError(tooComplex([{ limit: figure, asked: Math.ceil(done), allowed: ALLOWED[figure] }]));
    this.excess = new GraphQLError(message, { extensions });
  }

  /** Waits for a later turn of the event loop where this one is used up; undefined where it is not. */
  turn(): Promise<void> | undefined {
    return TURNS.mayGoOn(this.payer) ? undefined : this.later();
  }

  /** Waits for a later turn; for ever where `isOver` by then. */
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

  /** Does a task after all that can go on has gone on: what waits for a turn may want to be part of it. */
  whenIdle(task: () => void): void {
    queueMicrotask(() =>
      process.nextTick(() => {
        if (this.waiting === 0) task();
        else this.whenIdleTasks.push(task);
      }),
    );
  }
}

/** The execution of one operation, by the plan that it was priced by. */
export class Execution {
  /** The points that it has come to. */
  points = 0;
  /** Resolves where the request comes to too much: nothing more of the operation is executed. */
  readonly cut: Promise<ExecutionResult>;
  private end: (result: ExecutionResult) => void = () => undefined;

  constructor(
    private readonly work: Work,
    readonly plan: Plan,
  ) {
    this.cut = new Promise((resolve) => (this.end = resolve));
  }

  /** Whether nothing more of it is to be executed. */
  get isOver(): boolean {
    const { excess } = this.work;
    if (excess) this.end({ errors: [excess] });
    return excess !== undefined;
  }

  /** Counts what is about to be executed or answered: points, and bytes of the answer. */
  count(points: number, length: number): void {
    this.points += points;
    this.work.count('points', points);
    this.work.count('answer', length);
  }

  /** Counts an error of a field. */
  countError(points: number): void {
    this.count(points, 0);
    this.work.count('errors', 1);
  }

  /** Waits for a later turn where this one is used up; undefined where it is not. Never resolves once nothing more is to be executed. */
  turn(): Promise<void> | undefined {
    return TURNS.isOver ? this.work.later(() => this.isOver) : undefined;
  }
}

/** The name of the budget that a request is paid from: its principal's owner's, or without one that of its address. */
export function payerOf(principal: Principal | null, ip: string | null): string {
  return principal ? ownerOf(principal) : `address ${customerAt(ip)}`;
}
