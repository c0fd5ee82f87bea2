export interface Repetition {
  intervalMs: number;
  /** How long it waits after it failed; as long as else where absent. */
  failedIntervalMs?: number;
  failed(error: unknown): void;
}

/** Something that a process does again and again, never twice at a time. */
export abstract class Repeated {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();

  constructor(private readonly repetition: Repetition) {}

  abstract once(): Promise<void>;

  /** Does it now, and from now on. */
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

  /** Does it no more, and resolves when it is not being done. */
  async stop(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    await this.running;
  }
}
