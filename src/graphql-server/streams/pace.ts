import { setTimeout as wait } from 'node:timers/promises';

/** Lets a fixed number of callers pass per second, in the order of their calls. */
export class Pace {
  private next = 0;

  constructor(private readonly perSecond: number) {}

  /** Resolves when it is the caller's turn. */
  async turn(): Promise<void> {
    const now = performance.now();
    // Unused turns expire only after SLACK_MS, because a timer may be late by this much
    this.next = Math.max(this.next + 1_000 / this.perSecond, now - SLACK_MS);
    if (this.next > now) await wait(Math.ceil(this.next - now));
  }
}

const SLACK_MS = 50;
