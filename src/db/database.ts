import { backOff } from 'exponential-backoff';
import type { DataSource, EntityManager, EntityTarget, FindOptionsWhere, ObjectLiteral } from 'typeorm';
import type { DatabaseSettings, SqliteSettings } from '../config';
import { notFound } from '../errors';
import { isRetryable, isUnavailable } from './failures';
import { Clock, NOW_MICROS_SQL } from './clock';
import { migrate } from './migrate';
import { impatientDataSource, mysqlDataSource, sqliteDataSource, type DatabaseParts } from './data-source';
import { READ_ONLY_SQL, mysqlProduct, readOnlyFault, refuseOtherEngines, type MysqlProduct } from './mysql-session';
import { ReadThread, managerOf } from './read-thread';
import { WriteQueue } from './write-queue';

/** What TypeORM's driver for SQLite keeps open, as far as it is used here. */
export interface SqliteConnection {
  exec(sql: string): void;
  prepare(sql: string): { run(...values: unknown[]): { changes: number }; all(...values: unknown[]): unknown[] };
}

// Deadlocks pass at once; another process on the same SQLite file may write for a while, and commits to a disk before it lets go.
const RETRIES = {
  mysql: { numOfAttempts: 5, startingDelay: 10 },
  sqlite: { numOfAttempts: 25, startingDelay: 10, maxDelay: 250 },
};

/** How long a statement of `Database.reader` may take before it is cut off. */
const READ_TIMEOUT_MS = 5_000;

export interface DatabaseOptions {
  /** For a test, which has less time, and with 0 for commands, which have all the time that they need. */
  readTimeoutMs?: number;
}

/** The database of this process: the same promises on MySQL, MariaDB and SQLite. */
export class Database {
  readonly clock = new Clock();
  /** For reading what is committed, outside any transaction: off the event loop, and cut off where it takes too long (`isCutOff`). */
  readonly reader: EntityManager;
  private readonly writes = new WriteQueue();

  private constructor(
    readonly settings: DatabaseSettings,
    private readonly writer: DataSource,
    private readonly readerSource: DataSource,
    /** Which of two products the server is; undefined on SQLite. */
    readonly product?: MysqlProduct,
    private readonly readThread?: ReadThread,
  ) {
    this.reader = readThread ? managerOf(readerSource, readThread) : readerSource.manager;
  }

  /** Connects, applies the migrations that are missing, and answers what is ready to be used. */
  static async open(settings: DatabaseSettings, parts: DatabaseParts, { readTimeoutMs = READ_TIMEOUT_MS }: DatabaseOptions = {}): Promise<Database> {
    if (settings.type === 'mysql') {
      const product = await mysqlProduct(settings);
      const isCommand = readTimeoutMs === 0;
      const open = (timeoutMs: number) => (isCommand ? mysqlDataSource(settings, parts, product) : impatientDataSource(settings, parts, product, timeoutMs)).initialize();
      const migrating = await mysqlDataSource(settings, parts, product).initialize();
      await migrate(migrating)
        .then(() => refuseOtherEngines((sql) => migrating.query(sql)))
        .finally(() => migrating.destroy());
      const writer = await open(0);
      return closeIfFails(writer, async () => new Database(settings, writer, await open(readTimeoutMs), product));
    }
    const writer = await openSqlite(settings, parts, 'writer');
    return closeIfFails(writer, async () => {
      await migrate(writer);
      const thread = new ReadThread(settings.path, readTimeoutMs);
      return new Database(settings, writer, await openSqlite(settings, parts, 'reader'), undefined, thread);
    });
  }

  get dialect(): 'mysql' | 'sqlite' {
    return this.settings.type;
  }

  /** For look-ups by id that every request waits for: what is committed, behind no read of anybody else. */
  get lookups(): EntityManager {
    return this.dialect === 'mysql' ? this.writer.manager : this.readerSource.manager;
  }

  /**
   * Runs `work` in one transaction (READ COMMITTED on MySQL; alone on SQLite) and commits it. It is run again, from its start,
   * where the database gave up for a reason that passes, such as a deadlock: `work` touches nothing outside the database.
   */
  transaction<T>(work: (tx: EntityManager) => Promise<T>): Promise<T> {
    const once = () =>
      this.dialect === 'mysql'
        ? this.writer.transaction(work)
        : this.writes.run(() => this.immediately(work));
    return backOff(once, { ...RETRIES[this.dialect], jitter: 'full', retry: isRetryable });
  }

