import { isOutage, isRetryable } from '../../db/failures';
import { TollgateError } from '../../errors';
import { newId } from '../../lib/id';
import type { Time } from '../../lib/time';
import { credentialKey, type CredentialRef } from '../call';
import { decide, type DecideOptions } from '../decide';
import { UnknownCommit, projectOf, type Admission, type Count, type Ending, type Renewal, type Settlement } from '../items';
import type { TickItem, Verdict } from '../items';
import { Lane } from './lane';
import { settlementClaim, type HoldRow } from './rows';
import { TickFailure, actionKey, type ActionName, type TickNeeds, type TickStore } from './tick-store';

/** The most calls, settlements and counts in one tick. `tick_holds.marks` has a place for each of them. */
export const MAX_TICK_ITEMS = 500;
/** A call that has waited this long for a tick is answered with 503. */
export const ADMISSION_WAIT_MS = 5_000;
/** Tries of a tick that fails by a deadlock or a lock timeout. */
const TICK_TRIES = 6;
/**
 * A tick skips a job if another transaction has its project's lock. After this many skips, the job moves to a lane that waits for the lock.
 */
const SKIPS_BEFORE_WAITING = 2;
/** The most ticks that wait for locks at the same time. The other connections stay free for the main lane. */
const MAX_WAITING_TICKS = 6;
/** Pause between two tries of a settlement with an unknown outcome: doubles from `first` to `most`. */
const SETTLE_RETRY_MS = { first: 25, most: 1_000 };

// Upper estimate of the SQL of one item without its answer: a hold, a log row, a ledger entry and a claim.
const ITEM_BYTES = 4_096;

export interface TickerDeps {
  store: TickStore;
  time: Time;
  decide: Omit<DecideOptions, 'tick' | 'monotonicMs'>;
  /** Called with each failure, to log it. */
  onFailure(error: unknown, what: string): void;
}

/** An item in a queue, with the functions that answer its caller. */
interface Job {
  item: TickItem;
  bytes: number;
  /** How often a tick skipped the item because another transaction had its project's lock. */
  skips: number;
  resolve(verdict: Verdict): void;
  reject(error: unknown): void;
}

/**
 * Collects admissions, settlements and counts, and runs them through the database in batches: one transaction, a tick, for each batch.
 *
 * If the database answers late or not at all:
 * - Before COMMIT was sent, nothing was written. Admissions reject with SERVICE_UNAVAILABLE, and `settle` tries again.
 * - After COMMIT was sent, the tick may have committed. Admissions reject with SERVICE_UNAVAILABLE, and their holds are voided.
 *   `settle` tries again and reads the outcome of its earlier try.
 * - An admission that waited ADMISSION_WAIT_MS in a queue rejects with SERVICE_UNAVAILABLE before it is judged.
 */
export class Ticker {
  private readonly main: Lane<Job>;
  private readonly waiting = new Map<string, Lane<Job>>();
  private waitingTicks = 0;
  private readonly waitingTurns: (() => void)[] = [];

  constructor(private readonly deps: TickerDeps) {
    this.main = this.lane(false);
  }

  /**
   * Judges a call. Rejects with SERVICE_UNAVAILABLE if the database does not answer, and with INTERNAL if it refuses the call
   * permanently. In both cases the action must not run. Rejects with UnknownCommit if a verification may have been billed, or may have
   * opened a hold. `answerBytes` is the size of its answer.
   * Resolves with `locked` if the call needs the lock of another project than `admission.projectId`.
   */
  judge(admission: Admission, answerBytes = 0): Promise<Verdict> {
    return this.submit(admission, answerBytes);
  }

  /**
   * Settles a hold. Tries again while the outcome is unknown, until `deadline` (by the clock of `deps.time`).
   * Rejects with OUTCOME_UNKNOWN after the deadline. Rejects with INTERNAL if the database refuses a success permanently.
   * The hold is then voided, and nothing is billed.
   *
   * Invariant: a hold is closed at most once, so repeating a settlement after an unanswered COMMIT never bills twice.
   */
  async settle(settlement: Settlement, deadline: number, answerBytes = 0): Promise<Verdict> {
    for (let retryMs = SETTLE_RETRY_MS.first; ; retryMs = Math.min(retryMs * 2, SETTLE_RETRY_MS.most)) {
      try {
        const verdict = knownOutcome(settlement, await this.submit(settlement, answerBytes));
        if (verdict) return verdict;
      } catch (error) {
        if (!(error instanceof TickFailure)) throw error; // after a TickFailure, only another try can tell the outcome
      }
      if (this.deps.time.now() + retryMs > deadline) throw new TollgateError('OUTCOME_UNKNOWN');
      await this.deps.time.wait(retryMs * (0.5 + this.jitter()));
    }
  }

