// GCRA, the generic cell rate algorithm of ATM traffic control (ITU-T I.371, "virtual scheduling"): a leaky bucket that keeps one
// number, the theoretical arrival time of the call after next. Whole microseconds throughout, by the database's clock.

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
  settleMemory(memory, limit, nowUs);
  const next = memory.theoreticalArrivalUs + memory.arrivalIntervalUs;
  if (next - nowUs > limit.burst * memory.arrivalIntervalUs) return false;
  memory.theoreticalArrivalUs = next;
  return true;
}

/** How a project stands. `memory` must have met `takeCall` with the same limit and time. */
export function standingOf(memory: RateMemory, limit: RateLimit, nowUs: number): RateStanding {
  const interval = memory.arrivalIntervalUs;
  const debtUs = Math.max(0, memory.theoreticalArrivalUs - nowUs);
  const freeUs = limit.burst * interval - debtUs;
  const remaining = Math.floor(freeUs / interval);
  return { remaining, untilNextUs: remaining >= limit.burst ? 0 : (remaining + 1) * interval - freeUs };
}

/** Brings a memory up to date with the clock and with a limit that was changed: the calls owed stay owed, at most a full burst. */
function settleMemory(memory: RateMemory, limit: RateLimit, nowUs: number): void {
  const interval = intervalUs(limit);
  const before = memory.arrivalIntervalUs || interval;
  const debtUs = Math.max(0, memory.theoreticalArrivalUs - nowUs);
  const scaledUs = before === interval ? debtUs : Math.ceil((debtUs / before) * interval);
  memory.theoreticalArrivalUs = nowUs + Math.min(scaledUs, limit.burst * interval);
  memory.arrivalIntervalUs = interval;
}
