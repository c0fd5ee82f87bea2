import type { Time } from '../../lib/time';

export interface LaneOptions<T> {
  maxItems: number;
  maxBytes: number;
  bytesOf(item: T): number;
  onIdle?(): void;
}

/**
 * Group commit: while one batch is worked on, pushed items collect for the next batch. An item that is alone starts at once.
 * `work` returns functions that answer the callers of the batch. They are called together, while the next batch already runs.
 * `work` must not reject.
 */
export class Lane<T> {
  private queue: T[] = [];
  private running = false;

  constructor(
    private readonly time: Time,
    private readonly options: LaneOptions<T>,
    private readonly work: (batch: T[]) => Promise<(() => void)[]>,
  ) {}

  push(...items: T[]): void {
    this.queue.push(...items);
    if (!this.running) void this.run();
  }

  private async run(): Promise<void> {
    this.running = true;
    await this.time.nextTurn(); // items of the same turn of the event loop join the batch
    while (this.queue.length > 0) {
      const answers = await this.work(this.take());
      void this.time.nextTurn().then(() => answers.forEach((answer) => answer()));
      await this.time.afterPromises(); // callers that continue at once can push items for the next batch
    }
    this.running = false;
    this.options.onIdle?.();
  }

  /** Removes the next batch from the queue: as many items as both limits allow, but at least one. */
  private take(): T[] {
    const { maxItems, maxBytes, bytesOf } = this.options;
    let bytes = 0;
    let count = 0;
    while (count < this.queue.length && count < maxItems) {
      bytes += bytesOf(this.queue[count] as T);
      if (count > 0 && bytes > maxBytes) break;
      count += 1;
    }
    return this.queue.splice(0, count);
  }
}
