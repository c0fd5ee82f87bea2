import type { RunResult } from './run';
import { lateness, recoveries, type Recovery } from './verify-times';

/** The figure below which `share` of the values lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

type Line = [name: string, figure: string | number];

/** What happened, as a table in Markdown. */
export function summaryOf({ evidence, violations, done, acts, failedStarts, internals, seconds, loadSeconds }: RunResult): string {
  const { calls, executions, tables } = evidence;
  const count = (matches: (call: (typeof calls)[number]) => boolean) => calls.filter(matches).length;
  const expired = lateness(evidence);
  const lines: Line[] = [
    ['duration, of which load', `${seconds.toFixed(0)} s, ${loadSeconds.toFixed(0)} s`],
    ...Object.entries(done).map(([kind, times]): Line => [kind, times]),
    ['starts that found no database', failedStarts],
    ['calls sent', calls.length],
    ['calls a second', (calls.length / loadSeconds).toFixed(0)],
    ['answered 200 and ok', count(({ ok }) => ok)],
    ['of these replays', count(({ ok, replay }) => ok && replay)],
    ['answered 200 and not ok', count(({ ok, status }) => status === 200 && !ok)],
    ...statusLines(calls),
    ['connection broken or hung up', count(({ status }) => status === 0)],
    ['executions at the upstream', executions.length],
    ['log rows', tables.logs.length],
    ['of these EXPIRED', tables.logs.filter(({ outcome }) => outcome === 'EXPIRED').length],
    ['bills', tables.entries.filter(({ kind }) => kind === 'USAGE').length],
    ['holds expired in view; after their expiry, undisturbed', `${expired.length}; p50 ${Math.round(percentile(expired.map(({ lateMs }) => lateMs), 0.5))} ms, most ${Math.round(percentile(expired.map(({ lateMs }) => lateMs), 1))} ms`],
    ['acts of administrators', Object.values(acts).reduce((sum, times) => sum + times, 0)],
    ['secrets ended or suspended', evidence.refusedSpans.length],
    ['calls with an ended secret', endedCalls(evidence)],
    ["administrators' INTERNAL", internals],
    ['promises broken', violations.length],
  ];
  return [
    '| what | figure |',
    '|---|---|',
    ...lines.map(([name, figure]) => `| ${name} | ${figure} |`),
    '',
    'Until the gate answered 200 again, from when the disturbance was lifted (a killed server: it listens again), in milliseconds, each server by itself:',
    '',
    '| after | times | p50 | p95 | most |',
    '|---|---|---|---|---|',
    ...recoveryLines(recoveries(evidence)),
  ].join('\n');
}

function statusLines(calls: RunResult['evidence']['calls']): Line[] {
  const counts = new Map<string, number>();
  for (const { status, code } of calls) {
    if (status < 400) continue;
    const name = `answered ${status} ${code}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}

function recoveryLines(all: Recovery[]): string[] {
  return [...new Set(all.map(({ kind }) => kind))].sort().map((kind) => {
    const took = all.filter((recovery) => recovery.kind === kind).map(({ tookMs }) => tookMs);
    const figures = [0.5, 0.95, 1].map((share) => Math.round(percentile(took, share)));
    return `| ${kind} | ${took.length} | ${figures.join(' | ')} |`;
  });
}

function endedCalls({ calls, refusedSpans }: RunResult['evidence']): number {
  const spans = new Map<number, { from: number; to: number }[]>();
  for (const span of refusedSpans) spans.set(span.secretId, [...(spans.get(span.secretId) ?? []), span]);
  return calls.filter((call) => spans.get(call.secretId)?.some(({ from, to }) => call.sentAt > from && call.endedAt < to)).length;
}

/** The first few of each check that found something. */
export function violationLines({ violations }: RunResult, most = 5): string[] {
  const checks = [...new Set(violations.map(({ check }) => check))];
  return checks.flatMap((check) => {
    const found = violations.filter((violation) => violation.check === check);
    return [`${check}: ${found.length}`, ...found.slice(0, most).map(({ detail }) => `  ${detail}`)];
  });
}
