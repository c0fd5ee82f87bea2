import { setTimeout as wait } from 'node:timers/promises';

/** Lets so many pass in a second, in the order in which they came. */
export class Pace {
  private next = 0;

  constructor(private readonly perSecond: number) {}

  /** Resolves when it is the caller's turn. */
  async turn(): Promise<void> {
    const now = performance.now();
    // What was not used is lost, but for a moment's worth: timers are not finer than that
    this.next = Math.max(this.next + 1_000 / this.perSecond, now - SLACK_MS);
    if (this.next > now) await wait(Math.ceil(this.next - now));
  }
}

const SLACK_MS = 50;
