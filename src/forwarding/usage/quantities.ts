import { parseDictionary } from 'structured-headers';

/** How much of each unit a call used. */
export type Usage = Record<string, number>;

/** The most units of one answer. Others are left out. */
const MAX_UNITS = 20;
const UNIT = /^[a-z][a-z0-9_]{0,39}$/;

/** An integer from 0 to 2^53 - 1, as JSON or a structured field has it. */
export const isQuantity = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/**
 * Reads `Tollgate-Usage`: a dictionary of RFC 9651, `faces=3, pages=1`. Leaves out values that are not quantities. Returns null if none is
 * left.
 */
export function readUsageField(text: string): Usage | null {
  try {
    const entries = [...parseDictionary(text)].map(([unit, [value]]) => [unit, value] as const);
    return usageOf(entries.filter(([unit]) => UNIT.test(unit)).slice(0, MAX_UNITS));
  } catch {
    return null; // RFC 9651: a field that cannot be parsed is ignored as a whole
  }
}

/** Makes usage of units and values. Leaves out values that are not quantities. Null if none is left. */
export function usageOf(entries: Iterable<readonly [unit: string, value: unknown]>): Usage | null {
  const quantities = [...entries].filter((entry): entry is readonly [string, number] => isQuantity(entry[1]));
  // -0 is a quantity and becomes 0
  return quantities.length === 0 ? null : Object.fromEntries(quantities.map(([unit, value]) => [unit, value + 0]));
}
