import { settledArrival, turnsLeft, waitFor, type Pace } from '../lib/gcra';

// The rate limit of a project: GCRA in whole microseconds, by the database's clock.

export interface RateLimit {
  /** Calls a second, sustained. */
  sustainedRps: number;
  /** Calls at once after a quiet spell. */
  burst: number;
}

/** What is remembered of a project: the theoretical arrival time, and the interval in which it was counted. */
export interface RateMemory {
  theoreticalArrivalUs: number;
  arrivalIntervalUs: number;
}

/** What a caller may be told of its limit. */
export interface RateStanding {
  /** Calls that would pass now. */
  remaining: number;
  /** Microseconds until one more would; 0 where all would. */
  untilNextUs: number;
}

/** Microseconds between two calls at the sustained rate, rounded so that the limit is never exceeded. */
export function intervalUs(limit: RateLimit): number {
  return Math.ceil(1e6 / limit.sustainedRps);
}

/** Takes one call out of the limit, changing `memory`, where it fits; leaves it alone where it does not. */
export function takeCall(memory: RateMemory, limit: RateLimit, nowUs: number): boolean {
  const pace = { burst: limit.burst, interval: intervalUs(limit) };
  settleMemory(memory, pace, nowUs);
  if (waitFor(1, memory.theoreticalArrivalUs, pace, nowUs) > 0) return false;
  memory.theoreticalArrivalUs += pace.interval;
  return true;
}

/** How a project stands. `memory` must have met `takeCall` with the same limit and time. */
export function standingOf(memory: RateMemory, { burst }: RateLimit, nowUs: number): RateStanding {
  const pace = { burst, interval: memory.arrivalIntervalUs };
  const arrivalUs = settledArrival(memory.theoreticalArrivalUs, pace, nowUs);
  const remaining = turnsLeft(arrivalUs, pace, nowUs);
  return { remaining, untilNextUs: remaining >= burst ? 0 : waitFor(remaining + 1, arrivalUs, pace, nowUs) };
}

/** Brings a memory up to date with the clock and with a limit that was changed: the calls owed stay owed, at most a full burst. */
function settleMemory(memory: RateMemory, pace: Pace, nowUs: number): void {
  const before = memory.arrivalIntervalUs || pace.interval;
  const debtUs = Math.max(0, memory.theoreticalArrivalUs - nowUs);
  const scaledUs = before === pace.interval ? debtUs : Math.ceil((debtUs / before) * pace.interval);
  memory.theoreticalArrivalUs = settledArrival(nowUs + scaledUs, pace, nowUs);
  memory.arrivalIntervalUs = pace.interval;
}
