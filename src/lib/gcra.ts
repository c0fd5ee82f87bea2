// GCRA, the generic cell rate algorithm of ATM traffic control (ITU-T I.371, "virtual scheduling"): a leaky bucket that keeps one number,
// the theoretical arrival time. The debt is this number minus the time of the clock. All times of a limit have the same unit, which the
// caller chooses.

export interface Pace {
  /** Turns that may come at once after a pause. */
  burst: number;
  /** Time until one more turn is available. */
  interval: number;
}

/**
 * Limits a stored arrival time to the range from now to a full burst ahead. Without the upper bound, a clock that was ahead and is
 * corrected would block all turns for as long as it was ahead.
 */
export function settledArrival(arrival: number, { burst, interval }: Pace, now: number): number {
  return Math.min(Math.max(arrival, now), now + burst * interval);
}

/**
 * Time until `turns` more turns are available; 0 or less if they are available now. Taking them adds `turns * interval` to the arrival
 * time.
 */
export function waitFor(turns: number, arrival: number, { burst, interval }: Pace, now: number): number {
  return arrival + (turns - burst) * interval - now;
}

/** The number of whole turns that are available now. */
export function turnsLeft(arrival: number, { burst, interval }: Pace, now: number): number {
  return Math.floor((now + burst * interval - arrival) / interval);
}
