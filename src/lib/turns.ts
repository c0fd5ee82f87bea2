/** How long the long work of a process runs before everything else gets its turn. */
const SLICE_MS = 10;

/**
 * Shares the processor between long work, which is cut into pieces, and everything else that the process does. In each turn of the event
 * loop all long work together runs for one slice of time. What is left waits for a later turn, and payers take turns.
 */
export class Turns {
  private sliceEndsAt: number | undefined;
  /** Continuations by payer, first come first served; a payer that has had its turn goes to the end. */
  private readonly waiting = new Map<string, Queue>();

  /** Whether the slice of this turn is used up. Begins one if there is none yet. */
  get isOver(): boolean {
    return performance.now() >= (this.sliceEndsAt ?? this.begin());
  }

  /** Whether there is time left in this turn, and nothing of the payer waits, which would be overtaken. */
  mayGoOn(payer: string): boolean {
    return !this.isOver && !this.waiting.has(payer);
  }

  /** Calls `resume` in a later turn, once earlier ones have been called. What it causes as microtasks counts as its own time. */
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

  /** Resumes one after the other, each after the microtasks of the one before. */
  private readonly resume = (): void => {
    const [next] = this.waiting;
    if (!next || this.isOver) return;
    const [payer, queue] = next;
    this.waiting.delete(payer);
    const resumed = queue.shift();
    if (!queue.isEmpty) this.waiting.set(payer, queue);
    resumed?.();
    queueMicrotask(() => process.nextTick(this.resume)); // after all microtasks; a tick that asks for another would come before them
  };
}

/** First in, first out; an array moves all that is left with each that goes. */
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

/** The one of this process. */
export const TURNS = new Turns();

/** The share of what is read from the database, for all payers. */
const ROWS = 'rows';

/** Does something with each item, in as many turns of the event loop as it takes: for hundreds of queries or thousands of rows. */
export async function inPieces<T, R>(items: readonly T[], act: (item: T, index: number) => R): Promise<R[]> {
  const done: R[] = [];
  for (const [index, item] of items.entries()) {
    if (!TURNS.mayGoOn(ROWS)) await new Promise<void>((resolve) => TURNS.enqueue(ROWS, resolve));
    done.push(act(item, index));
  }
  return done;
}
