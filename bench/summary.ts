import type { Measurement } from './measure';
import { SCENARIOS, type Scenario, type ScenarioName } from './scenarios';
import type { TargetName } from './targets';

/** One cell, summarised over all rounds. */
export interface Summary extends Omit<Measurement, 'round'> {
  /** Throughput as a share of the base's in the same round: the median of the rounds. NaN if the base was not measured. */
  ofBare: number;
}

export interface Claim {
  sentence: string;
  measured: string;
  ok: boolean;
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** All measurements. Summarises each cell: medians of the rounds for speed, sums for errors. */
export class Results {
  constructor(readonly measurements: readonly Measurement[]) {}

  summaries(scenario: ScenarioName): Summary[] {
    const cells = groupBy(this.measurements, cellOf);
    return [...cells.values()].flatMap((rounds) => (rounds[0]?.scenario === scenario ? [this.summary(rounds)] : []));
  }

  find(scenario: ScenarioName, target: TargetName, connections: number, part = ''): Summary | undefined {
    return this.summaries(scenario).find((cell) => cell.target === target && cell.connections === connections && cell.part === part);
  }

  /** Returns the median over the rounds of the ratio between two parts of one target, or undefined if a part was not measured. */
  ratio(scenario: ScenarioName, target: TargetName, part: string, other: string, of: (cell: Measurement) => number): number | undefined {
    const cells = this.measurements.filter((cell) => cell.scenario === scenario && cell.target === target);
    const inPart = (name: string) => cells.filter((cell) => cell.part === name);
    const ratios = inPart(part).flatMap((cell) =>
      inPart(other).flatMap((beside) => (beside.round === cell.round ? [of(cell) / of(beside)] : [])),
    );
    return ratios.length > 0 ? median(ratios) : undefined;
  }

  /**
   * Returns the ratio of the target's throughput to the rival's: the median over the rounds.
   * Returns undefined if one of them was not measured or answered no call.
   */
  times(scenario: ScenarioName, target: TargetName, rival: TargetName, connections: number): number | undefined {
    const cells = this.measurements.filter((cell) => cell.scenario === scenario && cell.connections === connections);
    const of = (name: TargetName) => cells.filter((cell) => cell.target === name);
    const ratios = of(target).flatMap((cell) =>
      of(rival).flatMap((beside) => (beside.round === cell.round ? [cell.callsPerSecond / beside.callsPerSecond] : [])),
    );
    return ratios.length > 0 && Number.isFinite(median(ratios)) ? median(ratios) : undefined;
  }

  private summary(rounds: Measurement[]): Summary {
    const [first] = rounds as [Measurement];
    const middle = (of: (cell: Measurement) => number) => median(rounds.map(of));
    const sum = (of: (cell: Measurement) => number) => rounds.reduce((total, cell) => total + of(cell), 0);
    return {
      ...first,
      callsPerSecond: middle((cell) => cell.callsPerSecond),
      p50Us: middle((cell) => cell.p50Us),
      p99Us: middle((cell) => cell.p99Us),
      calls: sum((cell) => cell.calls),
      errors: sum((cell) => cell.errors),
      refused: sum((cell) => cell.refused),
      cpuUs: {
        server: middle((cell) => cell.cpuUs.server),
        database: middle((cell) => cell.cpuUs.database),
        generator: middle((cell) => cell.cpuUs.generator),
      },
      strangersCores: middle((cell) => cell.strangersCores),
      ...(first.sqlStatements === undefined ? {} : { sqlStatements: sum((cell) => cell.sqlStatements ?? 0) }),
      ofBare: middle((cell) => cell.callsPerSecond / (this.baseBeside(cell)?.callsPerSecond ?? NaN)),
    };
  }

  /** The measurement of the bare route, or of the other server with which the scenario compares. */
  private baseBeside({ scenario, connections, round }: Measurement): Measurement | undefined {
    const { base = 'bare' }: Scenario = SCENARIOS[scenario];
    return this.measurements.find(
      (cell) => cell.target === base && cell.scenario === scenario && cell.connections === connections && cell.round === round,
    );
  }
}

const cellOf = ({ scenario, part, target, connections }: Measurement): string => `${scenario} ${part} ${target} ${connections}`;

function groupBy<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) groups.set(keyOf(value), [...(groups.get(keyOf(value)) ?? []), value]);
  return groups;
}
