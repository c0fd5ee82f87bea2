import { v5, v7, validate as isUuid } from 'uuid';
import { invalid } from '../errors';

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
  const text = unquote(header);
  if (text === undefined) throw invalid({ path: ['Idempotency-Key'], message: 'must be 1 to 255 visible ASCII characters, bare or quoted' });
  return isUuid(text) ? text.toLowerCase() : v5(text, OID_NAMESPACE);
}

/** The text of the header, bare or as a quoted string of RFC 8941; undefined where it is neither. */
function unquote(header: string): string | undefined {
  const quoted = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/.exec(header);
  const text = quoted ? (quoted[1] as string).replace(/\\(["\\])/g, '$1') : header;
  return /^[\x21-\x7e]{1,255}$/.test(text) ? text : undefined;
}
