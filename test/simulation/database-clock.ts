import type { Scheduler } from './scheduler';

const START_US = Date.UTC(2026, 0, 1) * 1000;

/** The clock that decides. It runs on with simulated time, and jumps where the simulation says so. */
export class DatabaseClock {
  private offsetUs = 0;
  private lastUs = START_US;
  private forward = 0;

  constructor(private readonly scheduler: Scheduler) {}

  nowUs(): number {
    return START_US + this.offsetUs + Math.floor(this.scheduler.now * 1000);
  }

  nowMs(): number {
    return Math.floor(this.nowUs() / 1000);
  }

  /** Microseconds that this clock has ever moved forward: what it went back, and then made up for, counts. Bounds any rate. */
  forwardUs(): number {
    const now = this.nowUs();
    this.forward += Math.max(0, now - this.lastUs);
    this.lastUs = now;
    return this.forward;
  }

  jump(ms: number): void {
    this.forwardUs();
    this.offsetUs += Math.round(ms * 1000);
    this.forwardUs();
  }
}
