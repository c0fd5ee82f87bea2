import { median } from '../summary';
import type { TargetName } from '../targets';

/** The streams of one server in one round. A figure is absent if it was not measured. */
export interface StreamFigures {
  target: TargetName;
  round: number;
  /** Throughput of one stream from the upstream to the caller, and of one from the caller to the upstream. */
  downMiBPerSecond: number;
  upMiBPerSecond: number;
  /** Memory of the process for each stalled stream. */
  memoryMiB?: { down: number; up: number };
  /** Median time of a server-sent event from the upstream to the caller, directly and through the server. */
  eventMs?: { direct: number; through: number };
  held?: HeldStreams;
}

/** Many streams of events that were open at the same time. */
export interface HeldStreams {
  streams: number;
  seconds: number;
  /** Streams that ended too early. */
  lost: number;
  p50Ms: number;
  p99Ms: number;
}

/** Returns the median of a figure over the rounds of a server. Undefined if it was not measured. */
export function medianOf(
  all: readonly StreamFigures[],
  target: TargetName,
  of: (figures: StreamFigures) => number | undefined,
): number | undefined {
  const values = all.flatMap((figures) => (figures.target === target ? (of(figures) ?? []) : []));
  return values.length > 0 ? median(values) : undefined;
}

/** Returns the median of the ratios to the bare proxy in the same round. Undefined if one of them was not measured. */
export function ofProxy(
  all: readonly StreamFigures[],
  target: TargetName,
  of: (figures: StreamFigures) => number,
): number | undefined {
  return medianOf(all, target, (figures) => {
    const proxy = all.find((other) => other.target === 'proxy' && other.round === figures.round);
    return proxy && of(figures) / of(proxy);
  });
}

/** Returns the value below which a share of the values lies. NaN if there are no values. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}
