export interface Repetition {
  intervalMs: number;
  /** The wait after a failure. Default: `intervalMs`. */
  failedIntervalMs?: number;
  failed(error: unknown): void;
}

/** A task that a process repeats. Runs never overlap. */
export abstract class Repeated {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();

  constructor(private readonly repetition: Repetition) {}

  abstract once(): Promise<void>;

  /** Runs the task now, and then again after each interval. */
  start(): void {
    const { intervalMs, failedIntervalMs = intervalMs, failed } = this.repetition;
    const next = () => {
      let wait = intervalMs;
      this.running = this.once().catch((error: unknown) => {
        wait = failedIntervalMs;
        failed(error);
      });
      void this.running.then(() => {
        if (this.timer) this.timer = setTimeout(next, wait).unref();
      });
    };
    this.timer = setTimeout(next, 0).unref();
  }

  /** Stops the repetition. Resolves when the current run has ended. */
  async stop(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    await this.running;
  }
}
