import { isOutage, isRetryable } from '../db/failures';
import { TollgateError } from '../errors';
import { newId } from '../lib/id';
import type { Time } from '../lib/time';
import { credentialKey, type CredentialRef } from './call';
import { decide, projectOf, type Admission, type Count, type DecideOptions, type Settlement, type TickItem, type Verdict } from './decide';
import { Lane } from './lane';
import type { HoldRow } from './rows';
import { TickFailure, actionKey, type ActionName, type TickNeeds, type TickStore } from './tick-store';

/** Calls, settlements and counts in one tick. `tick_holds.marks` has a place for each. */
export const MAX_TICK_ITEMS = 500;
/** How long a call waits to be judged before it is told 503. */
export const ADMISSION_WAIT_MS = 5_000;
/** How often a tick is run again after a deadlock or a lock that took too long. */
const TICK_TRIES = 6;
/** A project that was locked elsewhere this often waits for its lock in a lane of its own. */
const SKIPS_BEFORE_WAITING = 2;
/** Projects that wait for their locks at once; the main lane keeps the other connections. */
const MAX_WAITING_TICKS = 6;
/** Between two tries of a settlement whose outcome is not known. */
const SETTLE_RETRY_MS = { first: 25, most: 1_000 };

// What an item adds to a tick's SQL beyond its answer: a hold, a log row, an entry and a claim, generously.
const ITEM_BYTES = 4_096;

export interface TickerDeps {
  store: TickStore;
  time: Time;
  decide: Omit<DecideOptions, 'tick' | 'monotonicMs'>;
  /** Told of failures, for the log. */
  onFailure(error: unknown, what: string): void;
}

interface Job {
  item: TickItem;
  bytes: number;
  skips: number;
  resolve(verdict: Verdict): void;
  reject(error: unknown): void;
}

/** Collects what the gate has to decide and runs it through the database in ticks. */
export class Ticker {
  private readonly main: Lane<Job>;
  private readonly waiting = new Map<string, Lane<Job>>();
  private waitingTicks = 0;
  private readonly waitingTurns: (() => void)[] = [];

  constructor(private readonly deps: TickerDeps) {
    this.main = this.lane(false);
  }

  /**
   * Judges a call. Rejects with SERVICE_UNAVAILABLE where the database cannot say; then nothing was admitted. `locked` where it needs the
   * lock of another project than it names.
   */
  judge(admission: Admission): Promise<Verdict> {
    return this.submit(admission, 0);
  }

  /**
   * Settles a hold, asking again for as long as the outcome is unknown and `deadline` (by the same clock) has not passed.
   * Rejects with OUTCOME_UNKNOWN after that, with INTERNAL where the database refuses this one for good; then it was voided.
   */
  async settle(settlement: Settlement, deadline: number, answerBytes = 0): Promise<Verdict> {
    for (let retryMs = SETTLE_RETRY_MS.first; ; retryMs = Math.min(retryMs * 2, SETTLE_RETRY_MS.most)) {
      try {
        const verdict = await this.submit(settlement, answerBytes);
        // An earlier try was refused for good, and its void committed although its answer was lost
        if (settlement.ending.kind === 'posted' && verdict.kind === 'settled' && verdict.outcome === 'FAILED') throw new TollgateError('INTERNAL', undefined, {}, { cause: new Error('An earlier try was refused for good, and its void has committed.') });
        if (verdict.kind !== 'gone' || settlement.ending.kind !== 'posted') return verdict;
        // Its hold is gone and its log row is not there: only a read that came too early can see that
      } catch (error) {
        if (!(error instanceof TickFailure)) throw error;
      }
      if (this.deps.time.now() + retryMs > deadline) throw new TollgateError('OUTCOME_UNKNOWN');
      await this.deps.time.wait(retryMs * (0.5 + this.jitter()));
    }
  }

  /** Adds refusals that were answered from memory to the counts. */
  count(count: Count): Promise<Verdict> {
    return this.submit(count, 0);
  }

  private submit(item: TickItem, answerBytes: number): Promise<Verdict> {
    return new Promise((resolve, reject) => {
      const job: Job = { item, bytes: ITEM_BYTES + 2 * answerBytes, skips: 0, resolve, reject };
      this.laneOf(projectOf(item)).push(job);
    });
  }

  private laneOf(projectId: string | undefined): Lane<Job> {
    return (projectId !== undefined && this.waiting.get(projectId)) || this.main;
  }

  private lane(waits: boolean, onIdle?: () => void): Lane<Job> {
    const { maxBytes } = this.deps.store;
    const options = { maxItems: MAX_TICK_ITEMS, maxBytes, bytesOf: (job: Job) => job.bytes, ...(onIdle ? { onIdle } : {}) };
    return new Lane(this.deps.time, options, (jobs) => (waits ? this.inTurn(() => this.run(jobs, waits)) : this.run(this.withoutWaiting(jobs), waits)));
  }

  private stillInTime(jobs: Job[]): Job[] {
    return inTime(this.deps.time, jobs, ({ item }) => (item.kind === 'admission' ? item.call.waitsSince : Infinity));
  }

  /** Hands the jobs of projects that wait for their lock to their lanes, and keeps the others. */
  private withoutWaiting(jobs: Job[]): Job[] {
    if (this.waiting.size === 0) return jobs;
    return jobs.filter((job) => {
      const lane = this.laneOf(projectOf(job.item));
      if (lane !== this.main) lane.push(job);
      return lane === this.main;
    });
  }