  /**
   * Moves the expiry of a hold, so that its call may go on. The verdict is `renewed`, or tells how the call has ended. Rejects if the tick
   * fails; the hold may be renewed then. A hold that was renewed must be settled with `mayBeSingle`.
   */
  renew(renewal: Renewal): Promise<Verdict> {
    return this.submit(renewal, 0);
  }

  /** Adds refusals that were answered from memory to the counts. Rejects if the tick fails; the counts are not tried again. */
  count(count: Count): Promise<Verdict> {
    return this.submit(count, 0);
  }

  /** Queues an item for the next tick. Resolves with its verdict. Rejects with the error that `giveUp` or `refuseForGood` gives its job. */
  private submit(item: TickItem, answerBytes: number): Promise<Verdict> {
    return new Promise((resolve, reject) => {
      const job: Job = { item, bytes: ITEM_BYTES + 2 * answerBytes, skips: 0, resolve, reject };
      this.laneOf(projectOf(item)).push(job);
    });
  }

  /** The lane that waits for the project's lock, if there is one. Otherwise the main lane. */
  private laneOf(projectId: string | undefined): Lane<Job> {
    return (projectId !== undefined && this.waiting.get(projectId)) || this.main;
  }

  /** Makes a lane. With `waits`, its ticks wait for locks; otherwise they skip projects that are locked elsewhere. */
  private lane(waits: boolean, onIdle?: () => void): Lane<Job> {
    const { maxBytes } = this.deps.store;
    const options = { maxItems: MAX_TICK_ITEMS, maxBytes, bytesOf: (job: Job) => job.bytes, ...(onIdle ? { onIdle } : {}) };
    return new Lane(this.deps.time, options, (jobs) =>
      waits ? this.inTurn(() => this.run(jobs, waits)) : this.run(this.withoutWaiting(jobs), waits),
    );
  }

  /** Rejects admissions that waited too long and returns the other jobs. Settlements and counts are never too late here. */
  private stillInTime(jobs: Job[]): Job[] {
    return inTime(this.deps.time, jobs, ({ item }) => (item.kind === 'admission' ? item.call.waitsSince : Infinity));
  }

  /** Moves jobs of projects that have a waiting lane to that lane. Returns the other jobs. */
  private withoutWaiting(jobs: Job[]): Job[] {
    if (this.waiting.size === 0) return jobs;
    return jobs.filter((job) => {
      const lane = this.laneOf(projectOf(job.item));
      if (lane !== this.main) lane.push(job);
      return lane === this.main;
    });
  }

  /**
   * Runs one tick. Returns functions that answer the callers which still wait.
   *
   * Invariant: at its end each job is resolved, rejected, queued again, or answered by exactly one of the returned functions.
   * A deadlock or a lock timeout committed nothing, so the whole tick is run again after a short pause.
   */
  private async run(batch: Job[], waits: boolean): Promise<(() => void)[]> {
    for (let tries = 1; ; tries += 1) {
      const jobs = this.stillInTime(batch);
      if (jobs.length === 0) return [];
      const { verdicts, failure } = await this.transact(jobs, waits);
      if (!failure) return jobs.flatMap((job, index) => this.answer(job, verdicts[index] as Verdict));
      if (failure.mayHaveCommitted || !isRetryable(failure.cause) || tries >= TICK_TRIES) {
        await this.handleFailure(jobs, waits, verdicts, failure);
        return [];
      }
      await this.deps.time.wait(5 * 2 ** tries * this.jitter());
    }
  }

  /** Runs one transaction. Returns its verdicts, which are valid if there is no failure. Never rejects. */
  private async transact(jobs: Job[], waits: boolean): Promise<{ verdicts: Verdict[]; failure?: TickFailure }> {
    const items = jobs.map(({ item }) => item);
    const tick = newId('log'); // made before the transaction, so that the time in the id is not after the transaction's time
    let verdicts: Verdict[] = [];
    try {
      await this.deps.store.transact(needsOf(items), { waits }, (state) => {
        const decided = decide(items, state, { ...this.deps.decide, tick, monotonicMs: this.deps.time.now() });
        verdicts = decided.verdicts;
        return decided.writes;
      });
      return { verdicts };
    } catch (error) {
      return { verdicts, failure: error instanceof TickFailure ? error : new TickFailure(false, error) };
    }
  }

