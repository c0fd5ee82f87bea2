/**
 * Parses an `Idempotency-Key` header, bare or as a quoted string of RFC 8941. Returns undefined if it is neither, or if the text is not
 * 1 to 255 visible ASCII characters.
 */
export function idempotencyKeyOf(header: string): string | undefined {
  const quoted = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/.exec(header);
  const text = quoted ? (quoted[1] as string).replace(/\\(["\\])/g, '$1') : header;
  return /^[\x21-\x7e]{1,255}$/.test(text) ? text : undefined;
}

/** The problem to report for an invalid header. */
export const BAD_IDEMPOTENCY_KEY = { path: ['Idempotency-Key'], message: 'must be 1 to 255 visible ASCII characters, bare or quoted' };
