import type { IncomingMessage } from 'node:http';
import { TollgateError } from '../../errors';

/**
 * Reads a body to its end. Resolves with undefined if it is larger than `limitBytes`. Rejects with CALLER_GONE if the caller leaves or
 * stops sending.
 */
export function readWhole(incoming: IncomingMessage, limitBytes: number, idleTimeoutMs = 60_000): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const gone = () => end(() => reject(new TollgateError('CALLER_GONE')));
    const timer = setTimeout(gone, idleTimeoutMs);
    const take = (chunk: Buffer): void => {
      length += chunk.length;
      chunks.push(chunk);
      timer.refresh();
      if (length > limitBytes) end(() => resolve(undefined));
    };
    const whole = () => end(() => resolve(Buffer.concat(chunks)));
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      incoming.off('data', take).off('end', whole).off('close', gone);
      settle();
    };
    incoming.on('data', take).once('end', whole).once('close', gone);
  });
}
