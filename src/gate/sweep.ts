import type { Log } from '../lib/log';
import { Repeated } from '../lib/repeated';
import type { Time } from '../lib/time';
import type { SweepStore } from './sweep-store';
import type { Ticker } from './ticker';

/** How often a process looks for what has expired. Any process may; they meet under the budgets' locks. */
export const SWEEP_INTERVAL_MS = 5_000;
const CLAIMS_AT_A_TIME = 500;

export interface SweepDeps {
  store: SweepStore;
  ticker: Pick<Ticker, 'settle'>;
  time: Time;
  log: Log;
}

/** Ends the holds of calls whose process died, and forgets answers that are no longer kept. */
export class Sweep extends Repeated {
  constructor(private readonly deps: SweepDeps) {
    super({ intervalMs: SWEEP_INTERVAL_MS, failed: (error) => deps.log.warn({ err: error }, 'sweep failed') });
  }

  /** One sweep: everything that had expired when it began. */
  async once(): Promise<void> {
    const now = await this.deps.store.now();
    await this.expireHolds(now);
    await this.forgetClaims(now);
  }

  /** A hold that cannot be ended now waits for the next sweep, and keeps nothing beside it from being swept. */
  private async expireHolds(now: number): Promise<void> {
    for (let after = ''; ; ) {
      const { holds, last } = await this.deps.store.findExpiredHolds(now, after);
      if (last === undefined) return;
      const deadline = this.deps.time.now() + SWEEP_INTERVAL_MS;
      const ends = await Promise.allSettled(
        holds.map((hold) => this.deps.ticker.settle({ kind: 'settlement', hold, ending: { kind: 'expired' } }, deadline)),
      );
      const failed = ends.filter((end) => end.status === 'rejected');
      if (failed[0]) this.deps.log.warn({ err: failed[0].reason as unknown, holds: failed.length }, 'sweep: holds were left');
      after = last;
    }
  }

  /** Read by the index first, then removed where nothing has replaced them. */
  private async forgetClaims(now: number): Promise<void> {
    for (;;) {
      const claims = await this.deps.store.findOldClaims(now, CLAIMS_AT_A_TIME);
      if (claims.length > 0) await this.deps.store.forgetClaims(claims);
      if (claims.length < CLAIMS_AT_A_TIME) return;
    }
  }
}
