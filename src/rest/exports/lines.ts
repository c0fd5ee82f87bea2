import { stringify } from 'csv-stringify/sync';

// Writes values as lines of an export.

/** Characters that JSON does not escape but some tools split lines at. */
const LINE_ENDS = /[\u0085\u2028\u2029]/g;

/** Returns a value as JSON on one line, with these characters escaped. */
export function jsonLine(value: object): string {
  return `${JSON.stringify(value).replace(LINE_ENDS, (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;
}

/**
 * Positions at which a spreadsheet might start to read a formula: at the start of a text before `=`, `+`, `-` or `@`, also full-width and
 * after blanks, and before a tab or line end. Also after a semicolon, tab or line end inside the text, because some spreadsheets end a cell
 * there even within quotes.
 */
const FORMULA_STARTS = /(?<=^|[;\t\r\n])(?=\s*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20])|^(?=[\t\r\n])/g;

/** Prevents formula injection: inserts an apostrophe at each such position. Spreadsheets use the apostrophe to mark text. */
export const harmless = (text: string): string => text.replace(FORMULA_STARTS, "'");

const RFC_4180 = { record_delimiter: 'windows', quote_record_delimiter: true } as const; // the latter also quotes other line ends

const CSV_OPTIONS = {
  ...RFC_4180,
  cast: {
    string: harmless, // the library's option escape_formulas misses line ends, blanks and semicolons
    number: String, // without an apostrophe, because -5 is a number and not a formula
    boolean: String,
    date: (date: Date) => date.toISOString(),
    object: (list: object) => (list as string[]).map(harmless).join(' '),
  },
} as const;

/** Returns rows as CSV (RFC 4180) with values in the order of `columns`. Times are ISO 8601, lists are joined by blanks, null is empty. */
export function csvLines(columns: readonly string[], rows: readonly object[]): string {
  return stringify([...rows], { ...CSV_OPTIONS, columns: [...columns] });
}

/** Returns the first line of CSV: the names of the columns. */
export const csvHeader = (columns: readonly string[]): string => stringify([[...columns]], RFC_4180);
