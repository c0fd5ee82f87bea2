import { percentile } from '../faults/report';
import type { Experience } from './neighbour';
import type { Sample } from './server';

/** Maximum time for which the event loop may be blocked, in wall-clock time. */
export const MAX_STALL_MS = 250;
/** Limits for the neighbour's waiting times. */
export const MAX_NEIGHBOUR_P99_MS = 500;
export const MAX_NEIGHBOUR_MS = 1_000;
/** Maximum growth of the server's memory during one attack. */
export const MAX_GROWTH_BYTES = 256 * 1024 * 1024;

const MEBIBYTE = 1024 * 1024;

/** Measurements of one attack, or of the calm baseline. */
export interface Measured {
  name: string;
  what: string;
  seconds: number;
  stallMs: number;
  rssBytes: number;
  growthBytes: number;
  neighbour: { calls: number; p50Ms: number; p99Ms: number; maxMs: number; failures: Record<string, number> };
  /** Broken promises that the attack reported, and crashes of the server. */
  broken: string[];
}

/** Summarises one round. Memory growth counts from the first sample. */
export function measure(round: {
  name: string;
  what: string;
  seconds: number;
  samples: Sample[];
  experience: Experience;
  broken: string[];
}): Measured {
  const { samples, experience, ...rest } = round;
  const [first] = samples;
  const last = samples.at(-1);
  // Uses the kernel's peak only if it rose during this round
  const risen = first && last && last.peakRssBytes > first.peakRssBytes ? last.peakRssBytes : 0;
  const rssBytes = Math.max(risen, ...samples.map((sample) => sample.rssBytes));
  const [p50Ms, p99Ms, maxMs] = [0.5, 0.99, 1].map((share) => percentile(experience.tookMs, share)) as [number, number, number];
  return {
    ...rest,
    stallMs: Math.max(0, ...samples.map(({ stallMs }) => stallMs)),
    rssBytes,
    growthBytes: rssBytes - (first?.rssBytes ?? rssBytes),
    neighbour: { calls: experience.tookMs.length, p50Ms, p99Ms, maxMs, failures: experience.failures },
  };
}

/** Returns a sentence for each exceeded bound. */
export function verdictOf({ stallMs, growthBytes, neighbour, broken }: Measured): string[] {
  const over = (what: string, value: number, most: number, unit: string) =>
    value > most ? [`${what} ${Math.round(value)} ${unit}, at most ${most}`] : [];
  return [
    ...over('event loop stalled', stallMs, MAX_STALL_MS, 'ms'),
    ...over('memory grew by', growthBytes / MEBIBYTE, MAX_GROWTH_BYTES / MEBIBYTE, 'MiB'),
    ...over("neighbour's p99", neighbour.p99Ms, MAX_NEIGHBOUR_P99_MS, 'ms'),
    ...over("neighbour's slowest call", neighbour.maxMs, MAX_NEIGHBOUR_MS, 'ms'),
    ...Object.entries(neighbour.failures).map(([failure, count]) => `neighbour was refused ${count} times: ${failure}`),
    ...broken,
  ];
}

const HEAD = ['attack', 'stall', 'memory', 'grown', 'p50', 'p99', 'max', 'failed', 'verdict'];

function rowOf(measured: Measured): string[] {
  const { name, stallMs, rssBytes, growthBytes, neighbour } = measured;
  const failed = Object.values(neighbour.failures).reduce((sum, count) => sum + count, 0);
  const verdict = verdictOf(measured).length === 0 ? 'withstood' : 'BROKEN';
  const ms = (value: number) => `${value.toFixed(0)} ms`;
  const mebibytes = (value: number) => `${(value / MEBIBYTE).toFixed(0)} MiB`;
  const times = [stallMs, neighbour.p50Ms, neighbour.p99Ms, neighbour.maxMs].map(ms) as [string, string, string, string];
  return [
    name,
    times[0],
    mebibytes(rssBytes),
    mebibytes(growthBytes),
    times[1],
    times[2],
    times[3],
    `${failed} of ${neighbour.calls}`,
    verdict,
  ];
}

/** Returns a Markdown table with padded cells, so that it is readable in a terminal too. */
export function tableOf(all: Measured[]): string {
  const rows = [HEAD, ...all.map(rowOf)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`);
  return [lines[0], `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...lines.slice(1)].join('\n');
}

/** Lists the exceeded bounds of each attack. */
export function violationsOf(all: Measured[]): string {
  return all.flatMap((measured) => verdictOf(measured).map((sentence) => `- ${measured.name}: ${sentence}`)).join('\n');
}

/** Returns the text of LAST_RUN.md. */
export function reportOf(command: string, all: Measured[], at: Date): string {
  const violations = violationsOf(all);
  const bounds =
    `Bounds: stall ${MAX_STALL_MS} ms; memory grows by ${MAX_GROWTH_BYTES / MEBIBYTE} MiB; ` +
    `the neighbour's p99 ${MAX_NEIGHBOUR_P99_MS} ms, ` +
    `slowest call ${MAX_NEIGHBOUR_MS} ms; no call of the neighbour is refused.`;
  return [
    '# The last attacks',
    `\`${command}\`, ${at.toISOString()}`,
    violations === '' ? 'Every attack was withstood.' : `BOUNDS WERE BROKEN:\n\n${violations}`,
    tableOf(all),
    bounds,
    all.map(({ name, what, seconds }) => `- \`${name}\`: ${what} (${seconds.toFixed(1)} s)`).join('\n'),
    '',
  ]
    .join('\n\n')
    .trimEnd()
    .concat('\n');
}
