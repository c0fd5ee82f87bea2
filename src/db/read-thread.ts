import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { EntityManager, QueryFailedError, QueryResult, type DataSource } from 'typeorm';
import { BetterSqlite3QueryRunner } from 'typeorm/driver/better-sqlite3/BetterSqlite3QueryRunner.js';

/** The longest wait for a turn and the rows, as a multiple of the read time-out. */
const WAIT_PER_TIMEOUT = 2;
/** The longest time for a thread to end. */
const CLOSE_MS = 5_000;
/** The message that ends a thread between two statements. `terminate` during a statement makes libsql abort the process. */
const CLOSE = 'close';

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
 * A read-only SQLite connection in a separate thread. It sees committed rows and runs reads one after another, in the order of their calls.
 * A read that takes longer than the time-out is interrupted and fails with SQLITE_INTERRUPT. A read that waits for twice the time-out fails
 * with READS_BUSY: an earlier read could not be interrupted. A thread that has answered nothing in that time is replaced by a new one.
 * A time-out of 0 means no limits.
 */
export class ReadThread {
  private worker: Worker;
  private readonly waiting = new Map<number, Waiter>();
  private asked = 0;
  private isOpen = true;
  private answeredAt = 0;

  constructor(
    private readonly path: string,
    private readonly timeoutMs: number,
  ) {
    this.worker = this.start();
  }

  private start(): Worker {
    const worker = new Worker(join(__dirname, 'sqlite-read-thread.js'), { workerData: { path: this.path, timeoutMs: this.timeoutMs } });
    worker.on('message', ({ id, rows, failure }: Reply) => {
      this.answeredAt = performance.now();
      const waiter = this.waiting.get(id);
      if (failure) waiter?.reject(Object.assign(new Error(failure.message), { code: failure.code }));
      else waiter?.resolve(rows);
    });
    // The thread reports all expected failures in its replies. If the thread itself fails, nothing can be read, so the process must end
    worker.on('error', (error) => {
      throw error;
    });
    return worker;
  }

  /** Runs a SELECT and returns its rows. Rejects with the driver's failure. */
  async read(sql: string, parameters: unknown[] = []): Promise<unknown[]> {
    if (!this.isOpen) throw isClosed();
    const id = (this.asked += 1);
    const waitMs = this.timeoutMs > 0 ? this.timeoutMs * WAIT_PER_TIMEOUT : Number.POSITIVE_INFINITY;
    const { worker } = this;
    const askedAt = performance.now();
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        this.waiting.set(id, { resolve, reject });
        const giveUp = () => {
          if (this.answeredAt < askedAt) this.leave(worker);
          reject(failure('READS_BUSY', 'Earlier reads took too long. Try again.'));
        };
        if (Number.isFinite(waitMs)) timer = setTimeout(giveUp, waitMs);
        worker.postMessage({ id, sql, parameters, until: Date.now() + waitMs });
      });
    } finally {
      clearTimeout(timer);
      this.waiting.delete(id);
    }
  }

  /** Ends the thread. Reads without an answer fail with POOL_CLOSED. */
  async close(): Promise<void> {
    if (!this.isOpen) return;
    this.isOpen = false;
    for (const { reject } of this.waiting.values()) reject(isClosed());
    const ended = once(this.worker, 'exit');
    this.worker.postMessage(CLOSE);
    await Promise.race([ended, wait(CLOSE_MS, undefined, { ref: false })]); // a thread that is stuck in a statement does not end
  }

  private leave(stuck: Worker): void {
    if (stuck !== this.worker || !this.isOpen) return;
    this.worker = this.start();
    stuck.postMessage(CLOSE);
    stuck.unref();
  }
}

const isClosed = (): Error => failure('POOL_CLOSED', 'The connection is closed.');

const failure = (code: string, message: string): Error => Object.assign(new Error(message), { code });

/** A query runner of TypeORM that sends its queries to a thread. */
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

/** Makes an entity manager for a SQLite source. A thread runs its queries. */
export function managerOf(source: DataSource, thread: ReadThread): EntityManager {
  const runner = new ReadQueryRunner(source, thread);
  const manager = new EntityManager(source, runner);
  Object.assign(runner, { manager });
  return manager;
}
