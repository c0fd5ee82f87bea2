import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { AnswerHead } from './answer-headers';
import type { Header } from './headers';

export interface AnswerEvents {
  /** The caller does not read, so no more should be written until `onRoom`. */
  onBlocked(): void;
  onRoom(): void;
}

/**
 * Passes an upstream's answer on to the caller, each part at once. Keeps back its end until `end`: the last byte if the length is known,
 * otherwise the mark of the end. An answer that arrives whole in one read is kept back whole. So it is sent in one write, and an error can
 * still be sent in its place.
 */
export class Answer {
  private head: AnswerHead | undefined;
  /** Chunks that wait for the head. */
  private waiting: Buffer[] = [];
  /** Bytes that the upstream still has to send. Undefined if the length is not known. */
  private missing: number | undefined;
  private last: Buffer | undefined;
  private isWhole = false;
  private isBlocked = false;

  constructor(
    private readonly outgoing: ServerResponse,
    private readonly idleTimeoutMs: number,
    private readonly events: AnswerEvents,
  ) {}

  /** True if the caller has got a part of the answer. */
  get hasBegun(): boolean {
    return this.outgoing.headersSent;
  }

  begin(head: AnswerHead): void {
    this.head = head;
    this.missing = head.contentLength;
    // What the upstream has sent together arrives before this runs
    if (!head.isBodiless) process.nextTick(() => this.flush());
  }

  write(chunk: Buffer): void {
    if (!this.hasBegun) this.waiting.push(chunk);
    else this.pass(chunk);
  }

  /** Says that the upstream's answer is complete, or has failed. Nothing more is sent before `end`. */
  stop(): void {
    this.isWhole = true;
  }

  /** Sends the bytes that were kept back. */
  end(trailers: readonly Header[]): void {
    const { head, outgoing } = this;
    if (!head || outgoing.destroyed) return;
    if (!this.hasBegun) {
      outgoing.writeHead(head.status, head.statusMessage, head.headers);
      if (this.waiting.length > 1) outgoing.cork(); // end() uncorks it
      for (const chunk of this.waiting.splice(0, this.waiting.length - 1)) outgoing.write(chunk);
      this.last = this.waiting.pop();
    }
    if (trailers.length > 0) outgoing.addTrailers(trailers as Header[] as [string, string][]);
    if (this.last) outgoing.end(this.last);
    else outgoing.end();
    const { socket } = outgoing;
    if (!socket?.writableLength) return;
    this.limitReading(socket);
    outgoing.once('close', () => this.stopLimit(socket));
  }

  /** Cuts the caller's connection, so that the caller does not take the answer for complete. */
  reset(): void {
    const { socket } = this.outgoing;
    if (!socket) return void this.outgoing.once('socket', (own: Socket) => own.destroy()); // the answers before this one are sent first
    if (socket.destroyed) return;
    try {
      socket.resetAndDestroy();
    } catch {
      socket.destroy(); // only TCP without TLS can be reset
    }
  }

  private flush(): void {
    const { head, outgoing } = this;
    if (!head || this.isWhole || outgoing.destroyed) return;
    outgoing.writeHead(head.status, head.statusMessage, head.headers);
    outgoing.cork();
    if (this.waiting.length === 0) outgoing.flushHeaders();
    for (const chunk of this.waiting.splice(0)) this.pass(chunk);
    outgoing.uncork();
  }

  private pass(chunk: Buffer): void {
    const { outgoing } = this;
    if (outgoing.destroyed) return;
    let part = chunk;
    if (this.missing !== undefined) {
      this.missing -= chunk.length;
      if (this.missing <= 0) {
        part = chunk.subarray(0, -1);
        this.last = chunk.subarray(-1);
      }
    }
    if (part.length > 0 && !outgoing.write(part) && !this.isBlocked) this.waitForRoom();
  }

  private waitForRoom(): void {
    this.isBlocked = true;
    this.events.onBlocked();
    const { outgoing } = this;
    const { socket } = outgoing;
    // Not the timeout of the socket: bytes that the caller sends would start it again
    const limit = socket && setTimeout(() => socket.destroy(), this.idleTimeoutMs);
    const isOver = (): void => {
      if (limit) clearTimeout(limit);
      outgoing.off('drain', isOver).off('close', isOver);
      this.isBlocked = false;
      this.events.onRoom();
    };
    outgoing.on('drain', isOver).on('close', isOver);
  }

  /** Makes Node close the connection if the caller reads nothing for `idleTimeoutMs`. */
  private limitReading(socket: Socket | null): void {
    socket?.setTimeout(this.idleTimeoutMs);
  }

  /** A connection has only one timeout. Between two requests Node sets its own. */
  private stopLimit(socket: Socket | null): void {
    if (socket?.timeout === this.idleTimeoutMs) socket.setTimeout(0);
  }
}
