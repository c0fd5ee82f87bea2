type Continue = (error?: Error) => void;

/**
 * Batches requests: first reads all requests of one turn of the event loop, then handles them. If each were handled at once, each answer
 * would wake its client, and the client's next request would arrive while others are still being read. On machines that wake processes
 * slowly, refusals would then take twice as long (bench/README).
 */
export class EndOfTurn {
  private waiting: Continue[] = [];

  /**
   * Calls `proceed` at the end of this turn, in the order of the calls of `run`. If `proceed` throws, calls it again with the error, as
   * hooks of Fastify do.
   */
  run(proceed: Continue): void {
    if (this.waiting.push(proceed) > 1) return;
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
