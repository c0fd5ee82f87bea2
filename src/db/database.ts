import { setImmediate as nextTurn } from 'node:timers/promises';
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

/** The part of a libsql connection that this project uses. */
export interface SqliteConnection {
  exec(sql: string): void;
  prepare(sql: string): { run(...values: unknown[]): { changes: number }; all(...values: unknown[]): unknown[] };
}

// A deadlock ends at once. On SQLite another process can hold the write lock for longer, because it commits to the disk first.
const RETRIES = {
  mysql: { numOfAttempts: 5, startingDelay: 10 },
  sqlite: { numOfAttempts: 25, startingDelay: 10, maxDelay: 250 },
};

/** The time that the statements of one transaction on SQLite run before other work has its turn: the driver blocks the event loop. */
const WRITES_SLICE_MS = 10;

/** The longest time that a statement of `Database.reader` may take. After that it is cut off. */
const READ_TIMEOUT_MS = 5_000;

export interface DatabaseOptions {
  /** Time limit for each read, in milliseconds. Commands use 0, which means no limit. Tests use short limits. */
  readTimeoutMs?: number;
}

/** The database of this process. Gives the same guarantees on MySQL, MariaDB and SQLite. */
export class Database {
  readonly clock = new Clock();
  /** Reads committed rows outside transactions and off the event loop. A read that takes too long is cut off (`isCutOff`). */
  readonly reader: EntityManager;
  private readonly writes = new WriteQueue();
  /** Time at which the current transaction lets other work run, by `performance.now()`. SQLite only. */
  private sliceEndsAt = 0;

  private constructor(
    readonly settings: DatabaseSettings,
    private readonly writer: DataSource,
    private readonly readerSource: DataSource,
    /** MySQL or MariaDB. Undefined on SQLite. */
    readonly product?: MysqlProduct,
    private readonly readThread?: ReadThread,
  ) {
    this.reader = readThread ? managerOf(readerSource, readThread) : readerSource.manager;
    if (this.dialect === 'sqlite') this.makeRoomBetweenStatements();
  }

