import { LessThanOrEqual, MoreThan } from 'typeorm';
import { MAX_TIMEOUT_MS } from '../actions/action.service';
import type { Database } from '../db/database';
import { HOLD_MARGIN_MS } from './decide';
import { Claim, TickHolds } from './gate.entities';
import type { ClaimName, HoldRow } from './rows';
import { openHoldsOf } from './tick-reads';

/** Ticks whose holds are looked at together; one has at most a few hundred. */
const TICKS_AT_A_TIME = 20;
/** A hold that expires later than this from now was made by a clock that was ahead. */
const MAX_HOLD_MS = MAX_TIMEOUT_MS + HOLD_MARGIN_MS;

/** What the sweep asks of the database. */
export interface SweepStore {
  /** Milliseconds since 1970 by the clock that decides. */
  now(): Promise<number>;
  /** Open holds that had expired by `now`, or that a clock dated too far ahead, by a plain read: those of the next ticks after `after`, and the last of these; none where there are no more. */
  findExpiredHolds(now: number, after: string): Promise<{ holds: HoldRow[]; last: string | undefined }>;
  /** Claims whose answers need not be kept any more at `now`, by a plain read. */
  findOldClaims(now: number, limit: number): Promise<ClaimName[]>;
  /** Removes those that still name the same attempt. */
  forgetClaims(claims: ClaimName[]): Promise<void>;
}

/** The same on MySQL, MariaDB and SQLite. */
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

  /** One by one: a range delete would lock what is beside it. */
  async forgetClaims(claims: ClaimName[]): Promise<void> {
    await this.database.transaction(async (tx) => {
      for (const { credentialId, requestId, attempt } of claims) await tx.delete(Claim, { credentialId, requestId, attempt });
    });
  }
}
