import { NO_FAULTS, type FaultRates } from './faults';
import type { Random } from './random';

/** What a seed makes of its world: how much there is of everything, and what goes wrong how often. */
export interface Scenario {
  nodes: number;
  projects: number;
  keysPerProject: number;
  actions: number;
  /** How long callers call, before all is left to come to rest. */
  busyMs: number;
  meanMsBetweenGroups: number;
  callsInGroup: number;
  repeats: number;
  limits: { maxCalls: number; maxBytes: number; maxBytesEach: number };
  maxTickBytes: number;
  rates: FaultRates;
  /** Means between two of each, in milliseconds; Infinity where there is none. */
  meanMs: Record<Mishap, number>;
  meanMsBetweenAdministrators: number;
  /** How likely a node is killed or suspended between a commit and its answer. */
  strikesAtCommit: number;
  poison: number;
  largeAnswers: number;
  clocksStandStill: boolean;
  /** Whether the callers come again a day later. */
  nextDay: boolean;
  /** Whether the database's clock goes back an hour before the end. */
  clockGoesBack: boolean;
}

export const MISHAPS = ['kill', 'suspend', 'cutOff', 'crash', 'freeze', 'databaseClock', 'processClock'] as const;
export type Mishap = (typeof MISHAPS)[number];

export function scenarioOf(random: Random): Scenario {
  const rate = (...rates: number[]): number => (random.chance(0.5) ? random.pick(rates) : 0);
  const mean = (): number => (random.chance(0.3) ? random.pick([4_000, 12_000]) : Infinity);
  const busyMs = random.pick([3_000, 8_000, 20_000]);
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
    meanMsBetweenAdministrators: random.pick([250, 1_000, 4_000]),
    strikesAtCommit: rate(0.01, 0.05),
    poison: rate(0.1, 0.4),
    largeAnswers: random.chance(0.05) ? 0.05 : 0,
    clocksStandStill: random.chance(0.2),
    nextDay: random.chance(0.25),
    clockGoesBack: random.chance(0.1),
  };
}
