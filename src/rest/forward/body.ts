import type { IncomingMessage } from 'node:http';
import { TollgateError } from '../../errors';
import { Patience } from '../../forwarding/patience';

/**
 * Reads a body to its end. Resolves with undefined if it is larger than `limitBytes`. Rejects with CALLER_GONE if the caller leaves, stops
 * sending for `idleTimeoutMs`, or needs longer than `maxDurationMs` in all.
 */
export function readWhole(
  incoming: IncomingMessage,
  limitBytes: number,
  { idleTimeoutMs, maxDurationMs }: { idleTimeoutMs: number; maxDurationMs: number },
): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const gone = () => end(() => reject(new TollgateError('CALLER_GONE')));
    const patience = new Patience(maxDurationMs, idleTimeoutMs, gone);
    const take = (chunk: Buffer): void => {
      length += chunk.length;
      chunks.push(chunk);
      patience.progress();
      if (length > limitBytes) end(() => resolve(undefined));
    };
    const whole = () => end(() => resolve(Buffer.concat(chunks)));
    const end = (settle: () => void): void => {
      patience.stop();
      incoming.off('data', take).off('end', whole).off('close', gone);
      settle();
    };
    incoming.on('data', take).once('end', whole).once('close', gone);
  });
}
