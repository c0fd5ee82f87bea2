import type { Disturbance, Evidence, Pulse, Violation } from './evidence';

const SWEEP_INTERVAL_MS = 5_000;
/** A sweep gives each of its settlements this long, and the next begins an interval after the last has ended. */
const SWEEP_SLACK_MS = 5_000;
/** After a disturbance: until connections that lead nowhere are given up, and what they had locked is free. */
const AFTERMATH_MS = 10_000;

interface Span {
  from: number;
  to: number;
}

/** An expired hold is taken by the next sweep, where there was a database and a server to do it; never before its time. */
export function* verifyExpiry(evidence: Evidence): Generator<Violation> {
  for (const { id, lateMs, earlyMs } of lateness(evidence)) {
    if (earlyMs > 0) yield { check: 'a hold expires in time', detail: `${id} was expired ${earlyMs} ms before its time` };
    if (lateMs > SWEEP_INTERVAL_MS + SWEEP_SLACK_MS) yield { check: 'a hold expires in time', detail: `${id} was swept ${Math.round(lateMs)} undisturbed ms after its expiry` };
  }
}

/** How much undisturbed time passed between each hold's expiry and its EXPIRED row, as far as the hold was seen while it was open. */
export function lateness({ tables, holdExpiries, disturbances, pulses, endedAt }: Evidence): { id: string; lateMs: number; earlyMs: number }[] {
  const nodes = new Set(pulses.map(({ node }) => node)).size;
  // One of two servers that is killed leaves another one to sweep; one that is stopped may leave locks behind, and so may its link.
  const disturbing = disturbances.filter(({ kind }) => nodes < 2 || kind !== 'server killed');
  const bothDown = nodes < 2 ? [] : overlaps(disturbances.filter(({ kind }) => kind === 'server killed').map((kill) => untilAlive(kill, pulses)));
  const union = unionOf([...disturbing.map((one) => untilAlive(one, pulses)), ...bothDown].map(({ from, to }) => ({ from, to: to + AFTERMATH_MS })));
  return tables.logs.flatMap(({ id, outcome, createdAt }) => {
    const expiresAt = holdExpiries.get(id);
    if (outcome !== 'EXPIRED' || expiresAt === undefined || createdAt > endedAt) return [];
    const disturbed = union.reduce((sum, { from, to }) => sum + Math.max(0, Math.min(to, createdAt) - Math.max(from, expiresAt)), 0);
    return [{ id, lateMs: createdAt - expiresAt - disturbed, earlyMs: expiresAt - createdAt }];
  });
}

/** A killed server listens again at `to`, and is there only when it answers. */
function untilAlive(disturbance: Disturbance, pulses: Pulse[]): Disturbance {
  const { kind, node, to } = disturbance;
  if (kind !== 'server killed') return disturbance;
  const alive = pulses.reduce((first, pulse) => (pulse.node === node && pulse.at >= to ? Math.min(first, pulse.at) : first), Infinity);
  return { ...disturbance, to: alive };
}

function unionOf(spans: Span[]): Span[] {
  const union: Span[] = [];
  for (const { from, to } of [...spans].sort((a, b) => a.from - b.from)) {
    const last = union.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else union.push({ from, to });
  }
  return union;
}

/** The times in which two servers were gone at once. */
function overlaps(kills: Disturbance[]): Span[] {
  return kills.flatMap((one, index) =>
    kills.slice(index + 1).flatMap((other) => {
      const span = { from: Math.max(one.from, other.from), to: Math.min(one.to, other.to) };
      return one.node !== other.node && span.from < span.to ? [span] : [];
    }),
  );
}

export interface Recovery {
  kind: string;
  /** From when the disturbance was lifted (and the last other one that fell into its recovery) until the gate answered 200. */
  tookMs: number;
  /** False where the run ended before it could be seen. */
  seen: boolean;
}

/** How long each server that was disturbed took to answer 200 again. */
export function recoveries({ disturbances, pulses, endedAt }: Evidence): Recovery[] {
  const nodes = [...new Set(pulses.map(({ node }) => node))];
  const beats = new Map(nodes.map((node) => [node, pulses.filter((pulse) => pulse.node === node).map(({ at }) => at).sort((a, b) => a - b)]));
  return disturbances.flatMap((disturbance) =>
    (disturbance.node === null ? nodes : [disturbance.node]).map((node) => {
      const beat = (beats.get(node) ?? []).find((at) => at >= disturbance.to) ?? Infinity;
      const until = Math.min(beat, endedAt);
      // A server waits for whoever holds a project's lock, so whatever befell any server counts
      const others = disturbances.filter((other) => other !== disturbance && other.from < until && other.to > disturbance.to);
      const from = others.reduce((latest, { to }) => Math.max(latest, Math.min(to, until)), disturbance.to);
      return { kind: disturbance.kind, tookMs: Math.max(0, until - from), seen: beat !== Infinity };
    }),
  );
}

export function* verifyRecovery(evidence: Evidence): Generator<Violation> {
  for (const { kind, tookMs } of recoveries(evidence)) {
    if (tookMs > evidence.recoveryBoundMs) yield { check: 'the gate recovers by itself', detail: `${Math.round(tookMs)} ms after: ${kind}` };
  }
}
