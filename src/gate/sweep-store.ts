import { LessThanOrEqual, MoreThan } from 'typeorm';
import { MAX_TIMEOUT_MS } from '../actions/action.service';
import type { Database } from '../db/database';
import { HOLD_MARGIN_MS } from './decide';
import { Claim, TickHolds } from './gate.entities';
import type { ClaimName, HoldRow } from './tick/rows';
import { openHoldsOf } from './tick/tick-reads';

/** Ticks read at a time. A tick has at most a few hundred holds. */
const TICKS_AT_A_TIME = 20;
/** The longest life of a hold. If a hold expires later than this from now, it was made while the clock was ahead. */
const MAX_HOLD_MS = MAX_TIMEOUT_MS + HOLD_MARGIN_MS;

/** The queries of the sweep. */
export interface SweepStore {
  /** Milliseconds since 1970, by the clock that all decisions use. */
  now(): Promise<number>;
  /**
   * Finds open holds that had expired by `now` or that are dated too far in the future, with a read that takes no locks.
   * Reads the next ticks after the id `after`. `last` is the id of the last tick read, or undefined if there are no more.
   */
  findExpiredHolds(now: number, after: string): Promise<{ holds: HoldRow[]; last: string | undefined }>;
  /** Finds claims with answers that need not be kept any longer at `now`, with a read that takes no locks. */
  findOldClaims(now: number, limit: number): Promise<ClaimName[]>;
  /** Deletes the claims that still name the same attempt. */
  forgetClaims(claims: ClaimName[]): Promise<void>;
}

/** The sweep's queries for MySQL, MariaDB and SQLite. */
export class DatabaseSweepStore implements SweepStore {
  constructor(private readonly database: Database) {}

  async now(): Promise<number> {
    return (await this.database.now()).getTime();
  }

  async findExpiredHolds(now: number, after: string): Promise<{ holds: HoldRow[]; last: string | undefined }> {
    const id = MoreThan(after);
    const where = [{ expiresAt: LessThanOrEqual(now), id }, { expiresAt: MoreThan(now + MAX_HOLD_MS), id }];
    const ticks = await this.database.reader.find(TickHolds, { where, order: { id: 'ASC' }, take: TICKS_AT_A_TIME });
    return { holds: ticks.flatMap(openHoldsOf).filter((hold) => hold.expiresAt <= now || hold.startedAt > now), last: ticks.at(-1)?.id };
  }

  findOldClaims(now: number, limit: number): Promise<ClaimName[]> {
    return this.database.reader.find(Claim, {
      select: { credentialId: true, requestId: true, attempt: true },
      where: { expiresAt: LessThanOrEqual(now), state: 'DONE' },
      order: { expiresAt: 'ASC' },
      take: limit,
    });
  }

  /** Deletes one by one, because a range delete would lock neighbouring rows too. */
  async forgetClaims(claims: ClaimName[]): Promise<void> {
    await this.database.transaction(async (tx) => {
      for (const { credentialId, requestId, attempt } of claims) await tx.delete(Claim, { credentialId, requestId, attempt });
    });
  }
}
