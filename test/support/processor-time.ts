import { closeSync, openSync, readSync, readlinkSync } from 'node:fs';

/** Reads the processor time of this thread, or of the whole process on systems other than Linux. */
function openClock(): { readMs(): number; close(): void } {
  let file: number;
  try {
    file = openSync(`/proc/${readlinkSync('/proc/thread-self')}/schedstat`, 'r');
  } catch {
    return { readMs: () => process.cpuUsage().user / 1_000, close: () => undefined };
  }
  const text = Buffer.alloc(64);
  const read = (): string => text.toString('latin1', 0, readSync(file, text, 0, text.length, 0));
  return { readMs: () => Number(read().split(' ', 1)[0]) / 1e6, close: () => closeSync(file) };
}

/** Does something, and tells the most processor time, in milliseconds, that this thread took for one turn of its event loop meanwhile. */
export async function longestTurnOf<T>(act: () => Promise<T>): Promise<{ answer: T; longestMs: number }> {
  const clock = openClock();
  let longestMs = 0;
  let isOver = false;
  let atMs = clock.readMs();
  const turn = (): void => {
    const nowMs = clock.readMs();
    longestMs = Math.max(longestMs, nowMs - atMs);
    atMs = nowMs;
    if (isOver) clock.close();
    else setImmediate(turn);
  };
  setImmediate(turn);
  try {
    const answer = await act();
    await new Promise((resolve) => setImmediate(resolve));
    return { answer, longestMs };
  } finally {
    isOver = true;
  }
}

/** The least of so many measurements; the first below `enough` ends them. Garbage collection makes some of them longer. */
export async function leastOf(tries: number, enough: number, measure: () => Promise<number>): Promise<number> {
  let least = Infinity;
  for (let tried = 0; tried < tries && least >= enough; tried += 1) least = Math.min(least, await measure());
  return least;
}
