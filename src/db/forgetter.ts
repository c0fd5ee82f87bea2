import { LessThanOrEqual, type EntityTarget, type FindOptionsOrder, type FindOptionsSelect, type FindOptionsWhere } from 'typeorm';
import type { Log } from '../lib/log';
import { Repeated } from '../lib/repeated';
import type { Database } from './database';

/** How often a process looks for expired rows. */
const FORGET_INTERVAL_MS = 60_000;
const FORGOTTEN_AT_A_TIME = 500;

interface Expiring {
  expiresAt: Date;
}

export interface ForgetterDeps<T extends Expiring> {
  database: Database;
  /** Must have an index on `expiresAt`. */
  entity: EntityTarget<T>;
  log: Log;
}

/** Deletes expired rows. Several processes can do this at the same time. */
export class Forgetter<T extends Expiring> extends Repeated {
  constructor(private readonly deps: ForgetterDeps<T>) {
    super({ intervalMs: FORGET_INTERVAL_MS, failed: (error) => deps.log.warn({ err: error }, 'deleting expired rows failed') });
  }

  /** Reads expired rows by the index, then deletes them one by one. Keeps a row if its `expiresAt` has changed meanwhile. */
  async once(): Promise<void> {
    const { database, entity } = this.deps;
    const { primaryColumns } = database.reader.connection.getMetadata(entity);
    const names = [...primaryColumns.map(({ propertyName }) => propertyName), 'expiresAt'] as (keyof T)[];
    const now = await database.now();
    for (;;) {
      const old = await database.reader.find(entity, {
        select: Object.fromEntries(names.map((name) => [name, true])) as FindOptionsSelect<T>,
        where: { expiresAt: LessThanOrEqual(now) } as FindOptionsWhere<T>,
        order: { expiresAt: 'ASC' } as FindOptionsOrder<T>,
        take: FORGOTTEN_AT_A_TIME,
      });
      await database.transaction(async (tx) => {
        for (const row of old) await tx.delete(entity, Object.fromEntries(names.map((name) => [name, row[name]])) as FindOptionsWhere<T>);
      });
      if (old.length < FORGOTTEN_AT_A_TIME) return;
    }
  }
}
