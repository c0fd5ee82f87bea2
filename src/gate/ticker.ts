import { isRetryable, isUnavailable } from '../db/failures';
import { TollgateError } from '../errors';
import type { Time } from '../lib/time';
import type { Call, Facts } from './call';
import { decide, projectOf, type Count, type DecideOptions, type Settlement, type TickItem, type Verdict } from './decide';
import { Lane } from './lane';
import type { HoldRow } from './rows';
import { TickFailure, actionKey, type TickNeeds, type TickStore } from './tick-store';

/** Calls, settlements and counts in one tick. */
const MAX_TICK_ITEMS = 500;
/** How long a call waits to be judged before it is told 503. */
const ADMISSION_WAIT_MS = 5_000;
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
  decide: Omit<DecideOptions, 'monotonicMs'>;
  /** Takes a place among a project's calls in flight; false where it has as many as it may. */
  reserve(call: Call, projectId: string): boolean;
  /** Told of failures, for the log. */
  onFailure(error: unknown, what: string): void;
}

interface Job {
  /** A call to be judged; its facts are read with its tick. */
  call?: Call;
  item?: TickItem;
  bytes: number;
  skips: number;
  resolve(verdict: Verdict): void;
  reject(error: unknown): void;
}

interface Prepared {
  jobs: Job[];
  items: TickItem[];
}

/** Collects what the gate has to decide and runs it through the database in ticks. */
export class Ticker {
  private readonly main: Lane<Job, Prepared>;
  private readonly waiting = new Map<string, Lane<Job, Prepared>>();
  private waitingTicks = 0;
  private readonly waitingTurns: (() => void)[] = [];

  constructor(private readonly deps: TickerDeps) {
    this.main = this.lane(false);
  }

