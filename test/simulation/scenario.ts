import { NO_FAULTS, type FaultRates } from './faults';
import type { Random } from './random';

/** The parameters that follow from a seed: the size of the world, and how often each fault happens. */
export interface Scenario {
  nodes: number;
  projects: number;
  keysPerProject: number;
  actions: number;
  /** How long callers call before the world comes to rest. */
  busyMs: number;
  meanMsBetweenGroups: number;
  callsInGroup: number;
  repeats: number;
  /** A repeat comes within one of these times. */
  repeatsWithinMs: number[];
  /** Share of the calls that come through a route. */
  routeCalls: number;
  /** Share of the other calls that only ask for a hold, which an asker settles. */
  verifiedCalls: number;
  /** Probability that an asker extends a hold, once more each time. */
  extensions: number;
  /** How long upstreams of routes take, at most. Above 90 seconds a call must renew its hold. */
  upstreamMs: number[];
  /** Probability that an upstream takes longer than a call may. */
  endlessUpstreams: number;
  limits: { maxCalls: number; maxBytes: number; maxBytesEach: number };
  maxTickBytes: number;
  rates: FaultRates;
  /** Mean time between two mishaps of a kind, in milliseconds. Infinity if the kind never happens. */
  meanMs: Record<Mishap, number>;
  meanMsBetweenAdministrators: number;
  /** Probability that a node is killed or suspended between a commit and its answer. */
  strikesAtCommit: number;
  poison: number;
  largeAnswers: number;
  clocksStandStill: boolean;
  /** The longest sleep of a node, and the longest fault of another kind. Holds that are not renewed meanwhile expire. */
  longSleepMs: number;
  longFaultMs: number;
  /** Jumps of the database's clock. */
  clockJumpsMs: number[];
  /** Whether the callers call again a day later. */
  nextDay: boolean;
  /** Whether the database's clock goes back an hour before the end. */
  clockGoesBack: boolean;
}

export const MISHAPS = ['kill', 'suspend', 'cutOff', 'crash', 'freeze', 'databaseClock', 'processClock'] as const;
export type Mishap = (typeof MISHAPS)[number];

export function scenarioOf(random: Random): Scenario {
  const rate = (...rates: number[]): number => (random.chance(0.5) ? random.pick(rates) : 0);
  const isLong = random.chance(0.2);
  const busyMs = isLong ? random.pick([100_000, 300_000, 600_000]) : random.pick([3_000, 8_000, 20_000]);
  const mean = (): number => (random.chance(0.3) ? random.pick(isLong ? [busyMs / 6, busyMs / 2] : [4_000, 12_000]) : Infinity);
  const callsInGroup = random.pick([1, 3, 10]);
  const calls = random.pick([20, 60, 150]);
  return {
    nodes: random.int(1, 3),
    projects: random.int(1, 3),
    keysPerProject: random.int(1, 3),
    actions: random.int(1, 3),
    busyMs,
    meanMsBetweenGroups: (busyMs * (callsInGroup + 1)) / 2 / calls,
    callsInGroup,
    repeats: random.pick([0, 0.4, 0.6]),
    repeatsWithinMs: [0, 0, 3, 50, 1_000, 6_000, 45_000, ...(isLong ? [100_000, 200_000] : [])],
    routeCalls: isLong ? random.pick([0.3, 0.8]) : random.pick([0, 0, 0.5]),
    verifiedCalls: random.pick([0, 0.3, 0.7]),
    extensions: random.pick([0, 0.5]),
    upstreamMs: isLong ? [2_000, 40_000, 100_000, 200_000, 600_000] : [5, 500, 10_000],
    endlessUpstreams: isLong && random.chance(0.1) ? 0.05 : 0,
    limits: { maxCalls: random.pick([24, 100, 1_000]), maxBytes: 1e9, maxBytesEach: 1e9 },
    maxTickBytes: random.pick([10_000, 40_000, 4_000_000]),
    rates: {
      ...NO_FAULTS,
      lostRequest: rate(0.01, 0.1),
      lostAnswer: rate(0.02, 0.05, 0.15),
      late: rate(0.01, 0.1),
      refusal: rate(0.05, 0.2),
      refused: rate(0.02, 0.2),
      lateNotice: rate(0.05, 0.5),
      latencyMs: random.pick([0.3, 2, 30]),
    },
    meanMs: { kill: mean(), suspend: mean(), cutOff: mean(), crash: mean(), freeze: mean(), databaseClock: mean(), processClock: mean() },
    meanMsBetweenAdministrators: random.pick(isLong ? [4_000, 20_000] : [250, 1_000, 4_000]),
    strikesAtCommit: rate(0.01, 0.05),
    poison: rate(0.1, 0.4),
    largeAnswers: random.chance(0.05) ? 0.05 : 0,
    clocksStandStill: random.chance(0.2),
    longSleepMs: isLong ? 180_000 : 60_000,
    longFaultMs: isLong ? 150_000 : 15_000,
    clockJumpsMs: [-2_000, -50, -1, 10, 50, ...(isLong && random.chance(0.5) ? [-100_000, 100_000] : [])],
    nextDay: random.chance(0.25),
    clockGoesBack: random.chance(0.1),
  };
}