  /** Runs a tick, and gives what answers those of its jobs that have not been answered yet. */
  private async run(batch: Job[], waits: boolean): Promise<(() => void)[]> {
    for (let tries = 1; ; tries += 1) {
      const jobs = this.stillInTime(batch);
      if (jobs.length === 0) return [];
      const items = jobs.map(({ item }) => item);
      const tick = newId('log'); // made before the database tells its time, which is then no earlier
      let verdicts: Verdict[] = [];
      try {
        await this.deps.store.transact(
          needsOf(items),
          { waits },
          (state) => {
            const decided = decide(items, state, { ...this.deps.decide, tick, monotonicMs: this.deps.time.now() });
            verdicts = decided.verdicts;
            return decided.writes;
          },
        );
        return jobs.flatMap((job, index) => this.answer(job, verdicts[index] as Verdict));
      } catch (error) {
        const failure = error instanceof TickFailure ? error : new TickFailure(false, error);
        if (failure.mayHaveCommitted) {
          this.deps.onFailure(failure, 'commit without an answer');
          this.giveUp(jobs, verdicts, failure);
          return [];
        }
        if (isRetryable(failure.cause) && tries < TICK_TRIES) {
          await this.deps.time.wait(5 * 2 ** tries * this.jitter());
          continue;
        }
        this.deps.onFailure(failure, 'tick');
        if (isOutage(failure.cause)) {
          this.giveUp(jobs, [], failure);
          return [];
        }
        await this.halve(jobs, waits, failure);
        return [];
      }
    }
  }

  /** Actions start at once, and what was locked is queued again at once; gives what answers a caller, for that takes longer. */
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

  private waitingLane(projectId: string): Lane<Job> {
    const lane = this.waiting.get(projectId) ?? this.lane(true, () => this.waiting.delete(projectId));
    this.waiting.set(projectId, lane);
    return lane;
  }

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

  /** No call of this tick starts; holds that may be there all the same are taken away again. Settlements are for their callers to repeat. */
  private giveUp(jobs: Job[], verdicts: Verdict[], failure: TickFailure): void {
    jobs.forEach((job, index) => {
      if (job.item.kind !== 'admission') return job.reject(failure);
      job.reject(new TollgateError('SERVICE_UNAVAILABLE', undefined, {}, { cause: failure }));
      const verdict = verdicts[index];
      if (verdict?.kind === 'admitted') this.cancel(verdict.hold, job.item.call.arrivedAt);
    });
  }

  /** Voids a hold whose call was told 503 and never ran. What this does not reach, the sweep does. */
  cancel(hold: HoldRow, arrivedAt: number): void {
    const ending = { kind: 'voided', outcome: 'REFUSED', errorCode: 'SERVICE_UNAVAILABLE', httpStatus: 503, actionMs: null, arrivedAt } as const;
    const deadline = this.deps.time.now() + hold.expiresAt - hold.startedAt;
    this.settle({ kind: 'settlement', hold, ending }, deadline).catch((error: unknown) => this.deps.onFailure(error, 'cancel'));
  }

  /** From 0 to 1. Not a secret: it only keeps nodes from trying in step. */
  private jitter(): number {
    return (this.deps.time.now() * 1000) % 1;
  }

  /** One item makes the tick fail, and only that one is to fail: each half is tried by itself. */
  private async halve(jobs: Job[], waits: boolean, failure: TickFailure): Promise<void> {
    const [only] = jobs;
    if (jobs.length > 1 || !only) {
      const middle = Math.ceil(jobs.length / 2);
      for (const half of [jobs.slice(0, middle), jobs.slice(middle)]) for (const answer of await this.run(half, waits)) answer();
      return;
    }
    const internal = new TollgateError('INTERNAL', undefined, {}, { cause: failure });
    const { item } = only;
    if (item.kind === 'settlement' && item.ending.kind === 'posted') {
      const { actionMs, arrivedAt } = item.ending;
      only.item = { ...item, ending: { kind: 'voided', outcome: 'FAILED', errorCode: 'INTERNAL', httpStatus: 500, actionMs, arrivedAt } };
      const { resolve } = only;
      // A try before this one may have committed although its answer was lost: then there is nothing to void, and it stays a success
      only.resolve = (verdict) => (verdict.kind === 'settled' && verdict.outcome === 'SUCCEEDED' ? resolve(verdict) : only.reject(internal));
      this.laneOf(item.hold.projectId).push(only);
    } else {
      // What became of a hold is not known while its end could not be written: whoever settles it asks again
      only.reject(item.kind === 'settlement' ? failure : internal);
    }
  }
}

/** Those that have not waited too long; the others are told so, and not judged. */
export function inTime<T extends Pick<Job, 'reject'>>(time: Time, waiting: T[], waitsSince: (one: T) => number): T[] {
  const late = time.now() - ADMISSION_WAIT_MS;
  return waiting.filter((one) => {
    const isLate = waitsSince(one) <= late;
    if (isLate) one.reject(new TollgateError('SERVICE_UNAVAILABLE'));
    return !isLate;
  });
}

function needsOf(items: TickItem[]): TickNeeds {
  const projectIds = new Set<string>();
  const credentials = new Map<string, CredentialRef>();
  const actions = new Map<string, ActionName>();
  const claims: TickNeeds['claims'] = [];
  const attempts: string[] = [];
  for (const item of items) {
    if (item.kind === 'count') continue;
    if (item.kind === 'settlement') {
      const { hold } = item;
      projectIds.add(hold.projectId);
      attempts.push(hold.attempt);
      if (hold.claimed) claims.push(hold);
    } else {
      const { call, credentialId, projectId } = item;
      if (projectId !== null) projectIds.add(projectId);
      credentials.set(credentialKey(call), call);
      actions.set(actionKey(call), call);
      if (call.fingerprint !== null) claims.push({ credentialId, requestId: call.requestId });
    }
  }
  return { projectIds: [...projectIds], credentials: [...credentials.values()], actions: [...actions.values()], claims, attempts };
}
