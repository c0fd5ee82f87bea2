import { Readable } from 'node:stream';

/** Interval for checking the right to read again, and for looking for new lines in an export that follows. */
export const EXPORT_POLL_MS = 1_000;
/** Longest time without a line. Then an export of JSON sends an empty line, so that no proxy closes the connection as idle. */
export const HEARTBEAT_MS = 15_000;
/** Time for which a client may take none of the waiting lines before its connection is closed. */
const EXPORT_STALL_MS = 60_000;

export interface ExportStream {
  /**
   * Yields chunks of zero or more whole lines. Soon after `stop` it ends if the client can continue from there. Otherwise it throws, which
   * breaks the connection.
   */
  chunks(stop: AbortSignal): AsyncIterable<string>;
  /** Whether the reader still has the right to read. */
  mayRead(): Promise<boolean>;
  stop: AbortSignal;
}

/**
 * Creates the stream of an export. Makes the next chunk when the client has taken the one before (backpressure). Stops when the right to
 * read is lost, and closes the connection at the next check if the stream has not ended by then. Also closes the connection if the client
 * takes nothing for 60 s: otherwise such a client would occupy a place for ever.
 */
export function exportStream({ chunks, mayRead, stop }: ExportStream): Readable {
  const lost = new AbortController();
  const pending: Pending = { since: undefined };
  const stream = Readable.from(watched(chunks(AbortSignal.any([stop, lost.signal])), pending));
  let isChecking = false;
  const watch = async () => {
    const isStalled = pending.since !== undefined && performance.now() - pending.since >= EXPORT_STALL_MS;
    if (lost.signal.aborted || isStalled) stream.destroy();
    if (stream.destroyed || isChecking) return;
    isChecking = true;
    if (!(await mayRead())) lost.abort();
    isChecking = false;
  };
  const timer = setInterval(() => void watch().catch((error: Error) => stream.destroy(error)), EXPORT_POLL_MS);
  stream.once('close', () => clearInterval(timer));
  return stream;
}

interface Pending {
  /** Time when the waiting chunk began to wait for the client, by `performance.now()`. Undefined if none waits. */
  since: number | undefined;
}

async function* watched(chunks: AsyncIterable<string>, pending: Pending): AsyncGenerator<string> {
  for await (const chunk of chunks) {
    if (chunk === '') continue;
    pending.since = performance.now();
    yield chunk;
    pending.since = undefined;
  }
}
