import type { ErrorCode } from '../errors';
import { DAY_MS } from '../lib/time';
import { post } from '../wallet/ledger-account';
import { LedgerKind } from '../wallet/ledger-entry.entity';
import { credentialKey, isPlaced, type ActionFacts, type Call, type Credential, type PlacedCredential } from './call';
import { firstRefusal, type Refusal } from './checks';
import { standingOf, takeCall, type RateLimit, type RateStanding } from './rate-limit';
import { attemptId, claimKey, type ClaimRow, type HoldRow, type LockedBudget, type LogRow, type TickState, type TickWrites } from './rows';
import { actionKey } from './tick-store';

// What a tick decides, in memory and in order of arrival: no I/O, no await, no clock of its own.

/** How long a success's answer is kept for those who repeat it. */
export const CLAIM_KEPT_MS = DAY_MS;
/** The largest answer that is kept. */
export const MAX_KEPT_ANSWER_BYTES = 1024 * 1024;
/** How long a hold outlives its action's time. */
export const HOLD_MARGIN_MS = 30_000;

/** A call that asks to be admitted. */
export interface Admission {
  kind: 'admission';
  call: Call;
  /** Whose its secret is, for good. */
  credentialId: string;
  /**
   * The project whose lock it is judged with, as it looked a moment ago; null where its credential was dead, or had no project, a moment
   * ago, and it is judged without one. Where that has changed, it comes again with the right lock.
   */
  projectId: string | null;
}

/** How a call in flight ended, for the one who holds it to write down. */
export type Ending =
  | { kind: 'posted'; answer: (billing: Billing) => string; actionMs: number; arrivedAt: number }
  | { kind: 'voided'; outcome: 'FAILED' | 'REFUSED'; errorCode: string; httpStatus: number; actionMs: number | null; arrivedAt: number }
  | { kind: 'expired' };

export interface Settlement {
  kind: 'settlement';
  hold: HoldRow;
  ending: Ending;
}

/** Refusals that were answered without a row, to be counted. */
export interface Count {
  kind: 'count';
  credentialId: string;
  code: ErrorCode;
  calls: number;
}

export interface Billing {
  chargedMicroCredits: number;
  budgetAvailableMicroCredits: number;
}

/** What a caller may be told of its project's limit. */
export interface RateReport extends RateStanding {
  limit: RateLimit;
  /** When it stood so, by `performance.now()`. */
  asOfMs: number;
}

export type Verdict =
  | { kind: 'admitted'; hold: HoldRow; credential: PlacedCredential; action: ActionFacts; rate: RateReport }
  | { kind: 'refused'; refusal: Refusal; credential: Credential | undefined; rate: RateReport | undefined }
  | { kind: 'replay'; claim: ClaimRow; rate: RateReport }
  | { kind: 'settled'; outcome: LogRow['outcome']; billing: Billing; answer: string | undefined }
  | { kind: 'gone' }
  | { kind: 'counted' }
  | { kind: 'locked'; projectId: string };

export type TickItem = Admission | Settlement | Count;

export interface DecideOptions {
  /** The id of this tick, its own alone. */
  tick: string;
  /** This start of this process. */
  process: string;
  httpStatusOf(code: ErrorCode): number;
  /** Whether one more refusal of this credential is still written as a row, rather than counted. */
  logsRefusal(credentialId: string, nowMs: number): boolean;
  /** By `performance.now()`. */
  monotonicMs: number;
}

/** Judges the items in their order and gives what is to be written, and a verdict for each item, true once that is committed. */
export function decide(items: readonly TickItem[], state: TickState, options: DecideOptions): { writes: TickWrites; verdicts: Verdict[] } {
  const tick = new Tick(state, options);
  const verdicts = items.map((item) => tick.judge(item));
  return { writes: tick.writes(), verdicts };
}

/** The project whose budget an item needs locked, or undefined where none. */
export function projectOf(item: TickItem): string | undefined {
  if (item.kind === 'settlement') return item.hold.projectId;
  return item.kind === 'admission' ? (item.projectId ?? undefined) : undefined;
}

class Tick {
  private readonly nowMs: number;
  private readonly changed = new Set<LockedBudget>();
  private readonly holds: HoldRow[] = [];
  private readonly endedHolds: string[] = [];
  private readonly logs: LogRow[] = [];
  private readonly entries: TickWrites['entries'] = [];
  /** Claims that this tick touched: as they are now, or the attempt whose claim goes. */
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
    const action = this.state.actions.get(actionKey(call));
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

    const amount = credential.environment === 'TEST' ? 0 : action.priceMicroCredits;
    const available = budget.balance - budget.held;
    if (amount > available) {
      const details = { price_micro_credits: amount, available_micro_credits: available };
      return this.refuse(call, credential, { code: 'PAYMENT_REQUIRED', details }, rate);
    }

