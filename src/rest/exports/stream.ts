import { Readable } from 'node:stream';

/** How often the right to read is asked for again, and how often an export that follows looks for more. */
export const EXPORT_POLL_MS = 1_000;
/** The longest silence of an export that has lines which say nothing, so that no proxy takes it for dead. */
export const HEARTBEAT_MS = 15_000;
/** How long a reader may take nothing of what waits for it; then its connection is cut. */
const EXPORT_STALL_MS = 60_000;

export interface ExportStream {
  /** Whole lines, none, a few or many at a time. Soon after `stop` it ends, where that is an end that a reader may go on from, or throws, so that the connection breaks. */
  chunks(stop: AbortSignal): AsyncIterable<string>;
  /** Whether the reader still may. */
  mayRead(): Promise<boolean>;
  stop: AbortSignal;
}

/**
 * An export, as fast as it is taken: what comes next is made when its reader has taken what came before. It is stopped when the right to
 * read is lost. Whoever takes nothing then, or nothing for a long time, is cut off, so that nobody keeps a place by standing still.
 */
export function exportStream({ chunks, mayRead, stop }: ExportStream): Readable {
  const lost = new AbortController();
  const taking: Taking = { waitsSince: undefined };
  const stream = Readable.from(watched(chunks(AbortSignal.any([stop, lost.signal])), taking));
  let asking = false;
  const watch = async () => {
    const standsStill = taking.waitsSince !== undefined && performance.now() - taking.waitsSince >= EXPORT_STALL_MS;
    if (lost.signal.aborted || standsStill) stream.destroy();
    if (stream.destroyed || asking) return;
    asking = true;
    if (!(await mayRead())) lost.abort();
    asking = false;
  };
  const timer = setInterval(() => void watch().catch((error: Error) => stream.destroy(error)), EXPORT_POLL_MS);
  stream.once('close', () => clearInterval(timer));
  return stream;
}

interface Taking {
  /** Since when something waits to be taken. */
  waitsSince: number | undefined;
}

async function* watched(chunks: AsyncIterable<string>, taking: Taking): AsyncGenerator<string> {
  for await (const chunk of chunks) {
    if (chunk === '') continue;
    taking.waitsSince = performance.now();
    yield chunk;
    taking.waitsSince = undefined;
  }
}
