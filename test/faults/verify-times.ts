import type { Disturbance, Evidence, Pulse, Violation } from './evidence';

const SWEEP_INTERVAL_MS = 5_000;
/** Time that a sweep gives each settlement. The next sweep begins one interval after the last has ended. */
const SWEEP_SLACK_MS = 5_000;
/** Time after a disturbance until dead connections are given up and their locks are free. */
const AFTERMATH_MS = 10_000;

interface Span {
  from: number;
  to: number;
}

/** Checks that no hold is swept before its expiry, and that the next sweep takes it if a server and the database were undisturbed. */
export function* verifyExpiry(evidence: Evidence): Generator<Violation> {
  for (const { id, lateMs, earlyMs } of lateness(evidence)) {
    if (earlyMs > 0) yield { check: 'a hold expires in time', detail: `${id} was expired ${earlyMs} ms before its time` };
    if (lateMs > SWEEP_INTERVAL_MS + SWEEP_SLACK_MS) {
      yield { check: 'a hold expires in time', detail: `${id} was swept ${Math.round(lateMs)} undisturbed ms after its expiry` };
    }
  }
}

/** Returns the undisturbed time between each hold's expiry and its EXPIRED row. It covers only holds that were seen while open. */
export function lateness({
  tables,
  holdExpiries,
  disturbances,
  pulses,
  endedAt,
}: Evidence): { id: string; lateMs: number; earlyMs: number }[] {
  const nodes = new Set(pulses.map(({ node }) => node)).size;
  // If one of two servers is killed, the other still sweeps. A stopped server or a disturbed link may leave locks behind.
  const disturbing = disturbances.filter(({ kind }) => nodes < 2 || kind !== 'server killed');
  const bothDown =
    nodes < 2 ? [] : overlaps(disturbances.filter(({ kind }) => kind === 'server killed').map((kill) => untilAlive(kill, pulses)));
  const union = unionOf(
    [...disturbing.map((disturbance) => untilAlive(disturbance, pulses)), ...bothDown].map(({ from, to }) => ({
      from,
      to: to + AFTERMATH_MS,
    })),
  );
  return tables.logs.flatMap(({ id, outcome, createdAt }) => {
    const expiresAt = holdExpiries.get(id);
    if (outcome !== 'EXPIRED' || expiresAt === undefined || createdAt > endedAt) return [];
    const disturbed = union.reduce((sum, { from, to }) => sum + Math.max(0, Math.min(to, createdAt) - Math.max(from, expiresAt)), 0);
    return [{ id, lateMs: createdAt - expiresAt - disturbed, earlyMs: expiresAt - createdAt }];
  });
}

/** Extends the kill of a server until its first answer: at `to` it only listens again. */
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

/** Returns the times in which two servers were down. */
function overlaps(kills: Disturbance[]): Span[] {
  return kills.flatMap((kill, index) =>
    kills.slice(index + 1).flatMap((other) => {
      const span = { from: Math.max(kill.from, other.from), to: Math.min(kill.to, other.to) };
      return kill.node !== other.node && span.from < span.to ? [span] : [];
    }),
  );
}

export interface Recovery {
  kind: string;
  /** Time from the end of the disturbance, and of others that overlap the recovery, until the gate answered 200. */
  tookMs: number;
  /** False if the run ended before the recovery was seen. */
  seen: boolean;
}

/** Returns how long each disturbed server took to answer 200 again. */
export function recoveries({ disturbances, pulses, endedAt }: Evidence): Recovery[] {
  const nodes = [...new Set(pulses.map(({ node }) => node))];
  const beats = new Map(
    nodes.map((node) => [
      node,
      pulses
        .filter((pulse) => pulse.node === node)
        .map(({ at }) => at)
        .sort((a, b) => a - b),
    ]),
  );
  return disturbances.flatMap((disturbance) =>
    (disturbance.node === null ? nodes : [disturbance.node]).map((node) => {
      const beat = (beats.get(node) ?? []).find((at) => at >= disturbance.to) ?? Infinity;
      const until = Math.min(beat, endedAt);
      // Disturbances of other servers count too, because a server may wait for a project lock that another server holds.
      const others = disturbances.filter((other) => other !== disturbance && other.from < until && other.to > disturbance.to);
      const from = others.reduce((latest, { to }) => Math.max(latest, Math.min(to, until)), disturbance.to);
      return { kind: disturbance.kind, tookMs: Math.max(0, until - from), seen: beat !== Infinity };
    }),
  );
}

export function* verifyRecovery(evidence: Evidence): Generator<Violation> {
  for (const { kind, tookMs } of recoveries(evidence)) {
    if (tookMs > evidence.recoveryBoundMs)
      yield { check: 'the gate recovers without help', detail: `${Math.round(tookMs)} ms after: ${kind}` };
  }
}
