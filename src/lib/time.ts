import { setImmediate, setTimeout as wait } from 'node:timers/promises';

export const DAY_MS = 86_400_000;

export const later = (at: Date, ms: number): Date => new Date(at.getTime() + ms);

/** How a part of the gate waits, and measures how long: the process's own way, or a simulation's. It decides nothing. */
export interface Time {
  /** Milliseconds since some moment; never goes back. */
  now(): number;
  wait(ms: number): Promise<void>;
  /** Resolves when what has arrived by now has been seen. */
  nextTurn(): Promise<void>;
  /** Resolves when whoever had a promise kept by now has gone on as far as it can without waiting. */
  afterPromises(): Promise<void>;
}

export const processTime: Time = {
  now: () => performance.now(),
  wait: (ms) => wait(ms),
  nextTurn: () => setImmediate(),
  afterPromises: () => new Promise((resolve) => process.nextTick(resolve)),
};

/** What `work` gives; rejects where that takes longer. */
export async function withTimeout<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`No answer within ${timeoutMs} ms.`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