  /** Judges a call. Rejects with SERVICE_UNAVAILABLE where the database cannot say; then nothing was admitted. */
  admit(call: Call): Promise<Verdict> {
    return new Promise((resolve, reject) => this.main.push({ call, bytes: ITEM_BYTES, skips: 0, resolve, reject }));
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
        if (settlement.ending.kind === 'posted' && verdict.kind === 'settled' && verdict.outcome === 'FAILED') throw new TollgateError('INTERNAL');
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

  private submit(item: Settlement | Count, answerBytes: number): Promise<Verdict> {
    return new Promise((resolve, reject) => {
      const job: Job = { item, bytes: ITEM_BYTES + 2 * answerBytes, skips: 0, resolve, reject };
      this.laneOf(projectOf(item)).push(job);
    });
  }

  private laneOf(projectId: string | undefined): Lane<Job, Prepared> {
    return (projectId !== undefined && this.waiting.get(projectId)) || this.main;
  }

  private lane(waits: boolean, onIdle?: () => void): Lane<Job, Prepared> {
    const bounds = { maxItems: MAX_TICK_ITEMS, maxBytes: this.deps.store.maxBytes, bytesOf: (job: Job) => job.bytes };
    return new Lane<Job, Prepared>(
      this.deps.time,
      bounds,
      (jobs) => this.prepare(jobs, waits),
      (prepared, onWriting) => (waits ? this.inTurn(() => this.run(prepared, waits, onWriting)) : this.run(prepared, waits, onWriting)),
      onIdle,
    );
  }

  /** Reads what there is to know of the calls, after the batch was sealed: whoever arrives later is not judged by this read. */
  private async prepare(jobs: Job[], waits: boolean): Promise<Prepared> {
    const asking = jobs.filter((job) => job.call && !job.item);
    const late = this.deps.time.now() - ADMISSION_WAIT_MS;
    const calls = asking.flatMap(({ call }) => (call && call.arrivedAt > late ? [call] : []));
    try {
      const digests = [...new Set(calls.map((call) => call.digest))];
      const actions = [...new Map(calls.map((call) => [actionKey(call), call])).values()];
      const found = calls.length > 0 ? await this.deps.store.lookUp(digests, actions) : undefined;
      for (const job of asking) {
        if (!job.call || !found || job.call.arrivedAt <= late) job.reject(new TollgateError('SERVICE_UNAVAILABLE'));
        else this.learn(job, job.call, { key: found.keys.get(job.call.digest), action: found.actions.get(actionKey(job.call)) });
      }
    } catch (error) {
      this.deps.onFailure(error, 'look-up');
      for (const job of asking) job.reject(new TollgateError('SERVICE_UNAVAILABLE', undefined, {}, { cause: error }));
    }
    const known = jobs.filter((job) => job.item !== undefined);
    return waits ? toPrepared(known) : toPrepared(this.withoutWaiting(known));
  }

  private learn(job: Job, call: Call, facts: Facts): void {
    const item: TickItem = { kind: 'admission', call, facts };
    const projectId = projectOf(item);
    if (!facts.key) {
      job.resolve({ kind: 'refused', refusal: { code: 'INVALID_API_KEY', details: {} }, key: undefined, rate: undefined });
    } else if (projectId !== undefined && !this.deps.reserve(call, projectId)) {
      job.reject(new TollgateError('SERVICE_UNAVAILABLE'));
    } else {
      job.item = item;
    }
  }

  /** Hands the jobs of projects that wait for their lock to their lanes, and keeps the others. */
  private withoutWaiting(jobs: Job[]): Job[] {
    return jobs.filter((job) => {
      const projectId = projectOf(job.item as TickItem);
      const lane = projectId === undefined ? undefined : this.waiting.get(projectId);
      lane?.push(job);
      return !lane;
    });
  }

  private async run({ jobs, items }: Prepared, waits: boolean, onWriting: () => void): Promise<void> {
    if (jobs.length === 0) return;
    for (let tries = 1; ; tries += 1) {
      let verdicts: Verdict[] = [];
      try {
        await this.deps.store.transact(
          needsOf(items),
          { waits },
          (state) => {
            const decided = decide(items, state, { ...this.deps.decide, monotonicMs: this.deps.time.now() });
            verdicts = decided.verdicts;
            return decided.writes;
          },
          onWriting,
        );
        this.answer(jobs, verdicts);
        return;
      } catch (error) {
        const failure = error instanceof TickFailure ? error : new TickFailure(false, error);
        if (failure.mayHaveCommitted) {
          this.deps.onFailure(failure, 'commit without an answer');
          this.giveUp(jobs, verdicts, failure);
          return;
        }
        if (isRetryable(failure.cause) && tries < TICK_TRIES) {
          await this.deps.time.wait(5 * 2 ** tries * this.jitter());
          continue;
        }
        this.deps.onFailure(failure, 'tick');
        if (isRetryable(failure.cause) || isUnavailable(failure.cause)) {
          this.giveUp(jobs, [], failure);
          return;
        }
        await this.halve(jobs, waits, failure);
        return;
      }
    }
  }

  private answer(jobs: Job[], verdicts: Verdict[]): void {
    jobs.forEach((job, index) => {
      const verdict = verdicts[index] as Verdict;
      if (verdict.kind !== 'locked') return job.resolve(verdict);
      job.skips += 1;
      if (job.skips >= SKIPS_BEFORE_WAITING) this.waitingLane(verdict.projectId).push(job);
      else this.main.push(job);
    });
  }

  private waitingLane(projectId: string): Lane<Job, Prepared> {
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
      if (job.item?.kind !== 'admission') return job.reject(failure);
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
      await this.run(toPrepared(jobs.slice(0, middle)), waits, () => undefined);
      await this.run(toPrepared(jobs.slice(middle)), waits, () => undefined);
      return;
    }
    const internal = new TollgateError('INTERNAL', undefined, {}, { cause: failure });
    const { item } = only;
    if (item?.kind === 'settlement' && item.ending.kind === 'posted') {
      const { actionMs, arrivedAt } = item.ending;
      only.item = { ...item, ending: { kind: 'voided', outcome: 'FAILED', errorCode: 'INTERNAL', httpStatus: 500, actionMs, arrivedAt } };
      const { resolve } = only;
      // A try before this one may have committed although its answer was lost: then there is nothing to void, and it stays a success
      only.resolve = (verdict) => (verdict.kind === 'settled' && verdict.outcome === 'SUCCEEDED' ? resolve(verdict) : only.reject(internal));
      this.laneOf(item.hold.projectId).push(only);
    } else {
      // What became of a hold is not known while its end could not be written: whoever settles it asks again
      only.reject(item?.kind === 'settlement' ? failure : internal);
    }
  }
}

function toPrepared(jobs: Job[]): Prepared {
  return { jobs, items: jobs.map((job) => job.item as TickItem) };
}

function needsOf(items: TickItem[]): TickNeeds {
  const projectIds = new Set<string>();
  const claims: TickNeeds['claims'] = [];
  const attempts: string[] = [];
  for (const item of items) {
    const projectId = projectOf(item);
    if (projectId === undefined) continue;
    projectIds.add(projectId);
    if (item.kind === 'settlement') {
      attempts.push(item.hold.attempt);
      if (item.hold.claimed) claims.push(item.hold);
    } else if (item.kind === 'admission' && item.call.fingerprint !== null && item.facts.key) {
      claims.push({ credentialId: item.facts.key.keyId, requestId: item.call.requestId });
    }
  }
  return { projectIds: [...projectIds], claims, attempts };
}
