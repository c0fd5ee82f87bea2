import fc from 'fast-check';
import { intervalUs, standingOf, takeCall, type RateLimit, type RateMemory } from '../src/gate/rate-limit';

const NOW = 1_795_000_000_000_000; // November 2026, in microseconds
const MAX_BURST_SECONDS = 1e9; // a project's limit may not need longer than this for a full burst

const fresh = (): RateMemory => ({ theoreticalArrivalUs: 0, arrivalIntervalUs: 0 });

/** Limits that a few dozen calls can reach, from one call a day to a million a second, with fractions. */
const smallLimit = fc.record({
  sustainedRps: fc.oneof(
    fc.integer({ min: 1, max: 50 }),
    fc.double({ min: 1e-5, max: 1e6, noNaN: true }),
    fc.constantFrom(0.3, 1 / 3, 7 / 3, 999_999, 1e6),
  ),
  burst: fc.integer({ min: 1, max: 12 }),
});

/** Any limit that a project may have. */
const anyLimit = fc
  .record({
    sustainedRps: fc.oneof(fc.double({ min: 1e-6, max: 1e6, noNaN: true }), fc.constantFrom(1e-9, 1e-3, 1 / 3, 1e6)),
    burst: fc.oneof(fc.integer({ min: 1, max: 1e6 }), fc.constantFrom(1, 1e6)),
  })
  .filter(({ sustainedRps, burst }) => burst / sustainedRps <= MAX_BURST_SECONDS);

/** Pauses between calls, in intervals of the limit: none, a part of one, several. */
const pauses = fc.array(
  fc.oneof(fc.constant(0), fc.constant(0), fc.double({ min: 0, max: 1.5, noNaN: true }), fc.double({ min: 0, max: 20, noNaN: true })),
  {
    minLength: 1,
    maxLength: 60,
  },
);

/** Makes a call after each of the pauses. Returns the times of the admitted calls. */
function admittedTimes(memory: RateMemory, limit: RateLimit, startUs: number, after: number[]): number[] {
  const times: number[] = [];
  let now = startUs;
  for (const pause of after) {
    now += Math.floor((pause * 1e6) / limit.sustainedRps);
    if (takeCall(memory, limit, now)) times.push(now);
  }
  return times;
}

/** Checks the contract's limit in every window between two admitted calls. */
function expectBounded(times: number[], { sustainedRps, burst }: RateLimit): void {
  times.forEach((from, first) => {
    times.slice(first).forEach((to, index) => {
      expect(index + 1).toBeLessThanOrEqual(burst + (sustainedRps * (to - from)) / 1e6 + 1e-6);
    });
  });
}

const copy = (memory: RateMemory): RateMemory => ({ ...memory });

it('admits at most burst + sustained x time in any window, for any times of calls', () => {
  fc.assert(
    fc.property(smallLimit, pauses, (limit, after) => {
      expectBounded(admittedTimes(fresh(), limit, NOW, after), limit);
    }),
    { numRuns: 400 },
  );
});

it('admits exactly one whole burst after a quiet time', () => {
  fc.assert(
    fc.property(smallLimit, (limit) => {
      const memory = fresh();
      const answers = Array.from({ length: limit.burst + 3 }, () => takeCall(memory, limit, NOW));
      expect(answers.filter(Boolean)).toHaveLength(limit.burst);
      expect(answers.indexOf(false)).toBe(limit.burst);
    }),
  );
});

it('does not count refused calls: a caller that retries all the time is admitted as early as a caller that waits', () => {
  fc.assert(
    fc.property(smallLimit, fc.integer({ min: 1, max: 20 }), (limit, knocks) => {
      const interval = intervalUs(limit);
      const patient = fresh();
      const impatient = fresh();
      for (let call = 0; call < limit.burst; call++) [patient, impatient].forEach((memory) => takeCall(memory, limit, NOW));
      for (let knock = 1; knock < knocks; knock++)
        expect(takeCall(impatient, limit, NOW + Math.floor((interval * knock) / (knocks + 1)))).toBe(false);
      expect([patient, impatient].map((memory) => takeCall(memory, limit, NOW + interval))).toEqual([true, true]);
    }),
  );
});

it('keeps a new limit from the first call after the change', () => {
  fc.assert(
    fc.property(smallLimit, smallLimit, pauses, pauses, (before, after, earlier, later) => {
      const memory = fresh();
      const last = admittedTimes(memory, before, NOW, earlier).at(-1) ?? NOW;
      expectBounded(admittedTimes(memory, after, last, later), after);
    }),
    { numRuns: 400 },
  );
});

