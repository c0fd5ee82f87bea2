import type { Time } from '../lib/time';

export interface LaneBounds<T> {
  maxItems: number;
  maxBytes: number;
  bytesOf(item: T): number;
}

/**
 * Group commit: while one batch is being worked on, whatever is pushed collects for the next. Alone, an item waits for nobody.
 * `prepare` may run for the next batch while `commit` still runs for this one, once that calls `onWriting`.
 */
export class Lane<T, P> {
  private queue: T[] = [];
  private running = false;

  constructor(
    private readonly time: Time,
    private readonly bounds: LaneBounds<T>,
    private readonly prepare: (batch: T[]) => Promise<P>,
    private readonly commit: (prepared: P, onWriting: () => void) => Promise<void>,
    private readonly onIdle: () => void = () => undefined,
  ) {}

  get length(): number {
    return this.queue.length;
  }

  push(...items: T[]): void {
    this.queue.push(...items);
    if (!this.running) void this.run();
  }

  private async run(): Promise<void> {
    this.running = true;
    await this.time.nextTurn(); // what arrived in the same turn of the event loop goes along
    let next: Promise<P> | undefined;
    while (next !== undefined || this.queue.length > 0) {
      const prepared: P = await (next ?? this.prepare(this.take()));
      next = undefined;
      await this.commit(prepared, () => {
        if (next === undefined && this.queue.length > 0) next = this.prepare(this.take());
      });
    }
    this.running = false;
    this.onIdle();
  }

  private take(): T[] {
    let bytes = 0;
    let count = 0;
    while (count < this.queue.length && count < this.bounds.maxItems) {
      bytes += this.bounds.bytesOf(this.queue[count] as T);
      if (count > 0 && bytes > this.bounds.maxBytes) break;
      count += 1;
    }
    return this.queue.splice(0, count);
  }
}
