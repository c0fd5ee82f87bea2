import { setTimeout as wait } from 'node:timers/promises';

const POLL_MS = 10;

/** Waits until `condition` is true. Throws an error that names `what` if that takes longer than `timeoutMs`. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, timeoutMs = 20_000): Promise<void> {
  for (const deadline = performance.now() + timeoutMs; !(await condition()); await wait(POLL_MS)) {
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain for ${what}.`);
  }
}