it('carries the used part of a burst over to a new limit, at most a full new burst', () => {
  fc.assert(
    fc.property(smallLimit, smallLimit, pauses, (before, after, earlier) => {
      const memory = fresh();
      const now = admittedTimes(memory, before, NOW, earlier).at(-1) ?? NOW;
      const owed = Math.min((memory.theoreticalArrivalUs - now) / intervalUs(before), after.burst);
      const interval = intervalUs(after);
      const admitted = takeCall(memory, after, now);
      const owedNow = (memory.theoreticalArrivalUs - now) / interval - (admitted ? 1 : 0);
      expect(owedNow).toBeGreaterThanOrEqual(owed - 1e-6);
      expect(owedNow).toBeLessThanOrEqual(owed + 1 / interval + 1e-6);
      expect(memory.arrivalIntervalUs).toBe(interval);
    }),
    { numRuns: 400 },
  );
});

it('after the clock goes back, blocks no longer than a full burst takes, and keeps the limit from then on', () => {
  fc.assert(
    fc.property(smallLimit, pauses, fc.integer({ min: 1, max: 1e15 }), pauses, (limit, earlier, backUs, later) => {
      const memory = fresh();
      const last = admittedTimes(memory, limit, NOW, earlier).at(-1) ?? NOW;
      const now = last - backUs;
      const blocked = copy(memory);
      takeCall(blocked, limit, now);
      expect(takeCall(copy(blocked), limit, now + limit.burst * intervalUs(limit))).toBe(true);
      expectBounded(admittedTimes(memory, limit, now, later), limit);
    }),
  );
});

it('reports correctly how many calls pass now, and the exact microsecond of the next one', () => {
  fc.assert(
    fc.property(smallLimit, pauses, (limit, after) => {
      const memory = fresh();
      let now = NOW;
      for (const pause of after) {
        now += Math.floor((pause * 1e6) / limit.sustainedRps);
        const admitted = takeCall(memory, limit, now);
        const { remaining, untilNextUs } = standingOf(memory, limit, now);
        if (!admitted) expect(remaining).toBe(0);
        const spent = copy(memory);
        for (let call = 0; call < remaining; call++) expect(takeCall(spent, limit, now)).toBe(true);
        expect(takeCall(copy(spent), limit, now)).toBe(false);
        expect(untilNextUs).toBeGreaterThan(0);
        expect(takeCall(copy(spent), limit, now + untilNextUs - 1)).toBe(false);
        expect(takeCall(copy(spent), limit, now + untilNextUs)).toBe(true);
      }
    }),
  );
});

it('reports no waiting time if the whole burst is available', () => {
  const limit = { sustainedRps: 3, burst: 5 };
  expect(standingOf({ theoreticalArrivalUs: NOW - 1, arrivalIntervalUs: intervalUs(limit) }, limit, NOW)).toEqual({
    remaining: 5,
    untilNextUs: 0,
  });
});

it('uses only exact integers at every limit that a project may have', () => {
  fc.assert(
    fc.property(anyLimit, anyLimit, fc.integer({ min: 0, max: 1e15 }), (limit, other, laterUs) => {
      const memory = fresh();
      const exact = () =>
        [memory.theoreticalArrivalUs, memory.arrivalIntervalUs, intervalUs(limit)].every(
          (value) => Number.isSafeInteger(value) && value > 0,
        );
      for (const [at, now] of [
        [limit, NOW],
        [limit, NOW],
        [other, NOW + 1],
        [limit, NOW + laterUs],
        [other, NOW],
      ] as const) {
        takeCall(memory, at, now);
        expect(exact()).toBe(true);
        const { remaining, untilNextUs } = standingOf(memory, at, now);
        expect([remaining, untilNextUs].every(Number.isSafeInteger)).toBe(true);
        expect(remaining).toBeGreaterThanOrEqual(0);
        expect(remaining).toBeLessThanOrEqual(at.burst);
      }
      // The interval never allows more than the limit.
      expect(intervalUs(limit) * limit.sustainedRps).toBeGreaterThanOrEqual(1e6 * (1 - 1e-12));
    }),
    { numRuns: 500 },
  );
});

it.each([
  [1e6, 1, 1],
  [1 / 3, 1, 3_000_000],
  [0.3, 1, 3_333_334],
  [1e-9, 1, 1e15],
])('a limit of %p calls a second with burst %p has an interval of %p microseconds', (sustainedRps, burst, interval) => {
  expect(intervalUs({ sustainedRps, burst })).toBe(interval);
});
