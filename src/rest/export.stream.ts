import { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import type { TrailEntry, TrailRequest } from '../audit/trail';

/** Events read at a time. The next ones are read when the reader has taken these. */
const PAGE = 500;
/** How often the right to read is asked for again, and how often an export that follows looks for more. */
const EXPORT_POLL_MS = 1_000;
/** The longest silence of an export that follows, so that no proxy takes it for dead. */
const HEARTBEAT_MS = 15_000;
/** How long a reader may take nothing of what waits for it; then its connection is cut. */
const EXPORT_STALL_MS = 60_000;

export interface ExportStream {
  read(request: TrailRequest): Promise<TrailEntry[]>;
  /** Whether the reader still may. */
  mayRead(): Promise<boolean>;
  lineOf(entry: TrailEntry): string;
  chainId: string | undefined;
  after: number;
  follow: boolean;
  /** Ends the stream between two lines. */
  stop: AbortSignal;
}

/**
 * The lines of an export, in the order of the seals, as fast as they are taken. They end when all are told, when they are stopped, and when
 * the right to read is lost. Whoever takes nothing then, or nothing for a long time, is cut off, so that nobody keeps a place by standing still.
 */
export function exportStream(request: ExportStream): Readable {
  const lost = new AbortController();
  const reader: Reader = { waitsSince: undefined };
  const stream = Readable.from(exportLines({ ...request, stop: AbortSignal.any([request.stop, lost.signal]) }, reader));
  let asking = false;
  const watch = async () => {
    const standsStill = reader.waitsSince !== undefined && performance.now() - reader.waitsSince >= EXPORT_STALL_MS;
    if (lost.signal.aborted || standsStill) stream.destroy();
    if (stream.destroyed || asking) return;
    asking = true;
    if (!(await request.mayRead())) lost.abort();
    asking = false;
  };
  const timer = setInterval(() => void watch().catch((error: Error) => stream.destroy(error)), EXPORT_POLL_MS);
  stream.once('close', () => clearInterval(timer));
  return stream;
}

interface Reader {
  /** Since when a line waits to be taken. */
  waitsSince: number | undefined;
}

async function* exportLines({ read, lineOf, chainId, after, follow, stop }: ExportStream, reader: Reader): AsyncGenerator<string> {
  let position = after;
  let spokeAt = -Infinity; // the first silence is broken at once, so that the reader has its headers
  while (!stop.aborted) {
    const page = await read({ chainId, after: position, limit: PAGE });
    for (const entry of page) {
      if (stop.aborted) return;
      reader.waitsSince = performance.now();
      yield lineOf(entry);
      reader.waitsSince = undefined;
      position = entry.position;
    }
    if (page.length > 0) spokeAt = performance.now();
    if (page.length === PAGE) continue;
    if (!follow) return;
    if (performance.now() - spokeAt >= HEARTBEAT_MS) {
      reader.waitsSince = performance.now();
      yield '\n';
      reader.waitsSince = undefined;
      spokeAt = performance.now();
    }
    await wait(EXPORT_POLL_MS, undefined, { signal: stop }).catch(() => undefined);
  }
}
