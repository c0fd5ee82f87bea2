/**
 * Limits how long a call may wait: for each step, and in all. Has one timer, which is set again only when it fires or when a step becomes
 * shorter, so that noting progress costs almost nothing.
 */
export class Patience {
  private until: number;
  private progressAt: number;
  private dueAt = Infinity;
  private timer: NodeJS.Timeout | undefined;

  /** Calls `onOver` once when `maxMs` have passed in all, or `stepMs` without progress. */
  constructor(
    maxMs: number,
    private stepMs: number,
    private readonly onOver: () => void,
  ) {
    this.progressAt = performance.now();
    this.until = this.progressAt + maxMs;
    this.schedule();
  }

  /** True when `maxMs` have passed. */
  get isOver(): boolean {
    return performance.now() >= this.until;
  }

  /** Starts the time of the step again. */
  progress(): void {
    this.progressAt = performance.now();
  }

  /** Starts another step. Infinity is a step without limit. */
  expect(stepMs: number): void {
    this.stepMs = stepMs;
    this.progress();
    if (this.nextDue() < this.dueAt) this.schedule();
  }

  /** Sets the end of the time in all to `ms` from now. */
  extend(ms: number): void {
    this.until = performance.now() + ms;
    this.schedule();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.dueAt = -Infinity; // no step schedules it again
  }

  private nextDue(): number {
    return Math.min(this.until, this.progressAt + this.stepMs);
  }

  private schedule(): void {
    clearTimeout(this.timer);
    this.dueAt = this.nextDue();
    this.timer = setTimeout(() => this.check(), Math.max(1, Math.ceil(this.dueAt - performance.now()))).unref();
  }

  private check(): void {
    if (performance.now() < this.nextDue()) this.schedule();
    else this.onOver();
  }
}
