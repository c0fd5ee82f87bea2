import { costOf } from '../actions/unit-prices';
import type { ErrorCode } from '../errors';
import { post } from '../wallet/ledger-account';
import { LedgerKind } from '../wallet/ledger-entry.entity';
import { credentialKey, isPlaced, routeKey, type ActionFacts, type Call, type Credential, type PlacedCredential } from './call';
import { holdOf, logOf, mostOf, priced, type DecisionTime } from './call-rows';
import { askerRefusal, firstRefusal, type Refusal } from './checks';
import { Claims } from './claims';
import { rateRefusal, type Admission, type Billing, type Ending, type RateReport, type Renewal, type Settlement } from './items';
import type { TickItem, Verdict, Verified, VerifiedVerdict } from './items';
import { presentStanding, standingOf, takeCall } from './rate-limit';
import { attemptId, settlementClaim, type ClaimRow, type HoldRow, type LockedBudget, type LogRow } from './tick/rows';
import type { TickState, TickWrites } from './tick/rows';
import { actionKey } from './tick/tick-store';

// Decides in memory, in order of arrival. There is no I/O and no await here, and time comes from the tick's state.

/** A hold expires this long after the time limit of its action. */
export const HOLD_MARGIN_MS = 30_000;
/** The longest life of a hold with a row of its own: of a call of a route, or of a verification. */
export const MAX_SINGLE_HOLD_SECONDS = 3_600;

export interface DecideOptions {
  /** The unique id of this tick. */
  tick: string;
  /** A random id of this process, new at each start. */
  process: string;
  httpStatusOf(code: ErrorCode): number;
  /** Whether execute can run an action. Actions without an upstream are reached in other ways. */
  canRun(action: ActionFacts): boolean;
  /** Returns true if one more refusal of this credential is written as a log row, false if it is only counted. */
  logsRefusal(credentialId: string, nowMs: number): boolean;
  /** The time of this decision by `performance.now()`. */
  monotonicMs: number;
}

/** Judges the items in their order. Returns the writes, and a verdict for each item, which is valid once the writes are committed. */
export function decide(items: readonly TickItem[], state: TickState, options: DecideOptions): { writes: TickWrites; verdicts: Verdict[] } {
  const tick = new Tick(state, options);
  const verdicts = items.map((item) => tick.judge(item));
  return { writes: tick.writes(), verdicts };
}

class Tick {
  private readonly time: DecisionTime;
  private readonly changed = new Set<LockedBudget>();
  private readonly holds: HoldRow[] = [];
  private readonly endedHolds: string[] = [];
  /** Holds with rows of their own that this tick writes, by attempt. */
  private readonly singleHolds = new Map<string, HoldRow>();
  private readonly endedSingleHolds: string[] = [];
  private readonly logs: LogRow[] = [];
  private readonly entries: TickWrites['entries'] = [];
  private readonly claims: Claims;
  private readonly counts = new Map<string, TickWrites['refusalCounts'][number]>();
  private attempts = 0;

  constructor(
    private readonly state: TickState,
    private readonly options: DecideOptions,
  ) {
    this.time = { nowMs: Math.floor(state.nowUs / 1000), monotonicMs: options.monotonicMs };
    this.claims = new Claims(state.claims, this.time.nowMs);
  }

  judge(item: TickItem): Verdict {
    switch (item.kind) {
      case 'admission':
        return this.admit(item);
      case 'settlement':
        return this.settle(item);
      case 'renewal':
        return this.renew(item);
      case 'count':
        this.count(item.credentialId, item.code, item.calls);
        return { kind: 'counted' };
    }
  }

  writes(): TickWrites {
    return {
      tick: this.options.tick,
      process: this.options.process,
      budgets: [...this.changed],
      holds: this.holds,
      endedHolds: this.endedHolds,
      singleHolds: [...this.singleHolds.values()],
      endedSingleHolds: this.endedSingleHolds,
      logs: this.logs,
      entries: this.entries,
      ...this.claims.writes(),
      refusalCounts: [...this.counts.values()],
    };
  }

