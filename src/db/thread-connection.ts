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
 * A SQLite connection in a separate thread. It runs requests in order, and sees committed rows and its own transaction. The thread keeps
 * the process alive until it is closed, because it may be writing the bill of a call.
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
    // The thread reports all expected failures in its replies. If the thread itself fails, nothing can be written, so the process must end
    this.worker.on('error', (error) => {
      throw error;
    });
    this.worker.on('exit', () => {
      this.isOpen = false;
      for (const { reject } of this.waiting.values()) reject(isClosed());
    });
  }

  /** Runs `script` and then the SELECTs, and returns their rows. On a failure rolls back and rejects with the driver's error. */
  run(script: string, selects: string[] = []): Promise<Rows[]> {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) return reject(isClosed());
      const id = (this.asked += 1);
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, script, selects });
    });
  }

  /** Waits for all earlier requests, then ends the thread. */
  async close(): Promise<void> {
    await this.run('');
    await this.worker.terminate();
  }
}

const isClosed = (): Error => Object.assign(new Error('The connection is closed.'), { code: 'POOL_CLOSED' });
