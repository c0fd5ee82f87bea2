import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { EntityManager, QueryFailedError, QueryResult, type DataSource } from 'typeorm';
import { BetterSqlite3QueryRunner } from 'typeorm/driver/better-sqlite3/BetterSqlite3QueryRunner.js';

/** How long a read waits for its turn and its rows, where reads have a time-out: twice that. */
const WAIT_PER_TIMEOUT = 2;

interface Reply {
  id: number;
  rows: unknown[];
  failure?: { message: string; code?: string };
}

interface Waiter {
  resolve(rows: unknown[]): void;
  reject(error: Error): void;
}

/**
 * A SQLite connection in a thread of its own, which sees what is committed and can write nothing. Reads have their turns in the order of
 * asking. One that takes longer than the time-out is interrupted: SQLITE_INTERRUPT. One whose turn does not come in twice that time, for
 * what is before it cannot be interrupted, is READS_BUSY. With a time-out of 0 all take their time.
 */
export class ReadThread {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiter>();
  private asked = 0;
  private isOpen = true;

  constructor(
    path: string,
    private readonly timeoutMs: number,
  ) {
    this.worker = new Worker(join(__dirname, 'sqlite-read-thread.js'), { workerData: { path, timeoutMs } });
    this.worker.on('message', ({ id, rows, failure }: Reply) => {
      const waiter = this.waiting.get(id);
      if (failure) waiter?.reject(Object.assign(new Error(failure.message), { code: failure.code }));
      else waiter?.resolve(rows);
    });
    // It has no failure that it does not answer: without it nothing can be read, so the process ends rather than hang
    this.worker.on('error', (error) => {
      throw error;
    });
    this.worker.on('exit', () => {
      this.isOpen = false;
      for (const { reject } of this.waiting.values()) reject(failure('POOL_CLOSED', 'The connection is closed.'));
    });
  }

  /** The rows of a SELECT. Rejects with the driver's failure. */
  async read(sql: string, parameters: unknown[] = []): Promise<unknown[]> {
    if (!this.isOpen) throw failure('POOL_CLOSED', 'The connection is closed.');
    const id = (this.asked += 1);
    const waitMs = this.timeoutMs > 0 ? this.timeoutMs * WAIT_PER_TIMEOUT : Number.POSITIVE_INFINITY;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        this.waiting.set(id, { resolve, reject });
        if (Number.isFinite(waitMs)) timer = setTimeout(() => reject(failure('READS_BUSY', 'What was asked before took too long.')), waitMs);
        this.worker.postMessage({ id, sql, parameters, until: Date.now() + waitMs });
      });
    } finally {
      clearTimeout(timer);
      this.waiting.delete(id);
    }
  }

  /** Ends the thread; what it was asked and has not answered is POOL_CLOSED. */
  async close(): Promise<void> {
    await this.worker.terminate();
  }
}

const failure = (code: string, message: string): Error => Object.assign(new Error(message), { code });

/** TypeORM's way to a SQLite connection, but for what is asked: that goes to a thread. */
class ReadQueryRunner extends BetterSqlite3QueryRunner {
  constructor(
    source: DataSource,
    private readonly thread: ReadThread,
  ) {
    super(source.driver as ConstructorParameters<typeof BetterSqlite3QueryRunner>[0]);
  }

  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as TypeORM declares it
  override async query(sql: string, parameters: unknown[] = [], useStructuredResult = false): Promise<any> {
    const values = parameters.map((value) => (typeof value === 'boolean' ? Number(value) : value));
    let rows: unknown[];
    try {
      rows = await this.thread.read(sql, values);
    } catch (error) {
      throw new QueryFailedError(sql, values, error as Error);
    }
    if (!useStructuredResult) return rows;
    return Object.assign(new QueryResult(), { raw: rows, records: rows });
  }
}

/** A manager of a SQLite source whose queries a thread runs. */
export function managerOf(source: DataSource, thread: ReadThread): EntityManager {
  const runner = new ReadQueryRunner(source, thread);
  const manager = new EntityManager(source, runner);
  Object.assign(runner, { manager });
  return manager;
}
