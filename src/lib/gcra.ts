// GCRA, the generic cell rate algorithm of ATM traffic control (ITU-T I.371, "virtual scheduling"): a leaky bucket that keeps one number,
// the theoretical arrival time. How far it lies ahead of the clock is the debt. All times of a limit have the same unit, which its user chooses.

export interface Pace {
  /** Turns at once after a quiet spell. */
  burst: number;
  /** Time until one more turn comes back. */
  interval: number;
}

/**
 * A kept arrival time, brought up to date: never before now, and at most a full burst ahead. Without the upper bound, a clock that was ahead
 * and is corrected would block for as long as it was ahead.
 */
export function settledArrival(arrival: number, { burst, interval }: Pace, now: number): number {
  return Math.min(Math.max(arrival, now), now + burst * interval);
}

/** How long to wait until `turns` more fit; 0 or less if they fit now. Taking them adds `turns * interval` to the arrival time. */
export function waitFor(turns: number, arrival: number, { burst, interval }: Pace, now: number): number {
  return arrival + (turns - burst) * interval - now;
}

/** The whole turns that fit now. */
export function turnsLeft(arrival: number, { burst, interval }: Pace, now: number): number {
  return Math.floor((now + burst * interval - arrival) / interval);
}