  private admit(item: Admission): Verdict {
    const { call, credentialId } = item;
    const { verification } = call;
    const asker = verification?.asker;
    const asking = asker ? this.state.credentials.get(credentialKey(asker.ref)) : undefined;
    const unfit = asker && askerRefusal(asker, asking, this.time.nowMs);
    if (unfit) return { kind: 'askerRefused', refusal: unfit };
    const credential = this.state.credentials.get(credentialKey(call));
    if (credential && credential.id !== credentialId) throw new Error(`A secret of ${credentialId} has become one of ${credential.id}.`);
    if (asking && credential && asking.workspaceId !== credential.workspaceId) throw new Error(`${asking.id} asks about a stranger.`);
    if (call.route && !this.state.routes.has(routeKey(call.route))) return { kind: 'rerouted' };
    const action = this.actionOf(call);
    const refusal = firstRefusal(call, { credential, action }, this.time.nowMs);
    if (refusal || !credential) return this.refuse(call, credential, refusal ?? { code: 'INVALID_API_KEY', details: {} });
    if (verification?.mode === 'credential') return verified(item, null, { credential, ...WITHOUT_ACTION });
    if (!action || !isPlaced(credential)) throw new Error(`A call of ${credentialId} passed the checks without a project or an action.`);
    const budget = this.state.budgets.get(credential.projectId);
    if (!budget) return { kind: 'locked', projectId: credential.projectId };
    if (verification?.mode === 'peek') return this.peek(item, credential, action, budget);

    const { fits, rate } = this.takeTurn(budget, credential);
    if (!fits) return this.refuse(call, credential, rateRefusal(rate), rate);
    const repeat = this.repeat(call, credential);
    if (repeat === 'replay') return { kind: 'replay', claim: this.claimOf(call, credential) as ClaimRow, rate };
    if (repeat) return this.refuse(call, credential, repeat, rate);
    const charges = isCharged(call, action);
    const amount = charges ? costTo(call, credential, action) : mostOf(credential, action);
    const available = budget.balance - budget.held;
    if (amount > available) return this.refuse(call, credential, unaffordable(amount, available), rate);

    const lifetime = { startedAt: this.time.nowMs, lastsMs: charges ? 0 : (call.holdMs ?? action.timeoutMs + HOLD_MARGIN_MS) };
    const hold = priced(holdOf(this.nextAttempt(), call, credential, amount, lifetime), action);
    if (charges) return this.charge(item, hold, { credential, budget, rate });
    budget.held += amount;
    this.changed.add(budget);
    if (verification) return this.hold(item, hold, { credential, budget, rate });
    this.holds.push(hold);
    if (call.fingerprint !== null) this.claims.open(hold, call.fingerprint);
    return { kind: 'admitted', hold, credential, action, rate };
  }

  /** The action of a call. Undefined if it does not exist or, for execute, cannot be run. */
  private actionOf(call: Call): ActionFacts | undefined {
    const named = this.state.actions.get(actionKey(call));
    return named && (call.route || call.verification || this.options.canRun(named)) ? named : undefined;
  }

  /** Counts a call against the rate limit of its project, if the limit allows it. */
  private takeTurn(budget: LockedBudget, { limit }: Credential): { fits: boolean; rate: RateReport } {
    const { theoreticalArrivalUs, arrivalIntervalUs } = budget;
    const fits = takeCall(budget, limit, this.state.nowUs);
    if (budget.theoreticalArrivalUs !== theoreticalArrivalUs || budget.arrivalIntervalUs !== arrivalIntervalUs) this.changed.add(budget);
    const { remaining, untilNextUs } = standingOf(budget, limit, this.state.nowUs);
    return { fits, rate: { limit, remaining, untilNextUs, asOfMs: this.time.monotonicMs } };
  }

  /** Judges rate and budget as for a charge, or for a hold if no usage is given. Changes nothing. */
  private peek(item: Admission, credential: PlacedCredential, action: ActionFacts, budget: LockedBudget): Verdict {
    const { call } = item;
    const { limit } = credential;
    const rate: RateReport = { limit, ...presentStanding(budget, limit, this.state.nowUs), asOfMs: this.time.monotonicMs };
    if (rate.remaining < 1) return this.refuse(call, credential, rateRefusal(rate), rate);
    const amount = call.verification?.usage ? costTo(call, credential, action) : mostOf(credential, action);
    const available = budget.balance - budget.held;
    if (amount > available) return this.refuse(call, credential, unaffordable(amount, available), rate);
    return verified(item, null, { credential, rate, billing: billingOf(0, budget), hold: undefined });
  }

  /** Bills a verified call at once. `bill` is its hold, which is not stored: it only fills the log row. */
  private charge(item: Admission, bill: HoldRow, { credential, budget, rate }: Judged): Verdict {
    const { arrivedAt, verification } = item.call;
    const usage = verification?.usage ?? null;
    const ending: Ending = { kind: 'posted', usage, httpStatus: 200, answer: () => '', actionMs: null, arrivedAt };
    const { chargedMicroCredits } = this.end(bill, ending, budget);
    const billing = billingOf(chargedMicroCredits, budget);
    const verdict = verified(item, bill.attempt, { credential, rate, billing, hold: undefined });
    this.keepVerdict(item, bill, verdict);
    return verdict;
  }

