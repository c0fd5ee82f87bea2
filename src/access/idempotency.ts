import { randomUUID } from 'node:crypto';
import { IsNull, type EntityManager } from 'typeorm';
import type { Claim, EventDraft } from '../audit/record-event';
import { forUpdate, type Database } from '../db/database';
import { isDuplicate } from '../db/failures';
import { TollgateError, conflict } from '../errors';
import { DAY_MS, later } from '../lib/time';
import { IdempotencyKey } from './idempotency-key.entity';
import type { AdministrativePermission } from './permissions';
import { heldIn, may } from './policies';
import type { Principal } from './principal';

/** How long the answer of a mutation is kept for repeats. */
export const MUTATION_KEPT_MS = DAY_MS;
/** How long a mutation keeps its repeats away; then its process is taken to be dead, and a repeat takes its place. */
export const MUTATION_LEASE_MS = 30_000;
/** The largest answer of a mutation that is kept, in bytes. */
const MAX_KEPT_MUTATION_BYTES = 65_536;

type Name = Pick<IdempotencyKey, 'principalId' | 'idempotencyKey'>;

/** The right of one request to run its mutation, until the lease is over and a repeat has taken it. */
export class MutationClaim implements Claim {
  /** Where the mutation acts, as far as is known. */
  workspaceId: string | null = null;

  constructor(
    readonly principal: Principal,
    readonly name: Name,
    readonly attempt: string,
  ) {}

  async useUp(tx: EntityManager, { subject, at }: Pick<EventDraft, 'subject' | 'at'>): Promise<void> {
    this.workspaceId ??= subject.workspaceId;
    const { affected } = await tx.update(IdempotencyKey, { ...this.name, attempt: this.attempt }, { doneAt: at, subjectId: subject.id });
    if (affected !== 1) throw conflict('This took so long that a repeat has taken its place; nothing was done here.');
  }
}

/** What a request with an Idempotency-Key comes to: it runs, or it is answered what the first one was. */
export type Taken = { kind: 'run'; claim: MutationClaim } | { kind: 'replay'; answer: string };

export interface IdempotencyDeps {
  database: Database;
  digest(text: string): string;
}

/**
 * Mutations that are safe to repeat. A key is taken before its mutation runs, and used up in the transaction of the change itself: so of any
 * number of requests with one key, on any number of processes, one changes something, whichever of them dies when.
 */
export class Idempotency {
  constructor(private readonly deps: IdempotencyDeps) {}

  /**
   * Takes a principal's key for a request. CONFLICT, with a `reason`, where the key belongs to another request (KEY_REUSED), where the first
   * one still runs (IN_PROGRESS), and where it was done and its answer cannot be shown (DONE).
   */
  async take(principal: Principal, idempotencyKey: string, request: string): Promise<Taken> {
    const once = () => this.takeOnce(principal, { principalId: principal.id, idempotencyKey }, this.deps.digest(request));
    try {
      return await once();
    } catch (error) {
      if (isDuplicate(error)) return once(); // another request with this key was there first
      throw error;
    }
  }

  private takeOnce(principal: Principal, name: Name, fingerprint: string): Promise<Taken> {
    return this.deps.database.transaction(async (tx): Promise<Taken> => {
      const found = await tx.findOne(IdempotencyKey, { where: name, ...forUpdate(tx) });
      const at = await this.deps.database.now(tx);
      const attempt = randomUUID();
      const taken = { fingerprint, attempt, leasedUntil: later(at, MUTATION_LEASE_MS), expiresAt: later(at, MUTATION_KEPT_MS) };
      const untouched = { doneAt: null, subjectId: null, workspaceId: null, held: null, answer: null };
      const run: Taken = { kind: 'run', claim: new MutationClaim(principal, name, attempt) };
      if (!found) {
        await tx.insert(IdempotencyKey, { ...name, ...taken, ...untouched });
        return run;
      }
      if (found.expiresAt > at) {
        const answer = answerFor(principal, found, fingerprint, at);
        if (answer !== undefined) return { kind: 'replay', answer };
      }
      await tx.update(IdempotencyKey, name, { ...taken, ...untouched });
      return run;
    });
  }

  /**
   * Keeps what was answered, without secrets, for the repeats of a mutation that was done. Where it failed, `answer` is undefined, and the key
   * is as free as before unless something was done all the same.
   */
  async settle({ principal, name, attempt, workspaceId }: MutationClaim, answer: string | undefined): Promise<void> {
    const mine = { ...name, attempt };
    await this.deps.database.transaction(async (tx) => {
      if (answer === undefined) await tx.delete(IdempotencyKey, { ...mine, doneAt: IsNull() });
      const at = await this.deps.database.now(tx);
      const kept = answer !== undefined && Buffer.byteLength(answer) <= MAX_KEPT_MUTATION_BYTES ? answer : null;
      await tx.update(IdempotencyKey, mine, {
        ...(answer !== undefined && { doneAt: () => `COALESCE(done_at, ${at.getTime()})` }), // it may have changed nothing
        leasedUntil: at,
        answer: kept,
        workspaceId,
        held: workspaceId === null ? null : heldIn(principal, workspaceId),
      });
    });
  }
}

/** What the first request was answered; undefined where that died before it did anything. CONFLICT where there is nothing to answer. */
function answerFor(principal: Principal, found: IdempotencyKey, fingerprint: string, at: Date): string | undefined {
  const { doneAt, subjectId, answer, workspaceId, leasedUntil } = found;
  if (found.fingerprint !== fingerprint) throw refused('KEY_REUSED', 'This Idempotency-Key belongs to another request.');
  const held = (found.held ?? []) as AdministrativePermission[];
  const shown = answer !== null && (workspaceId === null || held.every((permission) => may(principal, permission, workspaceId)));
  if (shown) return answer;
  const isLeased = leasedUntil > at && leasedUntil <= later(at, MUTATION_LEASE_MS); // a longer one is of a clock that was ahead
  if (isLeased) throw refused('IN_PROGRESS', 'A request with this Idempotency-Key is still running; ask again later.');
  if (doneAt === null) return undefined;
  const why = answer === null ? 'its answer is not kept' : 'you may no longer see its answer';
  throw refused('DONE', `This was done before, and ${why}.`, subjectId === null ? {} : { subjectId });
}

const refused = (reason: string, message: string, details: Record<string, unknown> = {}): TollgateError => new TollgateError('CONFLICT', message, { reason, ...details });