  /**
   * Ends a tick that is not tried again as a whole. Gives up all jobs after an unanswered COMMIT or while the database is unavailable.
   * Otherwise one item makes the tick fail, or its lock conflicts did TICK_TRIES times: `halve` separates it from the others.
   */
  private async handleFailure(jobs: Job[], waits: boolean, verdicts: Verdict[], failure: TickFailure): Promise<void> {
    this.deps.onFailure(failure, failure.mayHaveCommitted ? 'commit without an answer' : 'tick');
    if (failure.mayHaveCommitted) this.giveUp(jobs, verdicts, failure);
    else if (isOutage(failure.cause)) this.giveUp(jobs, [], failure);
    else await this.halve(jobs, waits, failure);
  }

  /**
   * Handles the verdict of a committed tick. Resolves admitted calls at once, so that their actions start, and queues locked jobs again.
   * Returns a function for every other verdict: callers are answered later, while the next tick already runs.
   */
  private answer(job: Job, verdict: Verdict): (() => void)[] {
    if (verdict.kind === 'admitted' || (verdict.kind === 'locked' && verdict.projectId !== projectOf(job.item))) {
      job.resolve(verdict);
      return [];
    }
    if (verdict.kind !== 'locked') return [() => job.resolve(verdict)];
    job.skips += 1;
    if (job.skips >= SKIPS_BEFORE_WAITING) this.waitingLane(verdict.projectId).push(job);
    else this.main.push(job);
    return [];
  }

  /** Returns the lane that waits for this project's lock. Makes it if there is none; it is removed once it is idle. */
  private waitingLane(projectId: string): Lane<Job> {
    const lane = this.waiting.get(projectId) ?? this.lane(true, () => this.waiting.delete(projectId));
    this.waiting.set(projectId, lane);
    return lane;
  }

  /** Runs `work` once fewer than MAX_WAITING_TICKS are running. */
  private async inTurn<T>(work: () => Promise<T>): Promise<T> {
    while (this.waitingTicks >= MAX_WAITING_TICKS) await new Promise<void>((resolve) => this.waitingTurns.push(resolve));
    this.waitingTicks += 1;
    try {
      return await work();
    } finally {
      this.waitingTicks -= 1;
      this.waitingTurns.shift()?.();
    }
  }

  /**
   * Rejects all jobs of a tick that was not confirmed as committed. `verdicts` is empty if the tick certainly did not commit.
   *
   * Invariant: no call of this tick runs its action, and a hold that the tick may have committed is voided. `settle` repeats the
   * settlements. A verification that may have written something learns its verdict, and finds out whether it was committed.
   */
  private giveUp(jobs: Job[], verdicts: Verdict[], failure: TickFailure): void {
    jobs.forEach((job, index) => {
      if (job.item.kind !== 'admission') return job.reject(failure);
      const verdict = verdicts[index];
      if (verdict?.kind === 'verified' && verdict.attempt !== null) return job.reject(new UnknownCommit(verdict, verdict.attempt, failure));
      job.reject(new TollgateError('SERVICE_UNAVAILABLE', undefined, {}, { cause: failure }));
      if (verdict?.kind === 'admitted') this.cancel(verdict.hold, job.item.call.arrivedAt);
    });
  }

  /** Voids a hold of a call that was answered with 503 and never ran. If that fails, the sweep ends the hold when it expires. */
  cancel(hold: HoldRow, arrivedAt: number, mayBeSingle = false): void {
    const ending = {
      kind: 'voided',
      outcome: 'REFUSED',
      errorCode: 'SERVICE_UNAVAILABLE',
      httpStatus: 503,
      actionMs: null,
      arrivedAt,
    } as const;
    const deadline = this.deps.time.now() + hold.expiresAt - hold.startedAt;
    const settlement = { kind: 'settlement', hold, ending, mayBeSingle } as const;
    this.settle(settlement, deadline).catch((error: unknown) => this.deps.onFailure(error, 'cancel'));
  }

  /**
   * Returns a fraction from 0 to 1, so that nodes that failed together do not retry together. It is the clock's digits below a microsecond.
   */
  private jitter(): number {
    return (this.deps.time.now() * 1000) % 1;
  }

  /**
   * Looks for the item that makes the tick fail: runs both halves as ticks, one after the other, down to a single item.
   *
   * Invariant: the failed tick committed nothing, so every item can be judged again, and only items that fail alone are refused.
   * If the database becomes unavailable meanwhile, the remaining halves are given up as after any outage.
   */
  private async halve(jobs: Job[], waits: boolean, failure: TickFailure): Promise<void> {
    const [only] = jobs;
    if (only && jobs.length === 1) {
      this.refuseForGood(only, failure);
      return;
    }
    const middle = Math.ceil(jobs.length / 2);
    for (const half of [jobs.slice(0, middle), jobs.slice(middle)]) for (const answer of await this.run(half, waits)) answer();
  }

