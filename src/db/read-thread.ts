import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { EntityManager, QueryFailedError, QueryResult, type DataSource } from 'typeorm';
import { BetterSqlite3QueryRunner } from 'typeorm/driver/better-sqlite3/BetterSqlite3QueryRunner.js';

/** How long a read waits for its turn and its rows, where reads have a time-out: twice that. */
const WAIT_PER_TIMEOUT = 2;
/** How long a thread may take to end. */
const CLOSE_MS = 5_000;
/** What has a thread end between two statements: after `terminate` in the middle of one, libsql aborts the process. */
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
 * A SQLite connection in a thread of its own, which sees what is committed and can write nothing. Reads have their turns in the order of
 * asking. One that takes longer than the time-out is interrupted: SQLITE_INTERRUPT. One whose turn does not come in twice that time, for
 * what is before it cannot be interrupted, is READS_BUSY; and a thread that answers nothing for as long is left to itself, and another one
 * reads on. With a time-out of 0 all take their time.
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
    // It has no failure that it does not answer: without it nothing can be read, so the process ends rather than hang
    worker.on('error', (error) => {
      throw error;
    });
    return worker;
  }

  /** The rows of a SELECT. Rejects with the driver's failure. */
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
          reject(failure('READS_BUSY', 'What was asked before took too long.'));
        };
        if (Number.isFinite(waitMs)) timer = setTimeout(giveUp, waitMs);
        worker.postMessage({ id, sql, parameters, until: Date.now() + waitMs });
      });
    } finally {
      clearTimeout(timer);
      this.waiting.delete(id);
    }
  }

  /** Ends the thread; what it was asked and has not answered is POOL_CLOSED. */
  async close(): Promise<void> {
    if (!this.isOpen) return;
    this.isOpen = false;
    for (const { reject } of this.waiting.values()) reject(isClosed());
    const ended = once(this.worker, 'exit');
    this.worker.postMessage(CLOSE);
    await Promise.race([ended, wait(CLOSE_MS, undefined, { ref: false })]); // one that is stuck in a statement does not end
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
