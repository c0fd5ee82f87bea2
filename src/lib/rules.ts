import { z } from 'zod';

/** The largest integer that JSON, JavaScript, MySQL and SQLite all keep exactly. */
export const MAX_MICRO_CREDITS = Number.MAX_SAFE_INTEGER;

// A database ignores trailing blanks when it compares texts. So a text that ends with a blank could equal another text.
const noOuterBlanks = (text: string): boolean => text === text.trim();

/** Keeps only texts that can be stored, without outer blanks. So a look-up compares by bytes on every database. */
export const storable = (texts: readonly string[]): string[] => texts.filter(noOuterBlanks);

/** Line and paragraph separators, and characters that change the direction of the text after them. */
const LAYOUT_CONTROLS = /[\u2028-\u202e\u2066-\u2069]/;

/**
 * A visible character. Excludes blanks, combining marks, control characters, characters that Unicode says to ignore, the braille blank and
 * the musical null notehead.
 */
const VISIBLE = /[^\p{Z}\p{M}\p{Cc}\p{Cf}\p{Cs}\p{Default_Ignorable_Code_Point}\u2800\u{1d159}]/u;

/** The rule for one line of text, such as a name or a reason: a visible character, no control characters, no outer blanks. */
export function lineOfText(maxLength: number) {
  return z
    .string()
    .min(1, 'must not be empty')
    .refine((text) => [...text].length <= maxLength, `must be at most ${maxLength} characters`)
    .refine((text) => text === '' || VISIBLE.test(text), 'must hold a visible character')
    .refine(noOuterBlanks, 'must not begin or end with a blank')
    .refine((text) => !/[\p{Cc}\p{Cs}]/u.test(text) && !LAYOUT_CONTROLS.test(text), 'must not hold control characters');
}

/** Removes duplicates from a list. */
export const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];

export const nameRule = lineOfText(100);
export const reasonRule = lineOfText(500);
export const referenceRule = lineOfText(200);
export const idRule = z.string().regex(/^[0-9A-Za-z_-]{1,64}$/, 'is not an id');
export const slugRule = z.string().regex(/^[a-z0-9-]{2,40}$/, 'must be 2 to 40 characters of a-z, 0-9 and -');
export const keyPrefixRule = z.string().regex(/^[a-z][a-z0-9]{1,11}$/, 'must be 2 to 12 characters of a-z and 0-9; the first is a letter');

const wholeMicroCredits = z
  .number()
  .refine((value) => Number.isSafeInteger(value), 'must be a whole number of micro-credits within 2^53 - 1');

/** The seller's own name for the user behind a call: a header can have it, so it is visible ASCII and blanks. */
export const subjectRule = z.string().regex(/^[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?$/, 'must be 1 to 255 visible ASCII characters');

/** The most units that an action prices, and the most that the usage of one call names. */
export const MAX_UNITS = 20;

/** An amount that moves credits in one direction. */
export const positiveMicroCredits = wholeMicroCredits.refine((value) => value > 0, 'must be above zero');
/** A price. It may be zero. */
export const priceRule = wholeMicroCredits.refine((value) => value >= 0, 'must be zero or more');
/** An amount that may move credits in either direction. */
export const signedMicroCredits = wholeMicroCredits.refine((value) => value !== 0, 'must not be zero');

