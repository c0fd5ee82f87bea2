/** Runs work in the background, such as sending a mail after the answer. The process waits for it before it ends. */
export class Background {
  private readonly running = new Set<Promise<void>>();

  /** Starts `work`. Calls `failed` if it rejects. */
  run(work: () => Promise<void>, failed: (error: unknown) => void): void {
    const done: Promise<void> = work()
      .catch(failed)
      .finally(() => this.running.delete(done));
    this.running.add(done);
  }

  /** Resolves when all started work is done. */
  async idle(): Promise<void> {
    while (this.running.size > 0) await Promise.all(this.running);
  }
}
