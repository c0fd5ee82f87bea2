import { TollgateError } from '../errors';
import { withTimeout } from '../lib/time';
import { TICK_DEADLINE_MS } from './tick/tick-connection.mysql';

/** Returns the result of a read. Throws SERVICE_UNAVAILABLE if it fails, or takes longer than TICK_DEADLINE_MS. */
export async function readInTime<T>(read: Promise<T>): Promise<T> {
  try {
    return await withTimeout(read, TICK_DEADLINE_MS);
  } catch (error) {
    throw new TollgateError('SERVICE_UNAVAILABLE', undefined, {}, { cause: error });
  }
}
