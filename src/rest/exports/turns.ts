import { setTimeout as wait } from 'node:timers/promises';

/**
 * Makes the items of all exports of a process one at a time, and pauses after each for as long as making it took. So exports use at most
 * half of the time of a process, and another request waits for one item at most.
 */
export class Turns {
  private last: Promise<unknown> = Promise.resolve();

  /** Yields the given items. Waits for the turn of this export before it makes each one. */
  async *each<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
    const iterator = items[Symbol.asyncIterator]();
    try {
      for (;;) {
        const item = await this.take(() => iterator.next());
        if (item.done) return;
        yield item.value;
      }
    } finally {
      await iterator.return?.();
    }
  }

  private take<T>(work: () => Promise<T>): Promise<T> {
    let tookMs = 0;
    const turn = this.last.then(async () => {
      const began = performance.now();
      try {
        return await work();
      } finally {
        tookMs = performance.now() - began;
      }
    });
    this.last = turn.then(
      () => wait(tookMs),
      () => undefined,
    );
    return turn;
  }
}
