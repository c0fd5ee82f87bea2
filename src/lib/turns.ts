/** The time that long work may run before other work of the process gets its turn. */
const SLICE_MS = 10;

/**
 * Shares the processor between long work, which is cut into pieces, and all other work of the process. In each turn of the event loop all
 * long work together runs for one slice of time. The rest waits for a later turn. Payers with waiting work take turns.
 */
export class Turns {
  private sliceEndsAt: number | undefined;
  /** Continuations by payer, first in, first out. A payer that had its turn goes to the end. */
  private readonly waiting = new Map<string, Queue>();

  /** Whether the slice of this turn is used up. Begins a slice if there is none. */
  get isOver(): boolean {
    return performance.now() >= (this.sliceEndsAt ?? this.begin());
  }

  /** Whether this turn has time left and no earlier work of the payer waits. */
  mayGoOn(payer: string): boolean {
    return !this.isOver && !this.waiting.has(payer);
  }

  /** Calls `resume` in a later turn, after the work that was queued before. The time of microtasks that `resume` starts counts too. */
  enqueue(payer: string, resume: () => void): void {
    const queue = this.waiting.get(payer);
    if (queue) queue.push(resume);
    else this.waiting.set(payer, new Queue(resume));
    if (this.sliceEndsAt === undefined) this.begin();
  }

  private begin(): number {
    setImmediate(this.nextTurn);
    return (this.sliceEndsAt = performance.now() + SLICE_MS);
  }

  private readonly nextTurn = (): void => {
    this.sliceEndsAt = undefined;
    if (this.waiting.size > 0) this.resume();
  };

  /** Resumes waiting work in order, each after the microtasks of the previous one. */
  private readonly resume = (): void => {
    const [next] = this.waiting;
    if (!next || this.isOver) return;
    const [payer, queue] = next;
    this.waiting.delete(payer);
    const resumed = queue.shift();
    if (!queue.isEmpty) this.waiting.set(payer, queue);
    resumed?.();
    queueMicrotask(() => process.nextTick(this.resume)); // runs after all microtasks; nextTick alone would run before them
  };
}

/** First in, first out. Faster than `Array.shift`, which moves all remaining items. */
class Queue {
  private readonly items: (() => void)[];
  private first = 0;

  constructor(item: () => void) {
    this.items = [item];
  }

  get isEmpty(): boolean {
    return this.first === this.items.length;
  }

  push(item: () => void): void {
    this.items.push(item);
  }

  shift(): (() => void) | undefined {
    const item = this.items[this.first];
    this.first += 1;
    if (this.first > 1_000 && this.first * 2 > this.items.length) {
      this.items.splice(0, this.first);
      this.first = 0;
    }
    return item;
  }
}

/** The turns of this process. */
export const TURNS = new Turns();

/** The payer for rows read from the database, shared by all callers. */
const ROWS = 'rows';

/** Applies `act` to each item, in several turns of the event loop if needed. For hundreds of queries or thousands of rows. */
export async function inPieces<T, R>(items: readonly T[], act: (item: T, index: number) => R): Promise<R[]> {
  const done: R[] = [];
  for (const [index, item] of items.entries()) {
    if (!TURNS.mayGoOn(ROWS)) await new Promise<void>((resolve) => TURNS.enqueue(ROWS, resolve));
    done.push(act(item, index));
  }
  return done;
}
