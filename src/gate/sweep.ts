import type { Log } from '../lib/log';
import { Repeated } from '../lib/repeated';
import type { Time } from '../lib/time';
import type { HoldRow } from './tick/rows';
import type { SweepStore } from './sweep-store';
import type { Ticker } from './tick/ticker';

/** Interval between two sweeps of a process. All processes sweep; the locks of the budgets keep them from ending a hold twice. */
export const SWEEP_INTERVAL_MS = 5_000;
const CLAIMS_AT_A_TIME = 500;

export interface SweepDeps {
  store: SweepStore;
  ticker: Pick<Ticker, 'settle'>;
  time: Time;
  log: Log;
}

/** Ends expired holds, for example after their process died. Deletes claims that need not be kept any longer. */
export class Sweep extends Repeated {
  /** Time when this process first saw each hold that is dated in the future, by `deps.time`. */
  private datedAhead = new Map<string, number>();

  constructor(private readonly deps: SweepDeps) {
    super({ intervalMs: SWEEP_INTERVAL_MS, failed: (error) => deps.log.warn({ err: error }, 'sweep failed') });
  }

  /** Runs one sweep: ends and deletes everything that had expired when it began. */
  async once(): Promise<void> {
    const now = await this.deps.store.now();
    await this.expireHolds(now);
    await this.forgetClaims(now);
  }

  /** Ends expired holds. A hold that cannot be ended now waits for the next sweep, and the other holds are still ended. */
  private async expireHolds(now: number): Promise<void> {
    const before = this.datedAhead;
    this.datedAhead = new Map();
    const { store } = this.deps;
    await this.expireAll(now, before, { mayBeSingle: false }, (after) => store.findExpiredHolds(now, after));
    await this.expireAll(now, before, { mayBeSingle: true }, (after) => store.findExpiredSingleHolds(now, after));
  }

  private async expireAll(
    now: number,
    before: ReadonlyMap<string, number>,
    kind: { mayBeSingle: boolean },
    find: (after: string) => ReturnType<SweepStore['findExpiredHolds']>,
  ): Promise<void> {
    for (let after = ''; ; ) {
      const { holds: found, last } = await find(after);
      if (last === undefined) return;
      const holds = found.filter((hold) => hold.startedAt <= now || this.hasOutlived(hold, before));
      const deadline = this.deps.time.now() + SWEEP_INTERVAL_MS;
      const ends = await Promise.allSettled(
        holds.map((hold) => this.deps.ticker.settle({ kind: 'settlement', hold, ending: { kind: 'expired' }, ...kind }, deadline)),
      );
      const failed = ends.filter((end) => end.status === 'rejected');
      if (failed[0]) this.deps.log.warn({ err: failed[0].reason as unknown, holds: failed.length }, 'sweep: holds were left');
      after = last;
    }
  }

  /**
   * Checks a hold that a wrong clock dated in the future. Returns true if this process has known the hold for as long as its call may take.
   * By then the process that runs the call has given the call up.
   */
  private hasOutlived({ attempt, startedAt, expiresAt }: HoldRow, before: ReadonlyMap<string, number>): boolean {
    const nowMs = this.deps.time.now();
    const firstSeenMs = before.get(attempt) ?? nowMs;
    this.datedAhead.set(attempt, firstSeenMs);
    return nowMs - firstSeenMs >= expiresAt - startedAt;
  }

  /** Finds old claims by their index first. Then deletes each one unless a newer attempt has replaced it. */
  private async forgetClaims(now: number): Promise<void> {
    for (;;) {
      const claims = await this.deps.store.findOldClaims(now, CLAIMS_AT_A_TIME);
      if (claims.length > 0) await this.deps.store.forgetClaims(claims);
      if (claims.length < CLAIMS_AT_A_TIME) return;
    }
  }
}
