import { stringify } from 'csv-stringify/sync';

// Values as the lines of an export.

/** What JSON leaves as it is, and some tools end a line at. */
const LINE_ENDS = /[\u0085\u2028\u2029]/g;

/** JSON on one line, whoever splits lines. */
export function jsonLine(value: object): string {
  return `${JSON.stringify(value).replace(LINE_ENDS, (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;
}

/**
 * Where a spreadsheet might begin to read a formula: `=`, `+`, `-` and `@`, the full-width ones too, at the start of a text, blanks before
 * them or not, and a tab or an end of a line there. The same after what some spreadsheets take for the end of a cell, whatever quotes say.
 */
const FORMULA_STARTS = /(?<=^|[;\t\r\n])(?=\s*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20])|^(?=[\t\r\n])/g;

/** Text that no spreadsheet takes for a formula: it has an apostrophe where one might begin, which is how spreadsheets themselves mark text. */
export const harmless = (text: string): string => text.replace(FORMULA_STARTS, "'");

const RFC_4180 = { record_delimiter: 'windows', quote_record_delimiter: true } as const; // the latter for an end of a line of another kind

const CSV_OPTIONS = {
  ...RFC_4180,
  cast: {
    string: harmless, // the library's own escape_formulas knows neither an end of a line, nor blanks, nor semicolons
    number: String, // as JSON writes it: -5 is a number
    boolean: String,
    date: (date: Date) => date.toISOString(),
    object: (list: object) => (list as string[]).map(harmless).join(' '),
  },
} as const;

/** Rows as RFC 4180 has them, the values of each in the order of `columns`. Times are ISO 8601, lists separated by blanks, and null is empty. */
export function csvLines(columns: readonly string[], rows: readonly object[]): string {
  return stringify([...rows], { ...CSV_OPTIONS, columns: [...columns] });
}

/** The first line. */
export const csvHeader = (columns: readonly string[]): string => stringify([[...columns]], RFC_4180);
