/** A JSON pointer (RFC 6901), split into its tokens. */
export type Pointer = readonly string[];

/** Splits a JSON pointer. Throws if it is not empty and does not begin with a slash. */
export function parsePointer(text: string): Pointer {
  if (text === '') return [];
  if (!text.startsWith('/')) throw new Error(`${text} is not a JSON pointer.`);
  const tokens = text.slice(1).split('/');
  return tokens.map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The value at a pointer, or undefined if there is none. */
export function valueAt(document: unknown, pointer: Pointer): unknown {
  let value = document;
  for (const token of pointer) {
    if (typeof value !== 'object' || value === null) return undefined;
    if (Array.isArray(value) ? !/^(0|[1-9]\d*)$/.test(token) : !Object.hasOwn(value, token)) return undefined;
    value = (value as Record<string, unknown>)[token];
  }
  return value;
}
