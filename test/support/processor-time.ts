import { closeSync, openSync, readSync, readlinkSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';

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

/** The real clock, even while a test replaces it. */
const now = performance.now.bind(performance);

/**
 * Does something, and tells the most processor time, in milliseconds, that this thread took for one turn of its event loop meanwhile.
 * Garbage collections do not count: they clear the memory of all tests that ran before in this process.
 * Milliseconds are those of the reference machine: on a slower or busier machine, `slowness` of them count as one.
 */
export async function longestTurnOf<T>(act: () => Promise<T>): Promise<{ answer: T; longestMs: number }> {
  const clock = openClock();
  const collections: { startTime: number; duration: number }[] = [];
  const observer = new PerformanceObserver((list) => collections.push(...list.getEntries()));
  observer.observe({ entryTypes: ['gc'] });
  const turns: { from: number; to: number; tookMs: number }[] = [];
  let isOver = false;
  let [from, atMs] = [now(), clock.readMs()];
  const turn = (): void => {
    const [to, nowMs] = [now(), clock.readMs()];
    if (nowMs - atMs > MEASURED_FROM_MS) turns.push({ from, to, tookMs: nowMs - atMs });
    [from, atMs] = [to, nowMs];
    if (isOver) clock.close();
    else setImmediate(turn);
  };
  setImmediate(turn);
  try {
    const answer = await act();
    await new Promise((resolve) => setTimeout(resolve, 1)); // the last turn ends, and the observer gets its last entries
    const collected = ({ from, to }: (typeof turns)[number]): number =>
      collections.reduce((sum, { startTime, duration }) => (startTime >= from && startTime < to ? sum + duration : sum), 0);
    const longestMs = Math.max(0, ...turns.map((took) => took.tookMs - collected(took)));
    isOver = true;
    return { answer, longestMs: longestMs < SCALED_FROM_MS ? longestMs : longestMs / slowness(clock) };
  } finally {
    isOver = true;
    observer.disconnect();
  }
}

/** Shorter turns are far below every bound and are not scaled. */
const SCALED_FROM_MS = 25;

/** Processor time of `referenceWork` on the reference machine: two idle cores of an AMD EPYC, Node 20. */
const REFERENCE_MS = 40;

/** How many times as long as on the reference machine the same work takes now: from 1 to 3. */
function slowness(clock: { readMs(): number }): number {
  const startedMs = clock.readMs();
  referenceWork();
  return Math.min(3, Math.max(1, (clock.readMs() - startedMs) / REFERENCE_MS));
}

/** Makes and reads objects and texts, as the work of a request does. */
function referenceWork(): number {
  const names = new Map<string, number>();
  for (let index = 0; index < 16_000; index += 1) {
    const text = JSON.stringify({ id: `prj_${index}`, name: 'a project', list: [index, index + 1, index + 2] });
    names.set((JSON.parse(text) as { id: string }).id, index);
  }
  return names.size;
}

/** Shorter turns are not recorded. */
const MEASURED_FROM_MS = 5;

/** The least of so many measurements; the first below `enough` ends them. Garbage collection makes some of them longer. */
export async function leastOf(tries: number, enough: number, measure: () => Promise<number>): Promise<number> {
  let least = Infinity;
  for (let tried = 0; tried < tries && least >= enough; tried += 1) least = Math.min(least, await measure());
  return least;
}
