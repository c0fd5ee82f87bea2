import type { Time } from '../lib/time';

export interface LaneOptions<T> {
  maxItems: number;
  maxBytes: number;
  bytesOf(item: T): number;
  onIdle?(): void;
}

/**
 * Group commit: while one batch is being worked on, whatever is pushed collects for the next. Alone, an item waits for nobody.
 * `work` gives functions that answer those who wait for the batch; they are called in one go, while the next batch is already on its way.
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
    await this.time.nextTurn(); // what arrived in the same turn of the event loop goes along
    while (this.queue.length > 0) {
      const answers = await this.work(this.take());
      void this.time.nextTurn().then(() => answers.forEach((answer) => answer()));
      await this.time.afterPromises(); // whoever goes on at once may have something for the next one
    }
    this.running = false;
    this.options.onIdle?.();
  }

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