  /** Connects and applies the missing migrations. */
  static async open(
    settings: DatabaseSettings,
    parts: DatabaseParts,
    { readTimeoutMs = READ_TIMEOUT_MS }: DatabaseOptions = {},
  ): Promise<Database> {
    if (settings.type === 'mysql') {
      const product = await mysqlProduct(settings);
      const isCommand = readTimeoutMs === 0;
      const open = (timeoutMs: number) =>
        (isCommand ? mysqlDataSource(settings, parts, product) : impatientDataSource(settings, parts, product, timeoutMs)).initialize();
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

  /** For look-ups by id in requests. Reads committed rows, and never waits behind a long read. */
  get lookups(): EntityManager {
    return this.dialect === 'mysql' ? this.writer.manager : this.readerSource.manager;
  }

  /**
   * Runs `work` in one transaction and commits it: READ COMMITTED on MySQL, one transaction at a time on SQLite. Runs `work` again from its
   * start after a temporary failure such as a deadlock. Therefore `work` must not change anything outside the database.
   */
  transaction<T>(work: (tx: EntityManager) => Promise<T>): Promise<T> {
    const once = () =>
      this.dialect === 'mysql'
        ? this.writer.transaction(work)
        : this.writes.run(() => this.immediately(work));
    return backOff(once, { ...RETRIES[this.dialect], jitter: 'full', retry: isRetryable });
  }

  /**
   * SQLite only. Takes the write lock before the first statement. If a later statement met another process's lock, libsql would leave that
   * statement unfinished, and no commit on this connection would succeed until garbage collection.
   */
  private async immediately<T>(work: (tx: EntityManager) => Promise<T>): Promise<T> {
    const connection = connectionOf(this.writer);
    connection.exec('BEGIN IMMEDIATE');
    this.sliceEndsAt = performance.now() + WRITES_SLICE_MS;
    try {
      const result = await work(this.writer.createQueryRunner().manager);
      connection.exec('COMMIT');
      return result;
    } catch (error) {
      rollBack(connection);
      throw error;
    }
  }

  /** Lets other work run between the statements of a long transaction. Other writers wait for the end of the transaction in any case. */
  private makeRoomBetweenStatements(): void {
    const runner = this.writer.createQueryRunner(); // TypeORM returns the same runner each time
    const ask = runner.query.bind(runner) as (...statement: unknown[]) => Promise<unknown>;
    const query = async (...statement: unknown[]): Promise<unknown> => {
      if (performance.now() >= this.sliceEndsAt) {
        await nextTurn();
        this.sliceEndsAt = performance.now() + WRITES_SLICE_MS;
      }
      return ask(...statement);
    };
    Object.assign(runner, { query });
  }

  /** Runs `work` on one consistent snapshot of the committed rows. It takes no locks and cannot write. */
  async snapshot<T>(work: (snapshot: EntityManager) => Promise<T>): Promise<T> {
    const runner = (this.dialect === 'mysql' ? this.writer : this.readerSource).createQueryRunner(); // these two have no read time-out
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

  /** SQLite only. Blocks every other transaction of this process until the returned function is called. */
  writeTurn(): Promise<() => void> {
    return new Promise((resolve) => void this.writes.run(() => new Promise<void>((done) => resolve(done))));
  }

  /** SQLite only. A connection that reads committed rows and cannot write. */
  get readConnection(): SqliteConnection {
    return connectionOf(this.readerSource);
  }

  /** The time that decisions use, in whole milliseconds: the database's clock on MySQL, this process's clock on SQLite. */
  async now(manager: EntityManager = this.lookups): Promise<Date> {
    if (this.dialect === 'sqlite') return new Date(Math.floor(this.clock.fromProcess() / 1000));
    const [row] = await manager.query<{ now: string | number }[]>(`SELECT ${NOW_MICROS_SQL} AS now`);
    return new Date(Math.floor(this.clock.fromDatabase(Number(row?.now)) / 1000));
  }

  /** Rejects if the database does not answer or accepts no writes. */
  async ping(): Promise<void> {
    const [row] = await this.lookups.query<Record<string, unknown>[]>(this.dialect === 'mysql' ? READ_ONLY_SQL : 'SELECT 0 AS readOnly');
    const fault = readOnlyFault(row);
    if (fault) throw fault;
  }

  async close(): Promise<void> {
    await this.readThread?.close();
    for (const source of [this.readerSource, this.writer]) {
      await source.destroy().catch((error: unknown) => {
        if (!isUnavailable(error)) throw error; // a lost connection is already closed
      });
    }
  }
}

/** Options for `find` that lock the row until the commit. Empty on SQLite, which has only one writer at a time. */
export function forUpdate(tx: EntityManager): { lock?: { mode: 'pessimistic_write' } } {
  return tx.connection.options.type === 'better-sqlite3' ? {} : { lock: { mode: 'pessimistic_write' } };
}

/** Reads one row and locks it until the commit. Throws NOT_FOUND if there is no such row. */
export async function locked<E extends ObjectLiteral>(tx: EntityManager, entity: EntityTarget<E>, where: FindOptionsWhere<E>): Promise<E> {
  return (await tx.findOne(entity, { where, ...forUpdate(tx) })) ?? notFound();
}

/** Rolls back the open transaction of a connection, if there is one. */
function rollBack(connection: SqliteConnection): void {
  try {
    connection.exec('ROLLBACK');
  } catch {
    // SQLite has already rolled back: no transaction is open
  }
}

function connectionOf(source: DataSource): SqliteConnection {
  return (source.driver as unknown as { databaseConnection: SqliteConnection }).databaseConnection;
}

/** Retries, because processes that start together on one file block each other while one switches it to WAL. */
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
