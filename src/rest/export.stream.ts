import { setTimeout as wait } from 'node:timers/promises';
import type { TrailEntry, TrailRequest } from '../audit/trail';

/** Events read at a time. The next ones are read when the reader has taken these. */
const PAGE = 500;
/** How often the right to read is asked for again, and how often an export that follows looks for more. */
const EXPORT_POLL_MS = 1_000;
/** The longest silence of an export that follows, so that no proxy takes it for dead. */
const HEARTBEAT_MS = 15_000;

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

/** The lines of an export, in the order of the seals, as fast as they are taken. It ends when all are told, when it is stopped, and when the right to read is lost. */
export async function* exportLines({ read, mayRead, lineOf, chainId, after, follow, stop }: ExportStream): AsyncGenerator<string> {
  let position = after;
  let askedAt = performance.now();
  let spokeAt = -Infinity; // the first silence is broken at once, so that the reader has its headers
  while (!stop.aborted) {
    if (performance.now() - askedAt >= EXPORT_POLL_MS) {
      if (!(await mayRead())) return;
      askedAt = performance.now();
    }
    const page = await read({ chainId, after: position, limit: PAGE });
    for (const entry of page) {
      if (stop.aborted) return;
      yield lineOf(entry);
      position = entry.position;
    }
    if (page.length > 0) spokeAt = performance.now();
    if (page.length === PAGE) continue;
    if (!follow) return;
    if (performance.now() - spokeAt >= HEARTBEAT_MS) {
      yield '\n';
      spokeAt = performance.now();
    }
    await wait(EXPORT_POLL_MS, undefined, { signal: stop }).catch(() => undefined);
  }
}
