import { settledArrival, turnsLeft, waitFor, type Pace } from '../lib/gcra';

// The rate limit of a project: GCRA in whole microseconds, by the database's clock.

export interface RateLimit {
  /** Sustained calls per second. */
  sustainedRps: number;
  /** The most calls at once after a time without calls. */
  burst: number;
}

/** The stored state of a project's limit: the theoretical arrival time, and the interval that was used to compute it. */
export interface RateMemory {
  theoreticalArrivalUs: number;
  arrivalIntervalUs: number;
}

/** The state of a limit as the caller sees it. */
export interface RateStanding {
  /** Calls that are allowed now. */
  remaining: number;
  /** Microseconds until one more call is allowed; 0 if the full burst is allowed. */
  untilNextUs: number;
}

/** Microseconds between two calls at the sustained rate, rounded so that the limit is never exceeded. */
export function intervalUs(limit: RateLimit): number {
  return Math.ceil(1e6 / limit.sustainedRps);
}

/** Counts one call and returns true if the limit allows it. Otherwise returns false. Both bring `memory` up to date with time and limit. */
export function takeCall(memory: RateMemory, limit: RateLimit, nowUs: number): boolean {
  const pace = { burst: limit.burst, interval: intervalUs(limit) };
  settleMemory(memory, pace, nowUs);
  if (waitFor(1, memory.theoreticalArrivalUs, pace, nowUs) > 0) return false;
  memory.theoreticalArrivalUs += pace.interval;
  return true;
}

/** The state of a project's limit. Call `takeCall` first, with the same memory, limit and time. */
export function standingOf(memory: RateMemory, { burst }: RateLimit, nowUs: number): RateStanding {
  const pace = { burst, interval: memory.arrivalIntervalUs };
  const arrivalUs = settledArrival(memory.theoreticalArrivalUs, pace, nowUs);
  const remaining = turnsLeft(arrivalUs, pace, nowUs);
  return { remaining, untilNextUs: remaining >= burst ? 0 : waitFor(remaining + 1, arrivalUs, pace, nowUs) };
}

/** The state of a project's limit if no call is counted now. Changes nothing. */
export function presentStanding({ theoreticalArrivalUs, arrivalIntervalUs }: RateMemory, limit: RateLimit, nowUs: number): RateStanding {
  const copy = { theoreticalArrivalUs, arrivalIntervalUs };
  settleMemory(copy, { burst: limit.burst, interval: intervalUs(limit) }, nowUs);
  return standingOf(copy, limit, nowUs);
}

/** Brings a memory up to date with the clock and with a changed limit. Calls that were counted stay counted, at most a full burst. */
function settleMemory(memory: RateMemory, pace: Pace, nowUs: number): void {
  const before = memory.arrivalIntervalUs || pace.interval;
  const debtUs = Math.max(0, memory.theoreticalArrivalUs - nowUs);
  const scaledUs = before === pace.interval ? debtUs : Math.ceil((debtUs / before) * pace.interval);
  memory.theoreticalArrivalUs = settledArrival(nowUs + scaledUs, pace, nowUs);
  memory.arrivalIntervalUs = pace.interval;
}
