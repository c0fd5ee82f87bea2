import { costOf } from '../actions/unit-prices';
import type { ErrorCode } from '../errors';
import { DAY_MS } from '../lib/time';
import { post } from '../wallet/ledger-account';
import { LedgerKind } from '../wallet/ledger-entry.entity';
import { credentialKey, isPlaced, routeKey, type ActionFacts, type Call, type Credential, type PlacedCredential } from './call';
import { firstRefusal, type Refusal } from './checks';
import { rateRefusal, type Admission, type Ending, type RateReport, type Renewal, type Settlement } from './items';
import type { TickItem, Verdict } from './items';
import { standingOf, takeCall } from './rate-limit';
import {
  attemptId,
  claimKey,
  type ClaimRow,
  type HoldRow,
  type LockedBudget,
  type LogRow,
  type TickState,
  type TickWrites,
} from './tick/rows';
import { actionKey } from './tick/tick-store';

// Decides in memory, in order of arrival. There is no I/O and no await here, and time comes from the tick's state.

/** How long the answer of a success is kept for callers that repeat the request. */
export const CLAIM_KEPT_MS = DAY_MS;
/** The largest answer that is kept. Repeating a call with a larger one is refused with REPLAY_UNAVAILABLE. */
export const MAX_KEPT_ANSWER_BYTES = 1024 * 1024;
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
  private readonly nowMs: number;
  private readonly changed = new Set<LockedBudget>();
  private readonly holds: HoldRow[] = [];
  private readonly endedHolds: string[] = [];
  /** Holds with rows of their own that this tick writes, by attempt. */
  private readonly singleHolds = new Map<string, HoldRow>();
  private readonly endedSingleHolds: string[] = [];
  private readonly logs: LogRow[] = [];
  private readonly entries: TickWrites['entries'] = [];
  /** Claims that this tick changes, by `claimKey`. `now` is undefined if the claim is deleted; `attempt` names the deleted one. */
  private readonly touched = new Map<string, { now: ClaimRow | undefined; attempt: string }>();
  private readonly counts = new Map<string, TickWrites['refusalCounts'][number]>();
  private attempts = 0;

  constructor(
    private readonly state: TickState,
    private readonly options: DecideOptions,
  ) {
    this.nowMs = Math.floor(state.nowUs / 1000);
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
    const touched = [...this.touched];
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
      claims: touched.flatMap(([, { now }]) => (now ? [now] : [])),
      endedClaims: touched.flatMap(([key, { now, attempt }]) => {
        const [credentialId, requestId] = key.split(' ') as [string, string];
        return now ? [] : [{ credentialId, requestId, attempt }];
      }),
      refusalCounts: [...this.counts.values()],
    };
  }

  private admit({ call, credentialId }: Admission): Verdict {
    const credential = this.state.credentials.get(credentialKey(call));
    if (credential && credential.id !== credentialId) throw new Error(`A secret of ${credentialId} has become one of ${credential.id}.`);
    if (call.route && !this.state.routes.has(routeKey(call.route))) return { kind: 'rerouted' };
    const named = this.state.actions.get(actionKey(call));
    const action = named && (call.route || this.options.canRun(named)) ? named : undefined;
    const refusal = firstRefusal(call, { credential, action }, this.nowMs);
    if (refusal || !credential || !action) return this.refuse(call, credential, refusal ?? { code: 'INVALID_API_KEY', details: {} });
    if (!isPlaced(credential)) throw new Error(`A call of ${credentialId} passed the checks without a project.`);
    const budget = this.state.budgets.get(credential.projectId);
    if (!budget) return { kind: 'locked', projectId: credential.projectId };

    const { limit } = credential;
    const { theoreticalArrivalUs, arrivalIntervalUs } = budget;
    const fits = takeCall(budget, limit, this.state.nowUs);
    if (budget.theoreticalArrivalUs !== theoreticalArrivalUs || budget.arrivalIntervalUs !== arrivalIntervalUs) this.changed.add(budget);
    const { remaining, untilNextUs } = standingOf(budget, limit, this.state.nowUs);
    const rate: RateReport = { limit, remaining, untilNextUs, asOfMs: this.options.monotonicMs };
    if (!fits) {
      return this.refuse(call, credential, rateRefusal(rate), rate);
    }

    const repeat = this.repeat(call, credential);
    if (repeat === 'replay') return { kind: 'replay', claim: this.claimOf(call, credential) as ClaimRow, rate };
    if (repeat) return this.refuse(call, credential, repeat, rate);

    const amount = credential.environment === 'TEST' ? 0 : (action.maxChargeMicroCredits ?? action.priceMicroCredits);
    const available = budget.balance - budget.held;
    if (amount > available) {
      const details = { price_micro_credits: amount, available_micro_credits: available };
      return this.refuse(call, credential, { code: 'PAYMENT_REQUIRED', details }, rate);
    }

    const hold = this.holdOf(call, credential, amount, call.holdMs ?? action.timeoutMs + HOLD_MARGIN_MS);
    if (action.maxChargeMicroCredits !== null) {
      hold.price = { flatMicroCredits: action.priceMicroCredits, units: action.unitPrices };
    }
    budget.held += amount;
    this.changed.add(budget);
    this.holds.push(hold);
    if (call.fingerprint !== null) this.claim(hold, call.fingerprint);
    return { kind: 'admitted', hold, credential, action, rate };
  }

  /**
   * Compares the call with an earlier call that had the same requestId. Returns undefined if the call may go on.
   * An expired claim does not count; if its call never ended, its hold is ended here as expired.
   */
  private repeat(call: Call, credential: Credential): Refusal | 'replay' | undefined {
    if (call.fingerprint === null) return undefined;
    const claim = this.claimOf(call, credential);
    if (!claim) return undefined;
    if (claim.expiresAt <= this.nowMs) {
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
  private settle({ hold, ending, inTimeOnly = false }: Settlement): Verdict {
    const budget = this.state.budgets.get(hold.projectId);
    if (!budget) return { kind: 'locked', projectId: hold.projectId };
    if (this.state.lockedHolds.has(hold.attempt)) return { kind: 'locked', projectId: hold.projectId };
    if (!this.state.openHolds.has(hold.attempt)) return this.settledBefore(hold, budget);
    const expiresAt = this.expiryOf(hold);
    if (ending.kind === 'expired' && expiresAt > hold.expiresAt) return { kind: 'gone' }; // renewed after a sweep had read it

    this.close(hold);
    budget.held -= hold.amount;
    this.changed.add(budget);
    const log = this.logOf(hold, inTimeOnly && expiresAt <= this.nowMs ? { kind: 'expired' } : ending, budget);
    if (log.chargedMicroCredits > 0) {
      const delta = -log.chargedMicroCredits;
      this.entries.push(post(budget, { kind: LedgerKind.USAGE, delta, requestLogId: hold.attempt, at: this.nowMs }));
    }
    const billing = { chargedMicroCredits: log.chargedMicroCredits, budgetAvailableMicroCredits: budget.balance - budget.held };
    this.logs.push(log);
    this.state.ended.set(hold.attempt, log); // a later item of this tick may settle the same hold again
    const answer = ending.kind === 'posted' && log.outcome === 'SUCCEEDED' ? ending.answer(billing) : undefined;
    if (hold.claimed) this.endClaim(hold, log.chargedMicroCredits, answer);
    return { kind: 'settled', outcome: log.outcome, billing, answer };
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
    if (!this.state.budgets.has(hold.projectId) || !isOpen || before <= this.nowMs) {
      return this.settle({ kind: 'settlement', hold: { ...hold, expiresAt: before }, ending: { kind: 'expired' } });
    }
    const expiresAt = Math.max(before, Math.min(this.nowMs + lastsMs, hold.startedAt + atMostMs));
    if (!this.singleHolds.has(attempt) && !this.state.singleHolds.has(attempt)) this.endedHolds.push(attempt);
    this.singleHolds.set(attempt, { ...hold, expiresAt });
    const claim = hold.claimed ? this.claimAt(claimKey(hold)) : undefined;
    if (claim?.attempt === attempt) this.touched.set(claimKey(hold), { now: { ...claim, expiresAt }, attempt });
    return { kind: 'renewed', expiresAt };
  }

  /** Handles a hold that is already closed, because an earlier try committed or the call expired. Its log row tells which. */
  private settledBefore(hold: HoldRow, budget: LockedBudget): Verdict {
    const ended = this.state.ended.get(hold.attempt);
    if (!ended) return { kind: 'gone' };
    const billing = { chargedMicroCredits: ended.chargedMicroCredits, budgetAvailableMicroCredits: budget.balance - budget.held };
    return { kind: 'settled', outcome: ended.outcome, billing, answer: undefined };
  }

  private holdOf(call: Call, credential: PlacedCredential, amount: number, lastsMs: number): HoldRow {
    return {
      attempt: this.nextAttempt(),
      credentialKind: credential.credentialKind,
      credentialId: credential.id,
      workspaceId: credential.workspaceId,
      projectId: credential.projectId,
      environment: credential.environment,
      service: call.service,
      action: call.action,
      requestId: call.requestId,
      ip: call.ip,
      userAgent: call.userAgent,
      subject: call.subject,
      metadata: call.metadata,
      claimed: call.fingerprint !== null,
      amount,
      startedAt: this.nowMs,
      expiresAt: this.nowMs + lastsMs,
    };
  }

  /** Makes the log row of a call that ends now. `budget` has what is left after the hold was given back. */
  private logOf(hold: HoldRow, ending: Ending, budget?: LockedBudget): LogRow {
    const ran = ending.kind === 'expired' ? undefined : ending;
    const voided = ending.kind === 'voided' ? ending : undefined;
    const posted = ending.kind === 'posted' ? ending : undefined;
    const cost = posted && budget ? costOfCall(hold, posted) : NO_COST;
    const charged = budget ? Math.min(cost.microCredits, budget.balance - budget.held) : 0;
    // Copied property by property: a rest pattern or a spread takes longer than the rest of a settlement
    return {
      id: hold.attempt,
      credentialKind: hold.credentialKind,
      credentialId: hold.credentialId,
      workspaceId: hold.workspaceId,
      projectId: hold.projectId,
      environment: hold.environment,
      service: hold.service,
      action: hold.action,
      requestId: hold.requestId,
      ip: hold.ip,
      userAgent: hold.userAgent,
      subject: hold.subject,
      metadata: hold.metadata,
      outcome: voided?.outcome ?? (ran ? 'SUCCEEDED' : 'EXPIRED'),
      errorCode: ran ? (voided?.errorCode ?? null) : 'OUTCOME_UNKNOWN',
      httpStatus: ran ? ran.httpStatus : null,
      chargedMicroCredits: charged,
      heldMicroCredits: hold.amount,
      shortfallMicroCredits: cost.microCredits - charged,
      usage: posted?.usage ?? null,
      usageMissing: cost.isMissing,
      actionMs: ran && ran.actionMs !== null ? toMicros(ran.actionMs) : null,
      totalMs: ran ? this.totalMs(hold, ran.arrivedAt) : null,
      createdAt: this.nowMs,
    };
  }

  /** Writes a refusal as a log row, unless the credential has too many such rows in this second. Then only counts it. */
  private refuse(call: Call, credential: Credential | undefined, refusal: Refusal, rate?: RateReport): Verdict {
    if (credential && isPlaced(credential) && this.options.logsRefusal(credential.id, this.nowMs)) {
      const httpStatus = this.options.httpStatusOf(refusal.code);
      const { arrivedAt } = call;
      const ending: Ending = { kind: 'voided', outcome: 'REFUSED', errorCode: refusal.code, httpStatus, actionMs: null, arrivedAt };
      this.logs.push(this.logOf(this.holdOf(call, credential, 0, 0), ending)); // this hold only fills the log row, it is not stored
    } else if (credential) {
      this.count(credential.id, refusal.code, 1);
    }
    return { kind: 'refused', refusal, credential, rate };
  }

  private count(credentialId: string, code: string, calls: number): void {
    const key = `${credentialId} ${code}`;
    const minute = Math.floor(this.nowMs / 60_000);
    this.counts.set(key, { credentialId, code, minute, calls: (this.counts.get(key)?.calls ?? 0) + calls });
  }

  private claimOf(call: Call, credential: Credential): ClaimRow | undefined {
    return this.claimAt(claimKey({ credentialId: credential.id, requestId: call.requestId }));
  }

  private claimAt(id: string): ClaimRow | undefined {
    const touched = this.touched.get(id);
    return touched ? touched.now : this.state.claims.get(id);
  }

  private claim(hold: HoldRow, fingerprint: string): void {
    const { credentialId, requestId, attempt, expiresAt } = hold;
    const open = { state: 'RUNNING', expiresAt, chargedMicroCredits: 0, answer: null } as const;
    const now: ClaimRow = { credentialId, requestId, attempt, fingerprint, ...open };
    this.touched.set(claimKey(hold), { now, attempt });
  }

  /** Stores the answer of a success in its claim. Deletes the claim of any other call. Does nothing if a newer attempt has the claim. */
  private endClaim(hold: HoldRow, charged: number, answer: string | undefined): void {
    const id = claimKey(hold);
    const claim = this.claimAt(id);
    if (claim?.attempt !== hold.attempt) return;
    if (answer === undefined) {
      this.touched.set(id, { now: undefined, attempt: hold.attempt });
      return;
    }
    const kept = Buffer.byteLength(answer) <= MAX_KEPT_ANSWER_BYTES ? answer : null;
    const now: ClaimRow = { ...claim, state: 'DONE', expiresAt: this.nowMs + CLAIM_KEPT_MS, chargedMicroCredits: charged, answer: kept };
    this.touched.set(id, { now, attempt: hold.attempt });
  }

  private nextAttempt(): string {
    this.attempts += 1;
    return attemptId(this.options.tick, this.attempts - 1);
  }

  /** The time of the whole call. By the database's clock if another process may have admitted it. */
  private totalMs({ startedAt }: HoldRow, arrivedAt: number | null): number {
    return arrivedAt === null ? Math.max(0, this.nowMs - startedAt) : toMicros(this.options.monotonicMs - arrivedAt);
  }
}

const toMicros = (ms: number): number => Math.round(ms * 1000) / 1000;

const NO_COST = { microCredits: 0, isMissing: false };

/** What a success costs. A TEST credential pays nothing, but its usage is measured. */
function costOfCall(hold: HoldRow, { usage, costMicroCredits }: Posted): { microCredits: number; isMissing: boolean } {
  const measured = hold.price ? costOf(hold.price, usage) : { microCredits: hold.amount, isMissing: false };
  if (hold.environment === 'TEST') return { ...measured, microCredits: 0 };
  return costMicroCredits === undefined ? measured : { microCredits: costMicroCredits, isMissing: false };
}

type Posted = Extract<Ending, { kind: 'posted' }>;
