import { setImmediate, setTimeout as wait } from 'node:timers/promises';

export const DAY_MS = 86_400_000;

export const later = (at: Date, ms: number): Date => new Date(at.getTime() + ms);

/** How parts of the gate wait and measure durations: with the process's clock, or with a simulation's. Decisions never depend on it. */
export interface Time {
  /** Milliseconds since an arbitrary moment. Never goes back. */
  now(): number;
  wait(ms: number): Promise<void>;
  /** Resolves in the next turn of the event loop, after all input that has arrived was read. */
  nextTurn(): Promise<void>;
  /** Resolves after all code that waits for an already settled promise has continued. */
  afterPromises(): Promise<void>;
}

export const processTime: Time = {
  now: () => performance.now(),
  wait: (ms) => wait(ms),
  nextTurn: () => setImmediate(),
  afterPromises: () => new Promise((resolve) => process.nextTick(resolve)),
};

/** Returns the result of `work`. Rejects if it takes longer than `timeoutMs`. */
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
