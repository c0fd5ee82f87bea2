import { v5, v7, validate as isUuid } from 'uuid';
import { invalid } from '../errors';
import { BAD_IDEMPOTENCY_KEY, idempotencyKeyOf } from '../lib/idempotency-key';

const OID_NAMESPACE = v5.URL.replace('6ba7b811', '6ba7b812');

/** Makes a requestId for a call that has none. */
export const newRequestId = (): string => v7();

/**
 * Returns the requestId from the body or from `Idempotency-Key` as a UUID in lower case, or undefined if the caller sent neither.
 * Text in the header that is not a UUID becomes its UUIDv5 in the OID namespace. Throws INVALID_REQUEST if both are sent and differ.
 */
export function chosenRequestId(inBody: string | undefined, header: string | undefined): string | undefined {
  const fromBody = inBody?.toLowerCase();
  const fromHeader = header === undefined ? undefined : uuidOf(header);
  if (fromBody !== undefined && fromHeader !== undefined && fromBody !== fromHeader) {
    throw invalid({ path: ['requestId'], message: 'differs from Idempotency-Key; send only one of them' });
  }
  return fromBody ?? fromHeader;
}

/**
 * Returns the id under which the requestId of a verification is kept: its UUIDv5 with the asker. So it never equals a requestId that the
 * owner of the verified credential or another asker has chosen.
 */
export const requestIdOfAsker = (askerId: string, requestId: string): string => v5(`${askerId} ${requestId}`, OID_NAMESPACE);

function uuidOf(header: string): string {
  const text = idempotencyKeyOf(header);
  if (text === undefined) throw invalid(BAD_IDEMPOTENCY_KEY);
  return isUuid(text) ? text.toLowerCase() : v5(text, OID_NAMESPACE);
}
