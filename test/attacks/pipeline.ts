import { once } from 'node:events';
import type { Target } from './target';

/** How many requests go into one write. */
const WRITTEN_AT_ONCE = 2_000;

/**
 * Sends one request `count` times on one connection, without waiting for an answer, and closes it. Stops early if it is cut off, or
 * if the attack's time is over.
 */
export async function pipeline(target: Target, request: string, count: number, { readsAnswers = true } = {}): Promise<void> {
  const socket = await target.connect();
  if (!readsAnswers) socket.pause();
  const chunk = Buffer.from(request.repeat(WRITTEN_AT_ONCE), 'latin1');
  const ended = once(socket, 'close').then(() => 'closed' as const);
  for (let sent = 0; sent < count && !target.isOver(); sent += WRITTEN_AT_ONCE) {
    if (socket.destroyed) return;
    if (socket.write(chunk)) continue;
    const waited = await Promise.race([once(socket, 'drain').then(() => 'drained' as const), ended, target.over()]);
    if (waited !== 'drained') break;
  }
  socket.destroy();
}
