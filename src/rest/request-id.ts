import { v5, v7, validate as isUuid } from 'uuid';
import { invalid } from '../errors';
import { BAD_IDEMPOTENCY_KEY, idempotencyKeyOf } from '../lib/idempotency-key';

const OID_NAMESPACE = v5.URL.replace('6ba7b811', '6ba7b812');

/** A requestId of this server's own, for calls that bring none. */
export const newRequestId = (): string => v7();

/**
 * The requestId that a caller chose, in the body or as `Idempotency-Key`, as a UUID in lower case; undefined where it chose none.
 * Text that is no UUID counts as its UUIDv5 in the OID namespace. INVALID_REQUEST where both are given and differ.
 */
export function chosenRequestId(inBody: string | undefined, header: string | undefined): string | undefined {
  const fromBody = inBody?.toLowerCase();
  const fromHeader = header === undefined ? undefined : uuidOf(header);
  if (fromBody !== undefined && fromHeader !== undefined && fromBody !== fromHeader) {
    throw invalid({ path: ['requestId'], message: 'is another one than Idempotency-Key; send one' });
  }
  return fromBody ?? fromHeader;
}

function uuidOf(header: string): string {
  const text = idempotencyKeyOf(header);
  if (text === undefined) throw invalid(BAD_IDEMPOTENCY_KEY);
  return isUuid(text) ? text.toLowerCase() : v5(text, OID_NAMESPACE);
}
