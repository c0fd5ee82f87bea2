import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { Patience } from './patience';

/** Bytes that wait between the caller's connection and the upstream's. */
const BUFFER_BYTES = 65_536;
/** Longest time for which the rest of an unused body is read and discarded. */
const DISCARD_MS = 10_000;
/** The same, if the caller sends nothing meanwhile. */
const DISCARD_IDLE_MS = 5_000;

export interface CallerBodyEvents {
  /** Called before the first byte is read. */
  onStart(): void;
  /** Called for each chunk. */
  onProgress(): void;
  /** The whole body has arrived. */
  onEnd(): void;
  onTooLarge(): void;
}

/** The body of a request as it arrives, for an upstream. Destroying it stops reading, and leaves the caller's connection open. */
export class CallerBody extends Readable {
  /** True once the whole body has been taken over from the caller's connection. */
  isWhole = false;
  private bytes = 0;
  private hasStarted = false;

  constructor(
    private readonly incoming: IncomingMessage,
    private readonly maxBytes: number,
    private readonly events: CallerBodyEvents,
  ) {
    super({ highWaterMark: BUFFER_BYTES });
  }

  /** True while the upstream would take more than the caller has sent. */
  get isHungry(): boolean {
    return this.hasStarted && !this.isWhole && this.readableLength === 0 && !this.isPaused();
  }

  override _read(): void {
    if (!this.hasStarted) {
      this.hasStarted = true;
      this.events.onStart();
      this.incoming.on('data', this.accept).on('end', this.finish);
    }
    this.incoming.resume();
  }

  override _destroy(error: Error | null, callBack: (error?: Error | null) => void): void {
    this.incoming.off('data', this.accept).off('end', this.finish);
    this.incoming.pause();
    callBack(error);
  }

  private readonly accept = (chunk: Buffer): void => {
    this.bytes += chunk.length;
    if (this.bytes > this.maxBytes) return this.events.onTooLarge();
    this.events.onProgress();
    if (!this.push(chunk)) this.incoming.pause();
  };

  private readonly finish = (): void => {
    this.isWhole = true;
    this.events.onEnd();
    this.push(null);
  };
}

/**
 * Reads the rest of a request's body and discards it, so that a caller that is still sending can read its answer. Resolves when the rest
 * has arrived, or when the caller has taken too long. In this case `onLate` is called first.
 */
export function discardRest(incoming: IncomingMessage, onLate: () => void): Promise<void> {
  return new Promise((resolve) => {
    const patience = new Patience(DISCARD_MS, DISCARD_IDLE_MS, () => {
      onLate();
      resolve();
    });
    incoming.on('data', () => patience.progress()).once('close', () => {
      patience.stop();
      resolve();
    });
    incoming.resume();
  });
}
