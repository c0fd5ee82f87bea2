/** Work that nobody waits for, such as a mail after its answer. It sees to its own failures, and is finished before the process ends. */
export class Background {
  private readonly running = new Set<Promise<void>>();

  /** Starts `work`; `failed` is told where it rejects. */
  run(work: () => Promise<void>, failed: (error: unknown) => void): void {
    const done: Promise<void> = work()
      .catch(failed)
      .finally(() => this.running.delete(done));
    this.running.add(done);
  }

  /** Resolves when everything that was started is done. */
  async idle(): Promise<void> {
    while (this.running.size > 0) await Promise.all(this.running);
  }
}
