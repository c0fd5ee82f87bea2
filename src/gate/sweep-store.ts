import { LessThanOrEqual, MoreThan } from 'typeorm';
import type { Database } from '../db/database';
import { Claim, Hold } from './gate.entities';
import type { ClaimRow, HoldRow } from './rows';

export type ClaimName = Pick<ClaimRow, 'credentialId' | 'requestId' | 'attempt'>;

/** What the sweep asks of the database. */
export interface SweepStore {
  /** Milliseconds since 1970 by the clock that decides. */
  now(): Promise<number>;
  /** Holds that had expired by `now`, by a plain read, in the order of their attempts and beyond `after`. */
  findExpiredHolds(now: number, after: string, limit: number): Promise<HoldRow[]>;
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

  async findExpiredHolds(now: number, after: string, limit: number): Promise<HoldRow[]> {
    const where = { expiresAt: LessThanOrEqual(now), attempt: MoreThan(after) };
    const holds = await this.database.reader.find(Hold, { where, order: { attempt: 'ASC' }, take: limit });
    return holds.map((hold) => ({ ...hold }));
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
