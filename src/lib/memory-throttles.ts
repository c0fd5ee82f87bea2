import { turnsLeft, waitFor, type Pace } from './gcra';

/** The number of names that a process remembers: the most recently used ones. */
const MAX_NAMES = 10_000;

export interface MemoryThrottlesOptions {
  /** Turns that may come at once after a pause. */
  burst: number;
  /** Time until one more turn is available, in milliseconds. */
  intervalMs: number;
  /** In milliseconds, on a clock that only goes forward. */
  now?: () => number;
}

/**
 * Limits how often something is done, by name. Kept in memory, because it protects only the time of this process. A forgotten name has all
 * its turns again, as after a pause. Counts in whole microseconds. A debt may exceed a full burst, because `giveBack` accepts negative
 * turns.
 */
export class MemoryThrottles {
  private readonly arrivals = new Map<string, number>();
  private readonly pace: Pace;
  private readonly nowUs: () => number;

  constructor({ burst, intervalMs, now = () => performance.now() }: MemoryThrottlesOptions) {
    this.pace = { burst, interval: Math.round(intervalMs * 1000) };
    this.nowUs = () => Math.floor(now() * 1000);
  }

  /** Takes turns of a name and returns 0. If not enough are available, takes none and returns the milliseconds to wait. */
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

  /** The number of whole turns that are available now; negative while the debt exceeds a full burst. */
  left(name: string): number {
    const nowUs = this.nowUs();
    return turnsLeft(this.arrivalOf(name, nowUs), this.pace, nowUs);
  }

  private arrivalOf(name: string, nowUs: number): number {
    return Math.max(this.arrivals.get(name) ?? nowUs, nowUs);
  }

  private keep(name: string, arrival: number): void {
    this.arrivals.delete(name); // moves the name to the end of the map's order
    this.arrivals.set(name, arrival);
    if (this.arrivals.size > MAX_NAMES) this.arrivals.delete(this.arrivals.keys().next().value as string);
  }
}
