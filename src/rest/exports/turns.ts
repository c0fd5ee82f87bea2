import { setTimeout as wait } from 'node:timers/promises';

/**
 * What exports make, in turns: one item at a time in a process, and after each a rest as long as its making took. So exports, however many,
 * have at most half of what a process can do, and whatever else arrives waits for one item at the most.
 */
export class Turns {
  private last: Promise<unknown> = Promise.resolve();

  /** The same items, each of which is made in a turn of its own. */
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
