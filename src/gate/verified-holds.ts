import type { Usage } from '../actions/unit-prices';
import { TollgateError, notFound } from '../errors';
import type { Log } from '../lib/log';
import type { Time } from '../lib/time';
import { MAX_SINGLE_HOLD_SECONDS } from './decide';
import type { ClosedHold, HoldStore } from './hold-store';
import type { Billing, Ending } from './items';
import type { CallPlaces } from './load/call-places';
import { readInTime } from './read-in-time';
import type { ClaimName, HoldRow } from './tick/rows';
import { TickFailure } from './tick/tick-store';
import type { Ticker } from './tick/ticker';

/** The longest time that the settlement of a hold is tried. A repeat of the request is safe. */
const SETTLE_WAIT_MS = 10_000;

/** A request that settles a hold. */
export interface HoldRequest {
  id: string;
  /** The workspace that the asker administers. Null: all. */
  workspaceId: string | null;
}

export interface SettleRequest extends HoldRequest {
  end: { kind: 'settle'; usage: Usage | null; costMicroCredits: number | undefined } | { kind: 'void'; errorCode: string };
  /** Of the whole request. A repeat with the same fingerprint gets the same answer. */
  fingerprint: string;
  /** Makes the answer. It is sent, and kept for repeats. */
  present(billing: Billing): string;
}

export interface VerifiedHoldsDeps {
  holdStore: HoldStore;
  ticker: Pick<Ticker, 'settle' | 'renew'>;
  places: CallPlaces;
  time: Time;
  /** Returns the answer of a call that is billed. Null if it was deleted or cannot be read. Never rejects. */
  keptAnswer(claim: ClaimName): Promise<string | null>;
  log: Log;
}

/** Settles, voids and extends the holds of verifications. */
export class VerifiedHolds {
  constructor(private readonly deps: VerifiedHoldsDeps) {}

  /**
   * Closes a hold and returns the answer. Throws NOT_FOUND for a hold that does not exist or belongs to another workspace, ALREADY_SETTLED
   * if another request has closed it, HOLD_EXPIRED, and OUTCOME_UNKNOWN if the database does not tell the outcome in time.
   */
  settle(request: SettleRequest): Promise<string> {
    return this.inPlace(async () => {
      const hold = await this.find(request);
      if (!hold) return this.answerAgain(request);
      const { end, fingerprint, present } = request;
      const kept = { fingerprint, answer: present };
      const settlement = { kind: 'settlement', hold, ending: endingOf(end, present), mayBeSingle: true, inTimeOnly: true, kept } as const;
      const verdict = await this.deps.ticker.settle(settlement, this.deps.time.now() + SETTLE_WAIT_MS);
      if (verdict.kind !== 'settled') throw new Error(`A hold was judged ${verdict.kind}.`);
      if (verdict.answer !== undefined) return verdict.answer;
      if (verdict.claim?.fingerprint !== fingerprint) throw closedError(await this.closed(request));
      return (await this.deps.keptAnswer(verdict.claim)) ?? present(verdict.billing);
    });
  }

  /** Moves the expiry of a hold to `seconds` from now, at most an hour after its start. It never moves back. Throws as `settle`. */
  extend(request: HoldRequest, seconds: number): Promise<HoldRow> {
    return this.inPlace(async () => {
      const hold = await this.find(request);
      if (!hold) throw closedError(await this.closed(request));
      const renewal = { kind: 'renewal', hold, lastsMs: seconds * 1_000, atMostMs: MAX_SINGLE_HOLD_SECONDS * 1_000 } as const;
      const verdict = await this.deps.ticker.renew(renewal);
      if (verdict.kind === 'renewed') return { ...hold, expiresAt: verdict.expiresAt };
      throw closedError(await this.closed(request));
    });
  }

  /** Runs `work` as a call in flight. Throws SERVICE_UNAVAILABLE if no place is free, or if the database does not answer. */
  private async inPlace<T>(work: () => Promise<T>): Promise<T> {
    const { places } = this.deps;
    if (!places.enter()) throw new TollgateError('SERVICE_UNAVAILABLE');
    try {
      return await work();
    } catch (error) {
      // A renewal that failed or got no answer: it can be repeated, and bills nothing
      if (error instanceof TickFailure) throw new TollgateError('SERVICE_UNAVAILABLE', undefined, {}, { cause: error });
      throw error;
    } finally {
      places.leave();
    }
  }

  /** The open hold, or undefined if it is closed or never was. Throws NOT_FOUND if it belongs to another workspace. */
  private async find({ id, workspaceId }: HoldRequest): Promise<HoldRow | undefined> {
    const hold = await readInTime(this.deps.holdStore.open(id));
    return hold && workspaceId !== null && hold.workspaceId !== workspaceId ? notFound() : hold;
  }

  private async closed({ id, workspaceId }: HoldRequest): Promise<ClosedHold> {
    const closed = await readInTime(this.deps.holdStore.closed(id));
    return !closed || (workspaceId !== null && closed.workspaceId !== workspaceId) ? notFound() : closed;
  }

  private async answerAgain(request: SettleRequest): Promise<string> {
    const closed = await this.closed(request);
    const settlement = await readInTime(this.deps.holdStore.settlement(request.id));
    if (settlement?.fingerprint === request.fingerprint && settlement.answer !== null) return settlement.answer;
    throw closedError(closed);
  }
}

/** The error for a hold that is closed, with its end. */
function closedError({ outcome, errorCode, chargedMicroCredits }: ClosedHold): TollgateError {
  if (outcome === 'EXPIRED') return new TollgateError('HOLD_EXPIRED');
  const code = errorCode === null ? {} : { error_code: errorCode };
  return new TollgateError('ALREADY_SETTLED', undefined, { outcome, charged_micro_credits: chargedMicroCredits, ...code });
}

function endingOf(end: SettleRequest['end'], answer: (billing: Billing) => string): Ending {
  const times = { actionMs: null, arrivedAt: null };
  if (end.kind === 'void') return { kind: 'voided', outcome: 'FAILED', errorCode: end.errorCode, httpStatus: 200, ...times };
  const { usage, costMicroCredits } = end;
  const cost = costMicroCredits === undefined ? {} : { costMicroCredits };
  return { kind: 'posted', usage, ...cost, httpStatus: 200, answer, ...times };
}