  /**
   * SQLite: the write lock is taken before anything else. A statement that met another process's lock in the middle would stay
   * unfinished in libsql, and no commit on this connection would pass until it is collected as garbage.
   */
  private async immediately<T>(work: (tx: EntityManager) => Promise<T>): Promise<T> {
    const connection = connectionOf(this.writer);
    connection.exec('BEGIN IMMEDIATE');
    try {
      const result = await work(this.writer.createQueryRunner().manager);
      connection.exec('COMMIT');
      return result;
    } catch (error) {
      rollBack(connection);
      throw error;
    }
  }

  /** Runs `work` on one consistent view of what is committed; it locks nothing and can write nothing. */
  async snapshot<T>(work: (snapshot: EntityManager) => Promise<T>): Promise<T> {
    const runner = (this.dialect === 'mysql' ? this.writer : this.readerSource).createQueryRunner(); // of which nothing is cut off
    try {
      if (this.dialect === 'mysql') await runner.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
      await runner.query(this.dialect === 'mysql' ? 'START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY' : 'BEGIN');
      try {
        return await work(runner.manager);
      } finally {
        await runner.query('COMMIT');
      }
    } finally {
      await runner.release();
    }
  }

  /** SQLite only: keeps every other transaction of this process out, until the function that it gives is called. */
  writeTurn(): Promise<() => void> {
    return new Promise((resolve) => void this.writes.run(() => new Promise<void>((done) => resolve(done))));
  }

  /** SQLite only: a connection that reads what is committed and can write nothing. */
  get readConnection(): SqliteConnection {
    return connectionOf(this.readerSource);
  }

  /** The time that decides: the database's on MySQL, this process's on SQLite. Whole milliseconds. */
  async now(manager: EntityManager = this.lookups): Promise<Date> {
    if (this.dialect === 'sqlite') return new Date(Math.floor(this.clock.fromProcess() / 1000));
    const [row] = await manager.query<{ now: string | number }[]>(`SELECT ${NOW_MICROS_SQL} AS now`);
    return new Date(Math.floor(this.clock.fromDatabase(Number(row?.now)) / 1000));
  }

  /** Rejects where the database cannot be asked, or is a server that takes no writes. */
  async ping(): Promise<void> {
    const [row] = await this.lookups.query<Record<string, unknown>[]>(this.dialect === 'mysql' ? READ_ONLY_SQL : 'SELECT 0 AS readOnly');
    const fault = readOnlyFault(row);
    if (fault) throw fault;
  }

  async close(): Promise<void> {
    await this.readThread?.close();
    for (const source of [this.readerSource, this.writer]) {
      await source.destroy().catch((error: unknown) => {
        if (!isUnavailable(error)) throw error; // what is lost is closed
      });
    }
  }
}

/** For `find` in a transaction: the row stays ours until the commit. SQLite's one writer needs no lock and takes none. */
export function forUpdate(tx: EntityManager): { lock?: { mode: 'pessimistic_write' } } {
  return tx.connection.options.type === 'better-sqlite3' ? {} : { lock: { mode: 'pessimistic_write' } };
}

/** The row that `where` names, which stays ours until the commit. NOT_FOUND where there is none. */
export async function locked<E extends ObjectLiteral>(tx: EntityManager, entity: EntityTarget<E>, where: FindOptionsWhere<E>): Promise<E> {
  return (await tx.findOne(entity, { where, ...forUpdate(tx) })) ?? notFound();
}

/** Undoes what is open on a connection, where anything is. */
function rollBack(connection: SqliteConnection): void {
  try {
    connection.exec('ROLLBACK');
  } catch {
    // SQLite has rolled back by itself: nothing is open any more
  }
}

function connectionOf(source: DataSource): SqliteConnection {
  return (source.driver as unknown as { databaseConnection: SqliteConnection }).databaseConnection;
}

/** Processes that start together on one file meet where it is switched to WAL; each tries again until it has had its turn. */
function openSqlite(settings: SqliteSettings, parts: DatabaseParts, role: 'writer' | 'reader'): Promise<DataSource> {
  const once = () => sqliteDataSource(settings, parts, role).initialize();
  return backOff(once, { ...RETRIES.sqlite, jitter: 'full', retry: isRetryable });
}

async function closeIfFails<T>(source: DataSource, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await source.destroy().catch(() => undefined);
    throw error;
  }
}
