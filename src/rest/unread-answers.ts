import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { UNCOUNTED_BYTES } from '../gate/kept-bytes';
import { whenAnswered } from '../lib/answered';

/** How long whoever asked may take nothing of a large answer; then its connection is cut. */
const ANSWER_STALL_MS = 120_000;
/** The same once the process stops. */
const LAST_STALL_MS = 5_000;
/** How long a stop waits for what is still to come of a request that has its answer. */
const LAST_BODY_MS = 1_000;

/**
 * Looks after large answers until they have been read, and after requests that have their answer before they have come. Whoever does not
 * read is cut off. A stop waits for those who do: Node would take their connections for idle. It does not wait for bodies that nobody will
 * read: Node would take their connections for busy, for good.
 */
export class UnreadAnswers {
  /** Connections, each with how many of its answers are unread. */
  private readonly unread = new Map<Socket, number>();
  private readonly unfinished = new Set<IncomingMessage>();
  private allRead: () => void = () => undefined;

  /** Of all routes that are registered after this. */
  constructor(
    app: FastifyInstance,
    private stallMs = ANSWER_STALL_MS,
  ) {
    app.addHook('onSend', (request, reply, payload, done) => {
      if (!request.raw.complete) this.expectRest(request.raw);
      if ((typeof payload === 'string' || Buffer.isBuffer(payload)) && payload.length > UNCOUNTED_BYTES) this.watch(request.raw, reply.raw);
      done(null, payload);
    });
  }

  /** Register it after all else that hears of the stop, for they are told one after another. */
  waitOnStop(last: FastifyInstance, lastStallMs = LAST_STALL_MS): void {
    last.addHook('preClose', async () => {
      setTimeout(() => this.unfinished.forEach((request) => request.destroy()), LAST_BODY_MS).unref();
      this.stallMs = lastStallMs;
      for (const socket of this.unread.keys()) socket.setTimeout(lastStallMs);
      while (this.unread.size > 0) await new Promise<void>((resolve) => (this.allRead = resolve));
    });
  }

  private expectRest(request: IncomingMessage): void {
    this.unfinished.add(request);
    request.once('close', () => this.unfinished.delete(request));
  }

  private watch({ socket }: IncomingMessage, answer: ServerResponse): void {
    answer.setTimeout(this.stallMs, () => socket.destroy());
    this.unread.set(socket, (this.unread.get(socket) ?? 0) + 1);
    whenAnswered({ socket }, answer, () => {
      this.letGo(socket);
      if (this.unread.size === 0) this.allRead();
    });
  }

  /** A connection has one timeout for all that is on it: it would count for the next call too, or be lost to an answer that is unread. */
  private letGo(socket: Socket): void {
    const left = (this.unread.get(socket) ?? 1) - 1;
    if (left > 0) this.unread.set(socket, left);
    else this.unread.delete(socket);
    if (left > 0 || socket.timeout === this.stallMs) socket.setTimeout(left > 0 ? this.stallMs : 0);
  }
}
