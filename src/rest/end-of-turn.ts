type GoOn = (error?: Error) => void;

/**
 * What arrives in one turn of the event loop is read first, and then dealt with, all together. Dealt with one by one, each answer would wake
 * a caller, whose next request comes while others are still being read; where waking is dear, refusals take twice as long (bench/README).
 */
export class EndOfTurn {
  private waiting: GoOn[] = [];

  /** Goes on at the end of this turn, after whatever arrived before; once more with the error where that throws, as Fastify's hooks do. */
  run(goOn: GoOn): void {
    if (this.waiting.push(goOn) > 1) return;
    setImmediate(() => {
      const waiting = this.waiting;
      this.waiting = [];
      for (const next of waiting) {
        try {
          next();
        } catch (error) {
          next(error as Error);
        }
      }
    });
  }
}
