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

/** Time for which a mutation's answer is kept for repeats. */
export const MUTATION_KEPT_MS = DAY_MS;
/** Lease of a running mutation. Repeats are refused during it. After it, the process counts as dead and a repeat runs. */
export const MUTATION_LEASE_MS = 30_000;
/** Size of the largest answer that is kept, in bytes. */
const MAX_KEPT_MUTATION_BYTES = 65_536;

type Name = Pick<IdempotencyKey, 'principalId' | 'idempotencyKey'>;

/** The right of one request to run its mutation. It ends when a repeat takes over after the lease. */
export class MutationClaim implements Claim {
  /** The workspace that the mutation changes; null until it is known. */
  workspaceId: string | null = null;

  constructor(
    readonly principal: Principal,
    readonly name: Name,
    readonly attempt: string,
  ) {}

  async useUp(tx: EntityManager, { subject, at }: Pick<EventDraft, 'subject' | 'at'>): Promise<void> {
    this.workspaceId ??= subject.workspaceId;
    const { affected } = await tx.update(IdempotencyKey, { ...this.name, attempt: this.attempt }, { doneAt: at, subjectId: subject.id });
    if (affected !== 1) throw conflict('This request took too long and changed nothing. A repeat replaced it: read its result.');
  }
}

/** The decision for a request with an Idempotency-Key: run the mutation, or send the answer of the first request again. */
export type Taken = { kind: 'run'; claim: MutationClaim } | { kind: 'replay'; answer: string };

export interface IdempotencyDeps {
  database: Database;
  digest(text: string): string;
}

/**
 * Makes mutations safe to repeat. A key is claimed before its mutation runs, and marked as used in the transaction of the change. So only
 * one of the requests with a key makes a change, on any number of processes, even if a process dies.
 */
export class Idempotency {
  constructor(private readonly deps: IdempotencyDeps) {}

  /**
   * Claims a principal's key for a request. Throws CONFLICT with a `reason`: KEY_REUSED if the key belongs to another request, IN_PROGRESS
   * if the first request still runs, DONE if the change was made and its answer cannot be shown.
   */
  async take(principal: Principal, idempotencyKey: string, request: string): Promise<Taken> {
    const once = () => this.takeOnce(principal, { principalId: principal.id, idempotencyKey }, this.deps.digest(request));
    try {
      return await once();
    } catch (error) {
      if (isDuplicate(error)) return once(); // another request with this key inserted it first
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
   * Keeps the answer of a mutation for its repeats. The answer must hold no secrets. For a failed mutation, pass undefined: the key becomes
   * free again, unless the mutation made a change before it failed.
   */
  async settle({ principal, name, attempt, workspaceId }: MutationClaim, answer: string | undefined): Promise<void> {
    const mine = { ...name, attempt };
    await this.deps.database.transaction(async (tx) => {
      if (answer === undefined) await tx.delete(IdempotencyKey, { ...mine, doneAt: IsNull() });
      const at = await this.deps.database.now(tx);
      const kept = answer !== undefined && Buffer.byteLength(answer) <= MAX_KEPT_MUTATION_BYTES ? answer : null;
      await tx.update(IdempotencyKey, mine, {
        // done_at is still null if the mutation changed nothing
        ...(answer !== undefined && { doneAt: () => `COALESCE(done_at, ${at.getTime()})` }),
        leasedUntil: at,
        answer: kept,
        workspaceId,
        held: workspaceId === null ? null : heldIn(principal, workspaceId),
      });
    });
  }
}

/** The answer of the first request, or undefined if its process died before it made a change. Throws CONFLICT if no answer can be shown. */
function answerFor(principal: Principal, found: IdempotencyKey, fingerprint: string, at: Date): string | undefined {
  const { doneAt, subjectId, answer, workspaceId, leasedUntil } = found;
  if (found.fingerprint !== fingerprint) throw refused('KEY_REUSED', 'This Idempotency-Key belongs to another request. Use a new key.');
  const held = (found.held ?? []) as AdministrativePermission[];
  const shown = answer !== null && (workspaceId === null || held.every((permission) => may(principal, permission, workspaceId)));
  if (shown) return answer;
  const isLeased = leasedUntil > at && leasedUntil <= later(at, MUTATION_LEASE_MS); // a clock that was ahead wrote a longer lease
  if (isLeased) throw refused('IN_PROGRESS', 'A request with this Idempotency-Key is still running. Try again later.');
  if (doneAt === null) return undefined;
  const why = answer === null ? 'its answer was not kept' : 'you no longer have the permissions to see its answer';
  throw refused('DONE', `This request was already done, but ${why}. Read the object instead.`, subjectId === null ? {} : { subjectId });
}

const refused = (reason: string, message: string, details: Record<string, unknown> = {}): TollgateError =>
  new TollgateError('CONFLICT', message, { reason, ...details });
