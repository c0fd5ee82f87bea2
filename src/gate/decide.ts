import type { ErrorCode } from '../errors';
import { DAY_MS } from '../lib/time';
import { post } from '../wallet/ledger-account';
import { LedgerKind } from '../wallet/ledger-entry.entity';
import { credentialKey, isPlaced, type ActionFacts, type Call, type Credential, type PlacedCredential } from './call';
import { firstRefusal, type Refusal } from './checks';
import { standingOf, takeCall, type RateLimit, type RateStanding } from './rate-limit';
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

/** A call that asks to be admitted. */
export interface Admission {
  kind: 'admission';
  call: Call;
  /** The owner of the call's secret. It never changes. */
  credentialId: string;
  /**
   * The project to lock, as last seen by this process. Null if the credential did not work or had no project then: the call is judged
   * without a lock. If the tick finds another project, the verdict is `locked`, and the call is submitted again with that project.
   */
  projectId: string | null;
}

/**
 * How a call in flight ended. `posted`: it is billed. `voided`: it failed or never ran, and is not billed. `expired`: its process did not
 * report an end in time, and it is not billed.
 */
export type Ending =
  | { kind: 'posted'; answer: (billing: Billing) => string; actionMs: number; arrivedAt: number }
  | { kind: 'voided'; outcome: 'FAILED' | 'REFUSED'; errorCode: string; httpStatus: number; actionMs: number | null; arrivedAt: number }
  | { kind: 'expired' };

export interface Settlement {
  kind: 'settlement';
  hold: HoldRow;
  ending: Ending;
}

/** Refusals that were answered without a log row. They are added to `refusal_counts`. */
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

/** The state of the project's rate limit, as the caller's headers show it. */
export interface RateReport extends RateStanding {
  limit: RateLimit;
  /** Time of this state, by `performance.now()`. */
  asOfMs: number;
}

/**
 * The result of an item. `replay`: the answer of an earlier call is to be repeated. `gone`: the hold is not open and has no log row yet.
 * `locked`: nothing was decided, because the tick does not have the lock of `projectId`.
 */
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
  /** The unique id of this tick. */
  tick: string;
  /** A random id of this process, new at each start. */
  process: string;
  httpStatusOf(code: ErrorCode): number;
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

/** Returns the project of the budget that must be locked for an item, or undefined if the item needs no lock. */
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
    this.state.ended.set(hold.attempt, log); // a later item of this tick may settle the same hold again
    const answer = ending.kind === 'posted' ? ending.answer(billing) : undefined;
    if (hold.claimed) this.endClaim(hold, charged, answer);
    return { kind: 'settled', outcome: log.outcome, billing, answer };
  }

  /** Handles a hold that is already closed, because an earlier try committed or the call expired. Its log row tells which. */
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
      outcome: voided?.outcome ?? (ran ? 'SUCCEEDED' : 'EXPIRED'),
      errorCode: ran ? (voided?.errorCode ?? null) : 'OUTCOME_UNKNOWN',
      httpStatus: ran ? (voided?.httpStatus ?? 200) : null,
      chargedMicroCredits: charged,
      actionMs: ran && ran.actionMs !== null ? toMicros(ran.actionMs) : null,
      totalMs: ran ? this.since(ran.arrivedAt) : null,
      createdAt: this.nowMs,
    };
  }

  /** Writes a refusal as a log row while the credential may have more rows in this second. Counts it otherwise. */
  private refuse(call: Call, credential: Credential | undefined, refusal: Refusal, rate?: RateReport): Verdict {
    if (credential && isPlaced(credential) && this.options.logsRefusal(credential.id, this.nowMs)) {
      const httpStatus = this.options.httpStatusOf(refusal.code);
      const { arrivedAt } = call;
      const ending: Ending = { kind: 'voided', outcome: 'REFUSED', errorCode: refusal.code, httpStatus, actionMs: null, arrivedAt };
      this.logs.push(this.logOf(this.holdOf(call, credential, 0, 0), ending, 0)); // this hold only fills the log row, it is not stored
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
    const open = { state: 'RUNNING', expiresAt, chargedMicroCredits: 0, answer: null } as const;
    const now: ClaimRow = { credentialId, requestId, attempt, fingerprint, ...open };
    this.touched.set(claimKey(hold), { now, attempt });
  }

  /** Stores the answer of a success in its claim. Deletes the claim of any other call. Does nothing if a newer attempt has the claim. */
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

/** The refusal of a call that exceeds its project's rate limit. */
export function rateRefusal(rate: RateReport): Refusal {
  return { code: 'RATE_LIMITED', details: { retry_after_ms: Math.ceil(rate.untilNextUs / 1000), violated_policies: ['project'] } };
}

const toMicros = (ms: number): number => Math.round(ms * 1000) / 1000;

