import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { UNCOUNTED_BYTES } from '../gate/load/kept-bytes';
import { whenAnswered } from '../lib/answered';

/** Time for which a client may read nothing of a large answer before its connection is closed. */
const ANSWER_STALL_MS = 120_000;
/** The same time while the process stops. */
const LAST_STALL_MS = 5_000;
/** Time for which a stop waits for the rest of a request that is already answered. */
const LAST_BODY_MS = 1_000;

/**
 * Watches large answers until the client has read them, and requests that are answered before their body has arrived. Closes the connection
 * of a client that does not read. A stop waits for clients that read, because Node regards their connections as idle and would close them.
 * A stop does not wait for the bodies: no handler reads them, and Node regards their connections as busy for ever.
 */
export class UnreadAnswers {
  /** Number of unread answers by connection. */
  private readonly unread = new Map<Socket, number>();
  /** Requests that are answered before they have arrived. */
  private readonly unfinished = new Set<IncomingMessage>();
  private allRead: () => void = () => undefined;

  /** Watches all routes that are registered after this call. */
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

  /** Makes a stop wait. Call it after all other `preClose` hooks are added, because they run one after another. */
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
      this.release(socket);
      if (this.unread.size === 0) this.allRead();
    });
  }

  /**
   * Counts one unread answer less, and sets the timeout of the connection again. A connection has one timeout for all its answers: it must
   * not apply to the next call, and it must stay while another answer is unread.
   */
  private release(socket: Socket): void {
    const left = (this.unread.get(socket) ?? 1) - 1;
    if (left > 0) this.unread.set(socket, left);
    else this.unread.delete(socket);
    if (left > 0 || socket.timeout === this.stallMs) socket.setTimeout(left > 0 ? this.stallMs : 0);
  }
}
