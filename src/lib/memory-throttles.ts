import { turnsLeft, waitFor, type Pace } from './gcra';

/** Names that a process remembers: those that were taken from last. */
const MAX_NAMES = 10_000;

export interface MemoryThrottlesOptions {
  /** Turns at once after a quiet spell. */
  burst: number;
  /** How often one more turn comes back. */
  intervalMs: number;
  /** In milliseconds, on a clock that only goes forward. */
  now?: () => number;
}

/**
 * Limits how often something is done, by name. In memory, because it guards only the time of this process. Forgetting a name gives it all
 * turns back, as a quiet spell does. Counts in whole microseconds. A debt may exceed a full burst: `giveBack` takes less than nothing too.
 */
export class MemoryThrottles {
  private readonly arrivals = new Map<string, number>();
  private readonly pace: Pace;
  private readonly nowUs: () => number;

  constructor({ burst, intervalMs, now = () => performance.now() }: MemoryThrottlesOptions) {
    this.pace = { burst, interval: Math.round(intervalMs * 1000) };
    this.nowUs = () => Math.floor(now() * 1000);
  }

  /** Takes turns of a name and answers 0. If they do not fit, takes none and answers the milliseconds until they will. */
  take(name: string, turns: number): number {
    const nowUs = this.nowUs();
    const arrival = this.arrivalOf(name, nowUs);
    if (waitFor(turns, arrival, this.pace, nowUs) > 0) {
      return Math.max(1, Math.ceil(waitFor(Math.min(turns, this.pace.burst), arrival, this.pace, nowUs) / 1000));
    }
    this.keep(name, arrival + turns * this.pace.interval);
    return 0;
  }

  /** Gives back turns that were taken and not used. */
  giveBack(name: string, turns: number): void {
    this.keep(name, this.arrivalOf(name, this.nowUs()) - turns * this.pace.interval);
  }

  /** The whole turns that are there now; less than 0 while more is owed than a full burst. */
  left(name: string): number {
    const nowUs = this.nowUs();
    return turnsLeft(this.arrivalOf(name, nowUs), this.pace, nowUs);
  }

  private arrivalOf(name: string, nowUs: number): number {
    return Math.max(this.arrivals.get(name) ?? nowUs, nowUs);
  }

  private keep(name: string, arrival: number): void {
    this.arrivals.delete(name); // and last again in the order of the map
    this.arrivals.set(name, arrival);
    if (this.arrivals.size > MAX_NAMES) this.arrivals.delete(this.arrivals.keys().next().value as string);
  }
}