  /** Ends a job that the database refuses even alone. An admission or a count rejects with INTERNAL; a success is voided instead. */
  private refuseForGood(job: Job, failure: TickFailure): void {
    const internal = new TollgateError('INTERNAL', undefined, {}, { cause: failure });
    const { item } = job;
    if (item.kind !== 'settlement') job.reject(internal);
    else if (item.ending.kind === 'posted') this.voidInstead(job, item, item.ending, internal);
    else job.reject(failure); // the hold may still be open or not, so `settle` tries again
  }

  /** Queues the job of a success again as a FAILED settlement, which is not billed. It rejects with `internal` once that has committed. */
  private voidInstead(job: Job, settlement: Settlement, { actionMs, arrivedAt }: PostedEnding, internal: TollgateError): void {
    const ending = { kind: 'voided', outcome: 'FAILED', errorCode: 'INTERNAL', httpStatus: 500, actionMs, arrivedAt } as const;
    const { kept: _kept, ...closing } = settlement; // a repeat of the request must not get the answer of a success
    job.item = { ...closing, ending };
    const { resolve } = job;
    // An earlier try may have committed although its answer was lost. The hold is closed then, and the call stays a success.
    job.resolve = (verdict) => (verdict.kind === 'settled' && verdict.outcome === 'SUCCEEDED' ? resolve(verdict) : job.reject(internal));
    this.laneOf(settlement.hold.projectId).push(job);
  }
}

type PostedEnding = Extract<Ending, { kind: 'posted' }>;

/**
 * Returns the verdict if it tells the outcome of a settlement, or undefined if only another try can tell it. Throws INTERNAL if an earlier
 * try of a success was refused permanently and then voided, and the answer to the void was lost.
 */
function knownOutcome({ ending, kept }: Settlement, verdict: Verdict): Verdict | undefined {
  if (kept) return verdict.kind === 'gone' ? undefined : verdict; // its client learns which request has closed the hold
  if (ending.kind !== 'posted') return verdict;
  if (verdict.kind === 'settled' && verdict.outcome === 'FAILED') {
    const cause = new Error('An earlier try was refused permanently, and its void has committed.');
    throw new TollgateError('INTERNAL', undefined, {}, { cause });
  }
  // `gone`: the hold is closed, but the read was too early to see its log row
  return verdict.kind === 'gone' ? undefined : verdict;
}

/** Returns the jobs that have not waited ADMISSION_WAIT_MS. Rejects the others with SERVICE_UNAVAILABLE. */
export function inTime<T extends Pick<Job, 'reject'>>(time: Time, waiting: T[], waitsSince: (job: T) => number): T[] {
  const late = time.now() - ADMISSION_WAIT_MS;
  return waiting.filter((job) => {
    const isLate = waitsSince(job) <= late;
    if (isLate) job.reject(new TollgateError('SERVICE_UNAVAILABLE'));
    return !isLate;
  });
}

/** The rows that a tick with these items must lock and read. */
function needsOf(items: TickItem[]): TickNeeds {
  const projectIds = new Set<string>();
  const credentials = new Map<string, CredentialRef>();
  const actions = new Map<string, ActionName>();
  const claims: TickNeeds['claims'] = [];
  const routes = new Set<string>();
  const attempts: string[] = [];
  const singleHolds: string[] = [];
  for (const item of items) {
    if (item.kind === 'count') continue;
    if (item.kind === 'settlement' || item.kind === 'renewal') {
      const { hold } = item;
      projectIds.add(hold.projectId);
      attempts.push(hold.attempt);
      if (item.kind === 'renewal' || item.mayBeSingle) singleHolds.push(hold.attempt);
      if (hold.claimed) claims.push(hold);
      if (item.kind === 'settlement' && item.kept) claims.push(settlementClaim(hold.attempt));
    } else {
      const { call, credentialId, projectId } = item;
      if (projectId !== null) projectIds.add(projectId);
      credentials.set(credentialKey(call), call);
      if (call.verification?.asker) credentials.set(credentialKey(call.verification.asker.ref), call.verification.asker.ref);
      if (call.verification?.mode !== 'credential') actions.set(actionKey(call), call);
      if (call.route) routes.add(call.route.id);
      if (call.fingerprint !== null) claims.push({ credentialId, requestId: call.requestId });
    }
  }
  return {
    projectIds: [...projectIds],
    credentials: [...credentials.values()],
    actions: [...actions.values()],
    routes: [...routes],
    claims,
    attempts,
    singleHolds,
  };
}
