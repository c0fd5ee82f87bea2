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
 * Watches the clients that are slow to read or to send:
 * - A large answer is watched until the client has read it. If the client reads nothing for ANSWER_STALL_MS, its connection is closed. A
 *   stop waits for these answers, because Node regards their connections as idle and would close them. During a stop, the time is
 *   LAST_STALL_MS.
 * - A request that is answered before its body has arrived is watched until the body has arrived. A stop closes its connection after
 *   LAST_BODY_MS, because no handler reads the body, and Node would wait for it for ever.
 */
export class UnreadAnswers {
  /** The number of unread large answers of each connection. */
  private readonly unread = new Map<Socket, number>();
  /** Requests that are answered before they have arrived. */
  private readonly unfinished = new Set<IncomingMessage>();
  /** Tells a stop that no large answer is unread. */
  private allRead: () => void = () => undefined;

  /** Watches all routes that are registered after this call. */
  constructor(
    app: FastifyInstance,
    private stallMs = ANSWER_STALL_MS,
  ) {
    app.addHook('onSend', (request, reply, payload, done) => {
      if (!request.raw.complete) this.watchRequest(request.raw);
      const isLarge = (typeof payload === 'string' || Buffer.isBuffer(payload)) && payload.length > UNCOUNTED_BYTES;
      if (isLarge) this.watchAnswer(request.raw, reply.raw);
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

  private watchRequest(request: IncomingMessage): void {
    this.unfinished.add(request);
    request.once('close', () => this.unfinished.delete(request));
  }

  private watchAnswer({ socket }: IncomingMessage, answer: ServerResponse): void {
    answer.setTimeout(this.stallMs, () => socket.destroy());
    this.unread.set(socket, (this.unread.get(socket) ?? 0) + 1);
    whenAnswered({ socket }, answer, () => this.endOfAnswer(socket));
  }

  /** Counts one unread answer less. A connection has one timeout for all its answers: it stays while another of them is unread. */
  private endOfAnswer(socket: Socket): void {
    const left = (this.unread.get(socket) ?? 1) - 1;
    if (left > 0) {
      this.unread.set(socket, left);
      socket.setTimeout(this.stallMs);
    } else {
      this.unread.delete(socket);
      if (socket.timeout === this.stallMs) socket.setTimeout(0); // the next call may be slow
    }
    if (this.unread.size === 0) this.allRead();
  }
}