    const hold = this.holdOf(call, credential, amount, action.timeoutMs);
    budget.held += amount;
    this.changed.add(budget);
    this.holds.push(hold);
    if (call.fingerprint !== null) this.claim(hold, call.fingerprint);
    return { kind: 'admitted', hold, credential, action, rate };
  }

  /** What an earlier call with this requestId means for this one; undefined where it may go on. A claim that ran out is ended here. */
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

  private settle({ hold, ending }: Settlement): Verdict {
    const budget = this.state.budgets.get(hold.projectId);
    if (!budget) return { kind: 'locked', projectId: hold.projectId };
    if (this.state.lockedHolds.has(hold.attempt)) return { kind: 'locked', projectId: hold.projectId };
    if (!this.state.openHolds.delete(hold.attempt)) return this.settledBefore(hold, budget);

    this.endedHolds.push(hold.attempt);
    budget.held -= hold.amount;
    this.changed.add(budget);
    const charged = ending.kind === 'posted' ? hold.amount : 0;
    if (charged > 0) {
      this.entries.push(post(budget, { kind: LedgerKind.USAGE, delta: -charged, requestLogId: hold.attempt, at: this.nowMs }));
    }
    const billing = { chargedMicroCredits: charged, budgetAvailableMicroCredits: budget.balance - budget.held };
    const log = this.logOf(hold, ending, charged);
    this.logs.push(log);
    this.state.ended.set(hold.attempt, log); // for whoever settles it again in this same tick
    const answer = ending.kind === 'posted' ? ending.answer(billing) : undefined;
    if (hold.claimed) this.endClaim(hold, charged, answer);
    return { kind: 'settled', outcome: log.outcome, billing, answer };
  }

  /** The hold is gone: an earlier try of ours committed, or the call expired. Its log row knows. */
  private settledBefore(hold: HoldRow, budget: LockedBudget): Verdict {
    const ended = this.state.ended.get(hold.attempt);
    if (!ended) return { kind: 'gone' };
    const billing = { chargedMicroCredits: ended.chargedMicroCredits, budgetAvailableMicroCredits: budget.balance - budget.held };
    return { kind: 'settled', outcome: ended.outcome, billing, answer: undefined };
  }

  private holdOf(call: Call, credential: PlacedCredential, amount: number, timeoutMs: number): HoldRow {
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
      claimed: call.fingerprint !== null,
      amount,
      startedAt: this.nowMs,
      expiresAt: this.nowMs + timeoutMs + HOLD_MARGIN_MS,
    };
  }

  private logOf(hold: HoldRow, ending: Ending, charged: number): LogRow {
    const ran = ending.kind === 'expired' ? undefined : ending;
    const voided = ending.kind === 'voided' ? ending : undefined;
    // Property by property: a rest pattern or a spread costs more here than all else that a settlement does
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
      outcome: voided?.outcome ?? (ran ? 'SUCCEEDED' : 'EXPIRED'),
      errorCode: ran ? (voided?.errorCode ?? null) : 'OUTCOME_UNKNOWN',
      httpStatus: ran ? (voided?.httpStatus ?? 200) : null,
      chargedMicroCredits: charged,
      actionMs: ran && ran.actionMs !== null ? toMicros(ran.actionMs) : null,
      totalMs: ran ? this.since(ran.arrivedAt) : null,
      createdAt: this.nowMs,
    };
  }

  private refuse(call: Call, credential: Credential | undefined, refusal: Refusal, rate?: RateReport): Verdict {
    if (credential && isPlaced(credential) && this.options.logsRefusal(credential.id, this.nowMs)) {
      const httpStatus = this.options.httpStatusOf(refusal.code);
      const ending: Ending = { kind: 'voided', outcome: 'REFUSED', errorCode: refusal.code, httpStatus, actionMs: null, arrivedAt: call.arrivedAt };
      this.logs.push(this.logOf(this.holdOf(call, credential, 0, 0), ending, 0)); // as if it had been held and let go in the same moment
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
    const id = claimKey({ credentialId: credential.id, requestId: call.requestId });
    const touched = this.touched.get(id);
    return touched ? touched.now : this.state.claims.get(id);
  }

  private claim(hold: HoldRow, fingerprint: string): void {
    const { credentialId, requestId, attempt, expiresAt } = hold;
    const now: ClaimRow = { credentialId, requestId, attempt, fingerprint, state: 'RUNNING', expiresAt, chargedMicroCredits: 0, answer: null };
    this.touched.set(claimKey(hold), { now, attempt });
  }

  /** A success keeps its claim and its answer; anything else gives the requestId free. Only where the claim names this attempt. */
  private endClaim(hold: HoldRow, charged: number, answer: string | undefined): void {
    const id = claimKey(hold);
    const touched = this.touched.get(id);
    const claim = touched ? touched.now : this.state.claims.get(id);
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

  private since(arrivedAt: number): number {
    return toMicros(this.options.monotonicMs - arrivedAt);
  }
}

/** What a caller is told that calls too fast. */
export function rateRefusal(rate: RateReport): Refusal {
  return { code: 'RATE_LIMITED', details: { retry_after_ms: Math.ceil(rate.untilNextUs / 1000), violated_policies: ['project'] } };
}

const toMicros = (ms: number): number => Math.round(ms * 1000) / 1000;

