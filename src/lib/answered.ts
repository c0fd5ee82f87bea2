import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * Calls back once: when the answer is out, or when its caller is gone, be it already. Node tells the latter only to the answer that a connection
 * is busy with: one that waits behind another (HTTP pipelining) hears nothing of its end.
 */
export function whenAnswered({ socket }: Pick<IncomingMessage, 'socket'>, answer: ServerResponse, callBack: () => void): void {
  if (answer.destroyed || socket.destroyed) return callBack();
  const over = () => {
    answer.off('close', over);
    socket.off('close', over);
    callBack();
  };
  answer.once('close', over);
  if (answer.socket !== null) return;
  socket.setMaxListeners(0); // as many may wait behind another as came at once
  socket.once('close', over);
}
