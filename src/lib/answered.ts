import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** The callbacks for the end of each connection. A connection has only one listener, even if many of its requests wait. */
const endsOf = new WeakMap<Duplex, Set<() => void>>();

/**
 * Calls `callBack` once, when the answer is sent or the caller has disconnected. Calls it at once if the caller has already disconnected.
 * Node reports the end of a connection only to the answer that is being sent. This function also reports it to the answers that wait behind
 * it (HTTP pipelining).
 */
export function whenAnswered({ socket }: Pick<IncomingMessage, 'socket'>, answer: ServerResponse, callBack: () => void): void {
  if (answer.destroyed || socket.destroyed) return callBack();
  const waiting = isBehindAnother(answer) ? endsOn(socket) : undefined;
  const over = () => {
    answer.off('close', over);
    waiting?.delete(over);
    callBack();
  };
  answer.once('close', over);
  waiting?.add(over);
}

/** Whether an answer waits until earlier answers on its connection are sent. */
export const isBehindAnother = ({ socket }: ServerResponse): boolean => socket === null;

/** The number of calls of `whenAnswered` that wait behind other answers of a connection. */
export const waitingOn = (socket: Duplex): number => endsOf.get(socket)?.size ?? 0;

function endsOn(socket: Duplex): Set<() => void> {
  const known = endsOf.get(socket);
  if (known) return known;
  const ends = new Set<() => void>();
  endsOf.set(socket, ends);
  socket.once('close', () => [...ends].forEach((over) => over()));
  return ends;
}

/** The answer that a connection is sending now. Node keeps it in this property. */
export const answerOn = (socket: Duplex): ServerResponse | undefined =>
  (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined;

/**
 * For a connection that Node no longer treats as HTTP. Calls `callBack` when all answers to its earlier requests are sent, but not if the
 * connection ends before. Until then it handles the events of the connection as Node does for HTTP, because those answers need this.
 */
export function afterAnswers(socket: Duplex, callBack: () => void): void {
  if (!socket.writable) return void socket.destroy();
  const answer = answerOn(socket);
  if (!answer) return callBack();
  const onError = () => undefined; // 'close' follows
  const onTimeout = () => socket.destroy();
  const onDrain = () => answer.emit('drain');
  socket.on('error', onError).on('timeout', onTimeout).on('drain', onDrain);
  answer.once('close', () => {
    socket.off('error', onError).off('timeout', onTimeout).off('drain', onDrain);
    if (socket.destroyed) socket.on('error', onError);
    else afterAnswers(socket, callBack);
  });
}
