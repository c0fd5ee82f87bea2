import type { HoldRow, LogRow, TickWrites } from '../../src/gate/tick/rows';
import type { DatabaseClock } from './database-clock';
import type { Tables } from './tables';

/** Time between two sweeps of a process. */
const SWEEP_MS = 5_000;
/** Covers small jumps of clocks, and the time that a sweep takes. */
const SLACK_MS = 5_000;

interface OpenHold {
  name: string;
  place: 'packed' | 'single';
  /** How long it lasts from its admission, and from each renewal. */
  lastsMs: number;
  /** How long renewals may keep it open. */
  atMostMs: number;
  startedAt: number;
  expiresAt: number;
  /** Simulated time when it must have expired. Later if the database's clock goes back. */
  overAt: number;
  /** What the database's clock had gone back until `overAt` was set. */
  backMs: number;
}

export interface HoldAuditDeps {
  fail(problem: string): void;
  simulatedMs(): number;
  clock: DatabaseClock;
  tables: Tables;
  /** The name of an attempt's call, and how long its hold should last. */
  termsOf(attempt: string): { name: string; lastsMs: number; atMostMs: number };
}

/** Follows every open hold: which table has it, and when it expires. */
export class HoldAudit {
  private readonly open = new Map<string, OpenHold>();

  constructor(private readonly deps: HoldAuditDeps) {}

  /** Checks a tick that read the clock at `nowMs` and has committed. `verified` are the holds of verifications that it opened. */
  committed({ holds, singleHolds, endedHolds, endedSingleHolds, logs }: TickWrites, verified: HoldRow[], nowMs: number): void {
    const { fail, tables, termsOf } = this.deps;
    const logged = new Set(logs.map(({ id }) => id));
    const renewed = new Map(singleHolds.filter((hold) => !verified.includes(hold)).map((hold) => [hold.attempt, hold]));
    for (const { attempt, expiresAt } of renewed.values()) {
      if (this.isOver(attempt, nowMs)) fail(`the hold of ${termsOf(attempt).name} was renewed after its time`);
      this.renewed(attempt, expiresAt, endedHolds.includes(attempt));
    }
    for (const log of logs) if (log.outcome === 'EXPIRED') this.expired(log);
    for (const attempt of [...endedHolds.filter((each) => !renewed.has(each)), ...endedSingleHolds]) {
      const hold = this.open.get(attempt);
      const place = endedSingleHolds.includes(attempt) ? 'single' : 'packed';
      const { name } = termsOf(attempt);
      if (!logged.has(attempt)) fail(`the hold of ${name} ended, but nothing was logged`);
      if (hold?.place !== place) fail(`the hold of ${name} was ended as ${place}, but it is ${hold?.place ?? 'not open'}`);
      this.open.delete(attempt);
    }
    for (const hold of holds) this.opened(hold, 'packed');
    for (const hold of verified) this.opened(hold, 'single');
    for (const [attempt, { name, place }] of this.open) {
      const places = [...(tables.holds.has(attempt) ? ['packed'] : []), ...(tables.singleHolds.has(attempt) ? ['single'] : [])];
      if (places.join() !== place) fail(`the hold of ${name} should be ${place}, but it is ${places.join(' and ') || 'gone'}`);
    }
  }

  private opened({ attempt, startedAt, expiresAt }: HoldRow, place: OpenHold['place']): void {
    const { clock, simulatedMs, fail } = this.deps;
    const terms = this.deps.termsOf(attempt);
    const overAt = simulatedMs() + terms.lastsMs;
    this.open.set(attempt, { ...terms, place, startedAt, expiresAt, overAt, backMs: clock.backMs });
    if (expiresAt > clock.latestMs() + terms.lastsMs) fail(`the hold of ${terms.name} lasts too long`);
  }

  private renewed(attempt: string, expiresAt: number, isMoved: boolean): void {
    const { fail, clock, simulatedMs, termsOf } = this.deps;
    const { name } = termsOf(attempt);
    const hold = this.open.get(attempt);
    if (!hold) return fail(`the hold of ${name} was renewed after it had ended`);
    if (isMoved !== (hold.place === 'packed')) fail(`the hold of ${name} was renewed, but its mark was not cleared`);
    if (expiresAt < hold.expiresAt) fail(`the hold of ${name} expires earlier after its renewal`);
    const latest = Math.min(clock.latestMs() + hold.lastsMs, hold.startedAt + hold.atMostMs);
    if (expiresAt > Math.max(hold.expiresAt, latest)) fail(`the hold of ${name} was renewed for too long`);
    const { backMs } = clock;
    const overAt = Math.max(hold.overAt + backMs - hold.backMs, simulatedMs() + hold.lastsMs);
    Object.assign(hold, { place: 'single', expiresAt, overAt, backMs });
  }

  private expired({ id }: LogRow): void {
    const hold = this.open.get(id);
    const early = (hold?.expiresAt ?? 0) - this.deps.clock.latestMs();
    if (early > 0) this.deps.fail(`the hold of ${String(hold?.name)} ended as EXPIRED ${early} ms before its time`);
  }

  /** Checks that no hold stays open after its time. `calmSince` is the simulated time since when there are no faults and sweeps run. */
  resting(calmSince: number): void {
    const { clock, fail, simulatedMs } = this.deps;
    for (const { name, overAt, backMs } of this.open.values()) {
      const overMs = simulatedMs() - Math.max(calmSince, overAt + clock.backMs - backMs);
      if (overMs > 2 * SWEEP_MS + SLACK_MS) fail(`the hold of ${name} stays open ${overMs.toFixed(0)} ms after its time`);
    }
  }

  /** Whether the time of an open hold is over at `nowMs`. */
  isOver(attempt: string, nowMs: number): boolean {
    return (this.open.get(attempt)?.expiresAt ?? Infinity) <= nowMs;
  }

  /** Whether the hold is open and its time is not over. */
  isAlive(attempt: string): boolean {
    return (this.open.get(attempt)?.expiresAt ?? 0) > this.deps.clock.latestMs();
  }
}