  /** Opens the hold of a verified call. Its answer is kept at once, so that a repeat answers the same hold. */
  private hold(item: Admission, opened: HoldRow, { credential, budget, rate }: Judged): Verdict {
    const hold = { ...opened, claimed: false, askerId: item.call.verification?.asker?.id ?? 'operator' };
    this.singleHolds.set(hold.attempt, hold);
    const verdict = verified(item, hold.attempt, { credential, rate, billing: billingOf(0, budget), hold });
    this.keepVerdict(item, hold, verdict);
    return verdict;
  }

  private keepVerdict({ call }: Admission, { credentialId, requestId, attempt }: HoldRow, { billing, answer }: VerifiedVerdict): void {
    if (call.fingerprint === null) return;
    this.claims.keep({ credentialId, requestId, attempt, fingerprint: call.fingerprint }, billing?.chargedMicroCredits ?? 0, answer);
  }

  /**
   * Compares the call with an earlier call that had the same requestId. Returns undefined if the call may go on.
   * An expired claim does not count; if its call never ended, its hold is ended here as expired.
   */
  private repeat(call: Call, credential: Credential): Refusal | 'replay' | undefined {
    if (call.fingerprint === null) return undefined;
    const claim = this.claimOf(call, credential);
    if (!claim) return undefined;
    if (claim.expiresAt <= this.time.nowMs) {
      const stale = claim.state === 'RUNNING' ? this.state.staleHolds.get(claim.attempt) : undefined;
      if (stale) this.settle({ kind: 'settlement', hold: stale, ending: { kind: 'expired' } });
      return undefined;
    }
    if (claim.fingerprint !== call.fingerprint) return { code: 'REQUEST_ID_REUSED', details: {} };
    if (claim.state === 'RUNNING') return { code: 'REQUEST_IN_PROGRESS', details: {} };
    if (claim.answer === null) return { code: 'REPLAY_UNAVAILABLE', details: { charged_micro_credits: claim.chargedMicroCredits } };
    return 'replay';
  }

  /** Closes an open hold and writes its log row; bills a `posted` ending. Does not change a hold that is already closed. */
  private settle({ hold, ending, inTimeOnly = false, kept }: Settlement): Verdict {
    const budget = this.state.budgets.get(hold.projectId);
    if (!budget) return { kind: 'locked', projectId: hold.projectId };
    if (this.state.lockedHolds.has(hold.attempt)) return { kind: 'locked', projectId: hold.projectId };
    if (!this.state.openHolds.has(hold.attempt)) return this.settledBefore(hold, budget);
    const expiresAt = this.expiryOf(hold);
    if (ending.kind === 'expired' && expiresAt > hold.expiresAt) return { kind: 'gone' }; // renewed after a sweep had read it

    this.close(hold);
    budget.held -= hold.amount;
    const log = this.end(hold, inTimeOnly && expiresAt <= this.time.nowMs ? { kind: 'expired' } : ending, budget);
    const billing = billingOf(log.chargedMicroCredits, budget);
    const succeeded = ending.kind === 'posted' && log.outcome === 'SUCCEEDED' ? ending.answer(billing) : undefined;
    const answer = kept && log.outcome !== 'EXPIRED' ? kept.answer(billing) : succeeded;
    if (hold.claimed) this.claims.end(hold, log.chargedMicroCredits, answer);
    if (kept && answer !== undefined) {
      this.claims.keep({ ...settlementClaim(hold.attempt), fingerprint: kept.fingerprint }, log.chargedMicroCredits, answer);
    }
    return { kind: 'settled', outcome: log.outcome, billing, answer };
  }

  /** Writes the log row of a call that ends now, and its bill. `budget` has what is left after the hold was given back. */
  private end(hold: HoldRow, ending: Ending, budget: LockedBudget): LogRow {
    const log = logOf(hold, ending, this.time, budget);
    if (log.chargedMicroCredits > 0) {
      const delta = -log.chargedMicroCredits;
      this.entries.push(post(budget, { kind: LedgerKind.USAGE, delta, requestLogId: hold.attempt, at: this.time.nowMs }));
    }
    this.changed.add(budget);
    this.logs.push(log);
    this.state.ended.set(hold.attempt, log); // a later item of this tick may settle the same hold again
    return log;
  }

  /** Removes an open hold: its mark, or its row. */
  private close({ attempt }: HoldRow): void {
    this.state.openHolds.delete(attempt);
    const isRenewedNow = this.singleHolds.delete(attempt); // then its mark is cleared already
    if (this.state.singleHolds.has(attempt)) this.endedSingleHolds.push(attempt);
    else if (!isRenewedNow) this.endedHolds.push(attempt);
  }

  private expiryOf({ attempt, expiresAt }: HoldRow): number {
    return this.singleHolds.get(attempt)?.expiresAt ?? this.state.singleHolds.get(attempt) ?? expiresAt;
  }

