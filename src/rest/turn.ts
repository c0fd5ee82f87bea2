/**
 * What arrives in one turn of the event loop is read first, all of it, and then dealt with, all together. Dealt with one by one, each
 * answer would wake a caller, whose next request comes while others are still being read: refusals take three times as long (bench/README).
 */
export class Turn {
  private waiting: (() => void)[] = [];

  /** Goes on at the end of this turn, after whatever arrived before. */
  end(goOn: () => void): void {
    if (this.waiting.push(goOn) > 1) return;
    setImmediate(() => {
      const waiting = this.waiting;
      this.waiting = [];
      for (const next of waiting) next();
    });
  }
}
