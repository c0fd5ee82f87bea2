import type { Scheduler } from './scheduler';

const START_US = Date.UTC(2026, 0, 1) * 1000;

/** The database's clock, which all decisions use. It follows simulated time, and jumps on request. */
export class DatabaseClock {
  private offsetUs = 0;
  private lastUs = START_US;
  private forward = 0;
  /** Sum of all jumps back of this clock, in milliseconds. An expiry comes so much later. */
  backMs = 0;
  private highestMs = 0;

  constructor(private readonly scheduler: Scheduler) {}

  nowUs(): number {
    return START_US + this.offsetUs + Math.floor(this.scheduler.now * 1000);
  }

  nowMs(): number {
    return Math.floor(this.nowUs() / 1000);
  }

  /** Sum of all forward movement of this clock, in microseconds; time repeated after a jump back counts twice. Limits any rate. */
  forwardUs(): number {
    const now = this.nowUs();
    this.forward += Math.max(0, now - this.lastUs);
    this.lastUs = now;
    return this.forward;
  }

  /** The latest time that this clock has shown. */
  latestMs(): number {
    this.highestMs = Math.max(this.highestMs, this.nowMs());
    return this.highestMs;
  }

  jump(ms: number): void {
    this.forwardUs();
    this.latestMs();
    this.backMs += Math.max(0, -ms);
    this.offsetUs += Math.round(ms * 1000);
    this.forwardUs();
  }
}
