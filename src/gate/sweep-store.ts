import { LessThanOrEqual, MoreThan } from 'typeorm';
import { MAX_TIMEOUT_MS } from '../actions/action.service';
import type { Database } from '../db/database';
import { HOLD_MARGIN_MS, MAX_SINGLE_HOLD_SECONDS } from './decide';
import { Claim, SingleHold, TickHolds } from './gate.entities';
import type { ClaimName, HoldRow } from './tick/rows';
import { openHoldsOf, singleHoldOf } from './tick/tick-reads';

/** Ticks read at a time. A tick has at most a few hundred holds. */
const TICKS_AT_A_TIME = 20;
const SINGLE_HOLDS_AT_A_TIME = 500;
/** The longest life of a hold. If a hold expires later than this from now, it was made while the clock was ahead. */
const MAX_HOLD_MS = MAX_TIMEOUT_MS + HOLD_MARGIN_MS;

/** The longest time from the present to the expiry of a hold with a row of its own. */
const MAX_SINGLE_HOLD_MS = MAX_SINGLE_HOLD_SECONDS * 1_000;

/** The queries of the sweep. */
export interface SweepStore {
  /** Milliseconds since 1970, by the clock that all decisions use. */
  now(): Promise<number>;
  /**
   * Finds open holds that had expired by `now` or that are dated too far in the future, with a read that takes no locks.
   * Reads the next ticks after the id `after`. `last` is the id of the last tick read, or undefined if there are no more.
   */
  findExpiredHolds(now: number, after: string): Promise<{ holds: HoldRow[]; last: string | undefined }>;
  /** Does the same for holds with rows of their own. */
  findExpiredSingleHolds(now: number, after: string): Promise<{ holds: HoldRow[]; last: string | undefined }>;
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

  async findExpiredSingleHolds(now: number, after: string): Promise<{ holds: HoldRow[]; last: string | undefined }> {
    const id = MoreThan(after);
    const where = [{ expiresAt: LessThanOrEqual(now), id }, { expiresAt: MoreThan(now + MAX_SINGLE_HOLD_MS), id }];
    const rows = await this.database.reader.find(SingleHold, { where, order: { id: 'ASC' }, take: SINGLE_HOLDS_AT_A_TIME });
    return { holds: rows.map(singleHoldOf).filter((hold) => hold.expiresAt <= now || hold.startedAt > now), last: rows.at(-1)?.id };
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
