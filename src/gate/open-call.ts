import { TollgateError } from '../errors';
import type { Time } from '../lib/time';
import type { Call } from './call';
import { HOLD_MARGIN_MS } from './decide';
import type { Billing, Ending, Verdict } from './items';
import type { Ticker } from './tick/ticker';

export type Admitted = Extract<Verdict, { kind: 'admitted' }>;

/** A call that was admitted. Its hold is open until `settle` or `cancel`. */
export class OpenCall {
  /** Time when the hold expires, by `time.now()`. */
  private expiresAt: number;
  private lost: (() => void) | undefined;
  private renewal: { everyMs: number; lastsMs: number; atMostMs: number; dueAt: number } | undefined;
  private wasRenewed = false;

  /** `leave` is called once, when the call has ended. */
  constructor(
    private readonly deps: { ticker: Pick<Ticker, 'settle' | 'renew' | 'cancel'>; time: Time; leave(call: OpenCall): void },
    readonly call: Call,
    readonly admitted: Admitted,
  ) {
    const { hold, rate } = admitted;
    this.expiresAt = rate.asOfMs + hold.expiresAt - hold.startedAt;
  }

  /** Whether the tick took so long that the hold could expire while the action runs. Then the action must not run: `cancel` the call. */
  get isLate(): boolean {
    return this.deps.time.now() > this.admitted.rate.asOfMs + HOLD_MARGIN_MS;
  }

  /**
   * Keeps the hold open: moves its expiry to `lastsMs` from then, every `everyMs`, until `atMostMs` after the admission. Calls `onLost` if
   * the hold has expired or cannot be renewed in time. The call must end then, because it cannot be billed.
   */
  keepOpen(pace: { everyMs: number; lastsMs: number; atMostMs: number }, onLost: () => void): void {
    const { everyMs, lastsMs, atMostMs } = pace;
    this.renewal = { everyMs, lastsMs, atMostMs, dueAt: this.deps.time.now() + everyMs };
    this.lost = onLost;
  }

  /** Renews the hold if it is time to do so. Never rejects. */
  async renewIfDue(): Promise<void> {
    const { renewal } = this;
    const sentAt = this.deps.time.now();
    if (!renewal || sentAt < renewal.dueAt) return;
    renewal.dueAt = Infinity; // until this renewal is answered
    this.wasRenewed = true;
    const { everyMs, lastsMs, atMostMs } = renewal;
    try {
      const verdict = await this.deps.ticker.renew({ kind: 'renewal', hold: this.admitted.hold, lastsMs, atMostMs });
      if (verdict.kind !== 'renewed') return this.loseHold();
      const { hold, rate } = this.admitted;
      this.expiresAt = Math.min(sentAt + lastsMs, rate.asOfMs + verdict.expiresAt - hold.startedAt);
      renewal.dueAt = sentAt + everyMs;
    } catch {
      // The tick failed, or its commit was not answered. The ticker has logged it. Another try follows while there is time.
      if (this.deps.time.now() >= this.expiresAt) return this.loseHold();
      renewal.dueAt = sentAt + RETRY_MS;
    }
  }

  private loseHold(): void {
    if (!this.renewal) return; // the call has ended while it was renewed, and its settlement tells whether it is billed
    this.renewal = undefined;
    this.lost?.();
  }

  /**
   * Closes the hold. Returns the bill, and the answer that was kept for repeats if the call has a claim.
   * Throws OUTCOME_UNKNOWN if the hold could not be settled in time or has expired; then nothing is known to be billed. Throws INTERNAL if
   * the database refuses the success for good; then nothing is billed.
   */
  async settle(ending: Ending, keptBytes = 0): Promise<{ billing: Billing; answer: string | undefined }> {
    this.renewal = undefined;
    const { hold } = this.admitted;
    try {
      const settlement = { kind: 'settlement', hold, ending, mayBeSingle: this.wasRenewed } as const;
      const settled = await this.deps.ticker.settle(settlement, this.expiresAt, keptBytes);
      // EXPIRED: this process was stopped for so long that a sweep ended the hold. Nothing was billed.
      if (settled.kind !== 'settled' || settled.outcome === 'EXPIRED') throw new TollgateError('OUTCOME_UNKNOWN');
      return { billing: settled.billing, answer: settled.answer };
    } finally {
      this.deps.leave(this);
    }
  }

  /** Voids the hold of a call that never ran and is answered with SERVICE_UNAVAILABLE. */
  cancel(): void {
    this.renewal = undefined;
    this.deps.ticker.cancel(this.admitted.hold, this.call.arrivedAt, this.wasRenewed);
    this.deps.leave(this);
  }
}

/** Pause before a renewal that failed is tried again. */
const RETRY_MS = 1_000;
