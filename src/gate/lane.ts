import type { Time } from '../lib/time';

export interface LaneOptions<T> {
  maxItems: number;
  maxBytes: number;
  bytesOf(item: T): number;
  onIdle?(): void;
}

/** In so many parts answers go out, and in between whatever has arrived is seen: a batch on its way does not wait for all of those before. */
const PARTS = 8;
/** Fewer than this are not worth a turn of the event loop. */
const LEAST_IN_PART = 16;

/**
 * Group commit: while one batch is being worked on, whatever is pushed collects for the next. Alone, an item waits for nobody.
 * `work` gives functions that answer those who wait for the batch; they are called while the next batch is already on its way.
 */
export class Lane<T> {
  private queue: T[] = [];
  private running = false;
  private answers: (() => void)[] = [];
  private answering = false;

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
      this.answers.push(...(await this.work(this.take())));
      if (!this.answering) void this.answer();
      await this.time.afterPromises(); // whoever goes on at once may have something for the next one
    }
    this.running = false;
    this.options.onIdle?.();
  }

  private async answer(): Promise<void> {
    this.answering = true;
    while (this.answers.length > 0) {
      const answers = this.answers.splice(0);
      const size = Math.max(LEAST_IN_PART, Math.ceil(answers.length / PARTS));
      for (let at = 0; at < answers.length; at += size) {
        await this.time.nextTurn();
        for (const answer of answers.slice(at, at + size)) answer();
      }
    }
    this.answering = false;
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
