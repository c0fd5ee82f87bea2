import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

type Rows = Record<string, unknown>[];

interface Reply {
  id: number;
  results: Rows[];
  failure?: { message: string; code?: string };
}

interface Waiter {
  resolve(results: Rows[]): void;
  reject(error: Error): void;
}

/**
 * A SQLite connection in a thread of its own. What it is asked it does in order; it sees what is committed, and its own transaction. The
 * thread keeps the process alive until it is closed: what it is in the middle of may be a call's bill.
 */
export class ThreadConnection {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiter>();
  private asked = 0;
  private isOpen = true;

  constructor(path: string) {
    this.worker = new Worker(join(__dirname, 'sqlite-thread.js'), { workerData: { path } });
    this.worker.on('message', ({ id, results, failure }: Reply) => {
      const waiter = this.waiting.get(id);
      this.waiting.delete(id);
      if (failure) waiter?.reject(Object.assign(new Error(failure.message), { code: failure.code }));
      else waiter?.resolve(results);
    });
    // It has no failure that it does not answer: without it nothing can be written, so the process ends rather than hang
    this.worker.on('error', (error) => {
      throw error;
    });
    this.worker.on('exit', () => {
      this.isOpen = false;
      for (const { reject } of this.waiting.values()) reject(isClosed());
    });
  }

  /** Runs `script`, then the SELECTs, and gives their rows. Rejects with the driver's failure; then what was open is rolled back. */
  run(script: string, selects: string[] = []): Promise<Rows[]> {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) return reject(isClosed());
      const id = (this.asked += 1);
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, script, selects });
    });
  }

  /** Waits for what it was asked, and ends the thread. */
  async close(): Promise<void> {
    await this.run('');
    await this.worker.terminate();
  }
}

const isClosed = (): Error => Object.assign(new Error('The connection is closed.'), { code: 'POOL_CLOSED' });
