import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { UNCOUNTED_BYTES } from '../gate/kept-bytes';
import { whenAnswered } from '../lib/answered';

/** How long whoever asked may take nothing of an answer that waits for it; then its connection is cut. */
const ANSWER_STALL_MS = 60_000;
/** How long a stop waits for what is still to come of a request that has been answered. */
const LAST_BODY_MS = 1_000;

/**
 * Whoever does not read a large answer is cut off, and a stop waits for those that are being read: Node would take their connections for idle.
 * Nor does a stop wait for bodies that nobody will read: Node would take their connections for busy, for good.
 */
export function watchAnswers(app: FastifyInstance, stallMs = ANSWER_STALL_MS): void {
  const unread = new Set<ServerResponse>();
  const unfinished = new Set<IncomingMessage>();
  let allRead: () => void = () => undefined;

  app.addHook('onSend', (request, reply, payload, done) => {
    const { raw } = request;
    if (!raw.complete) {
      unfinished.add(raw);
      raw.once('close', () => unfinished.delete(raw));
    }
    if ((typeof payload === 'string' || Buffer.isBuffer(payload)) && payload.length > UNCOUNTED_BYTES) {
      unread.add(reply.raw);
      reply.raw.setTimeout(stallMs);
      whenAnswered(raw, reply.raw, () => {
        if (raw.socket.timeout === stallMs) raw.socket.setTimeout(0); // or it would hold for the action of whatever waits behind
        unread.delete(reply.raw);
        if (unread.size === 0) allRead();
      });
    }
    done(null, payload);
  });

  app.addHook('preClose', async () => {
    setTimeout(() => unfinished.forEach((request) => request.destroy()), LAST_BODY_MS).unref();
    if (unread.size > 0) await new Promise<void>((resolve) => (allRead = resolve));
  });
}