  /** Moves the expiry of an open hold, and of its claim. Closes a hold whose time is over as expired. */
  private renew({ hold, lastsMs, atMostMs }: Renewal): Verdict {
    const { attempt } = hold;
    const isOpen = this.state.openHolds.has(attempt) && !this.state.lockedHolds.has(attempt);
    const before = this.expiryOf(hold);
    if (!this.state.budgets.has(hold.projectId) || !isOpen || before <= this.time.nowMs) {
      return this.settle({ kind: 'settlement', hold: { ...hold, expiresAt: before }, ending: { kind: 'expired' } });
    }
    const expiresAt = Math.max(before, Math.min(this.time.nowMs + lastsMs, hold.startedAt + atMostMs));
    if (!this.singleHolds.has(attempt) && !this.state.singleHolds.has(attempt)) this.endedHolds.push(attempt);
    this.singleHolds.set(attempt, { ...hold, expiresAt });
    if (hold.claimed) this.claims.move(hold, expiresAt);
    return { kind: 'renewed', expiresAt };
  }

  /** Handles a hold that is already closed, because an earlier try committed or the call expired. Its log row tells which. */
  private settledBefore(hold: HoldRow, budget: LockedBudget): Verdict {
    const ended = this.state.ended.get(hold.attempt);
    if (!ended) return { kind: 'gone' };
    const claim = this.claims.at(settlementClaim(hold.attempt));
    return { kind: 'settled', outcome: ended.outcome, billing: billingOf(ended.chargedMicroCredits, budget), answer: undefined, claim };
  }

  /** Writes a refusal as a log row, unless the credential has too many such rows in this second. Then only counts it. */
  private refuse(call: Call, credential: Credential | undefined, refusal: Refusal, rate?: RateReport): Verdict {
    const refused: Verdict = { kind: 'refused', refusal, credential, rate };
    const mode = call.verification?.mode;
    if (mode === 'peek' || mode === 'credential') return refused; // it must leave no trace
    if (credential && isPlaced(credential) && this.options.logsRefusal(credential.id, this.time.nowMs)) {
      const httpStatus = this.options.httpStatusOf(refusal.code);
      const { arrivedAt } = call;
      const ending: Ending = { kind: 'voided', outcome: 'REFUSED', errorCode: refusal.code, httpStatus, actionMs: null, arrivedAt };
      // This hold only fills the log row, it is not stored
      const hold = holdOf(this.nextAttempt(), call, credential, 0, { startedAt: this.time.nowMs, lastsMs: 0 });
      this.logs.push(logOf(hold, ending, this.time));
    } else if (credential) {
      this.count(credential.id, refusal.code, 1);
    }
    return refused;
  }

  private count(credentialId: string, code: string, calls: number): void {
    const key = `${credentialId} ${code}`;
    const minute = Math.floor(this.time.nowMs / 60_000);
    this.counts.set(key, { credentialId, code, minute, calls: (this.counts.get(key)?.calls ?? 0) + calls });
  }

  private claimOf({ requestId }: Call, { id: credentialId }: Credential): ClaimRow | undefined {
    return this.claims.at({ credentialId, requestId });
  }

  private nextAttempt(): string {
    this.attempts += 1;
    return attemptId(this.options.tick, this.attempts - 1);
  }
}

/** What is known about a call that may run. */
interface Judged {
  credential: PlacedCredential;
  budget: LockedBudget;
  rate: RateReport;
}

/** Whether a call is billed at its admission. */
const isCharged = ({ verification }: Call, { maxChargeMicroCredits }: ActionFacts): boolean =>
  verification?.mode === 'charge' || (verification?.mode === 'pass' && maxChargeMicroCredits === null);

const WITHOUT_ACTION = { rate: undefined, billing: undefined, hold: undefined };

const billingOf = (chargedMicroCredits: number, { balance, held }: LockedBudget): Billing => ({
  chargedMicroCredits,
  budgetAvailableMicroCredits: balance - held,
});

/** What a call costs by the usage that its verification states. */
function costTo({ verification }: Call, { environment }: Credential, action: ActionFacts): number {
  if (environment === 'TEST') return 0;
  return costOf({ flatMicroCredits: action.priceMicroCredits, units: action.unitPrices }, verification?.usage ?? null).microCredits;
}

const unaffordable = (price: number, available: number): Refusal => ({
  code: 'PAYMENT_REQUIRED',
  details: { price_micro_credits: price, available_micro_credits: available },
});

function verified({ answer }: Admission, attempt: string | null, facts: Verified): VerifiedVerdict {
  if (!answer) throw new Error('A verification has no answer.');
  return { kind: 'verified', attempt, answer: answer(facts), ...facts };
}
