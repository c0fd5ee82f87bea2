import type { RunResult } from './run';
import { lateness, recoveries, type Recovery } from './verify-times';

/** Returns the value below which `share` of the values lie, or 0 if there are none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

type Line = [name: string, figure: string | number];

/** Summarises a run as a Markdown table. */
export function summaryOf({ evidence, violations, done, acts, failedStarts, internals, seconds, loadSeconds }: RunResult): string {
  const { calls, executions, tables } = evidence;
  const count = (matches: (call: (typeof calls)[number]) => boolean) => calls.filter(matches).length;
  const expired = lateness(evidence).map((hold) => hold.lateMs);
  const lateMs = (share: number) => Math.round(percentile(expired, share));
  const lines: Line[] = [
    ['duration; of this under load', `${seconds.toFixed(0)} s; ${loadSeconds.toFixed(0)} s`],
    ...Object.entries(done).map(([kind, times]): Line => [kind, times]),
    ['starts without a database', failedStarts],
    ['calls sent', calls.length],
    ['calls per second', (calls.length / loadSeconds).toFixed(0)],
    ['answered 200 and ok', count(({ ok }) => ok)],
    ['of these replays', count(({ ok, replay }) => ok && replay)],
    ['answered 200 and not ok', count(({ ok, status }) => status === 200 && !ok)],
    ...statusLines(calls),
    ['connection broken, or caller hung up', count(({ status }) => status === 0)],
    ['executions at the upstream', executions.length],
    ...waysLines(evidence),
    ['log rows', tables.logs.length],
    ['of these EXPIRED', tables.logs.filter(({ outcome }) => outcome === 'EXPIRED').length],
    ['bills', tables.entries.filter(({ kind }) => kind === 'USAGE').length],
    ['observed expired holds; undisturbed time from expiry to sweep', `${expired.length}; p50 ${lateMs(0.5)} ms, maximum ${lateMs(1)} ms`],
    ['changes by administrators', Object.values(acts).reduce((sum, times) => sum + times, 0)],
    ['secrets ended or suspended', evidence.refusedSpans.length],
    ['calls with an ended secret', endedCalls(evidence)],
    ['INTERNAL answers to administrators', internals],
    ['broken promises', violations.length],
  ];
  return [
    '| figure | value |',
    '|---|---|',
    ...lines.map(([name, figure]) => `| ${name} | ${figure} |`),
    '',
    'Time from the end of a disturbance until the gate answered 200 again, in milliseconds, for each server. A kill ends when the server',
    'listens again.',
    '',
    '| after | times | p50 | p95 | maximum |',
    '|---|---|---|---|---|',
    ...recoveryLines(recoveries(evidence)),
  ].join('\n');
}

/** What the load by routes and verifications came to. */
function waysLines({ ways }: RunResult['evidence']): Line[] {
  const { routeCalls, questions, ends } = ways;
  const whole = routeCalls.filter(({ isApis }) => isApis);
  const replays = whole.filter(({ replay }) => replay);
  const answers = (mode: string) => questions.filter((each) => each.mode === mode).flatMap((each) => each.answers);
  const valid = (mode: string) => answers(mode).filter((answer) => answer.valid).length;
  const told = (what: string) => ends.filter((end) => end.what === what && end.status === 200).length;
  return [
    ['calls of routes; whole answers; of these replays', `${routeCalls.length}; ${whole.length}; ${replays.length}`],
    ['questions to charge; VALID', `${answers('charge').length}; ${valid('charge')}`],
    ['questions for a hold; VALID', `${answers('hold').length}; ${valid('hold')}`],
    ['holds settled; voided; extended', `${told('settle')}; ${told('void')}; ${told('extend')}`],
    ['requests to expired holds', ends.filter(({ status }) => status === 410).length],
  ];
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

/** Lists each check that found a broken promise, with its first `most` findings. */
export function violationLines({ violations }: RunResult, most = 5): string[] {
  const checks = [...new Set(violations.map(({ check }) => check))];
  return checks.flatMap((check) => {
    const found = violations.filter((violation) => violation.check === check);
    return [`${check}: ${found.length}`, ...found.slice(0, most).map(({ detail }) => `  ${detail}`)];
  });
}
