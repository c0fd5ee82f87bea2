/** Thrown if an object of a JSON text has two members with the same name. JSON parsers do not agree on which of the two they take. */
export class DuplicateNames extends Error {
  override name = 'DuplicateNames';
}

/** The largest number of objects, arrays and members in a JSON text from a client. Parsing more would block the event loop. */
export const MAX_JSON_PARTS = 100_000;

/** Thrown for a JSON text with more than MAX_JSON_PARTS parts. */
export class TooManyParts extends Error {
  override name = 'TooManyParts';

  constructor() {
    super(`has more than ${MAX_JSON_PARTS} objects, arrays and members; send less at once`);
  }
}

/** Thrown for a JSON text with more values in its arrays and objects than its reader takes. */
export class TooManyValues extends Error {
  override name = 'TooManyValues';
}

/**
 * Parses a JSON text. Also returns the text of the member `name` of its outermost object exactly as written, so that numbers keep all
 * digits. `memberJson` is undefined if that member is no object or array. Throws a SyntaxError, DuplicateNames or TooManyParts.
 */
export function readJson(text: string, name: string): { value: unknown; memberJson: string | undefined } {
  const { members, from, to } = scan(text, name);
  const value: unknown = JSON.parse(text);
  if (members !== countMembers(value)) throw new DuplicateNames();
  return { value, memberJson: to === 0 ? undefined : text.slice(from, to) };
}

const [QUOTE, COMMA, COLON, BACKSLASH] = [0x22, 0x2c, 0x3a, 0x5c];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** Throws TooManyParts before a text is parsed, or TooManyValues if it has more commas between values than `maxCommas`. */
export function requireFewParts(text: string, maxCommas: number): void {
  scan(text, '', maxCommas);
}

/**
 * Counts the members of all objects in a JSON text, including duplicates. Finds the start and the end of the member `name` of the outermost
 * object. The result means nothing if the text is not JSON. Throws TooManyParts or TooManyValues.
 */
function scan(text: string, name: string, maxCommas = Infinity): { members: number; from: number; to: number } {
  let [containers, depth, members, commas, from, to, nameFrom, nameTo] = [0, 0, 0, 0, 0, 0, 0, 0];
  let isNamed = false;
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (character === QUOTE) {
      const end = endOfString(text, at);
      if (depth === 1) [nameFrom, nameTo] = [at, end + 1];
      at = end;
    } else if (character === COLON) {
      members++;
      if (depth === 1) isNamed = isString(text.slice(nameFrom, nameTo), name);
    } else if (character === COMMA) {
      if (++commas > maxCommas) throw new TooManyValues();
    } else if (character === OPEN_OBJECT || character === OPEN_ARRAY) {
      if (depth === 1 && isNamed) from = at;
      depth++;
      containers++;
    } else if (character === CLOSE_OBJECT || character === CLOSE_ARRAY) {
      depth--;
      if (depth === 1 && isNamed) to = at + 1;
    }
    if (containers + members > MAX_JSON_PARTS) throw new TooManyParts();
  }
  return { members, from, to };
}

/** Finds the quotation mark that ends the string at `start`; the end of the text if it has none. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1); // native, so that a large string costs little
  while (end !== -1 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end === -1 ? text.length : end;
}

function isEscaped(text: string, at: number): boolean {
  let first = at;
  while (text.charCodeAt(first - 1) === BACKSLASH) first--;
  return (at - first) % 2 === 1;
}

/** The longest form of a character in a JSON string, such as \u0061. */
const MAX_ESCAPE_LENGTH = 6;

/**
 * Whether a JSON string, with its quotation marks, has the value `expected`. Compares lengths first: a text that is not JSON can
 * have one long string and any number of colons after it.
 */
function isString(json: string, expected: string): boolean {
  if (json.length > expected.length * MAX_ESCAPE_LENGTH + 2) return false;
  return json.includes('\\') ? JSON.parse(json) === expected : json === `"${expected}"`;
}

/** Counts the members of all objects in a parsed text. The parser keeps only one of several members with the same name. */
function countMembers(value: unknown): number {
  let members = 0;
  const waiting: unknown[] = [value]; // no recursion: a text may be nested deeper than the stack
  while (waiting.length > 0) {
    const next = waiting.pop();
    if (Array.isArray(next)) {
      for (const item of next) if (typeof item === 'object' && item !== null) waiting.push(item);
    } else if (typeof next === 'object' && next !== null) {
      for (const name in next) {
        members++;
        const item = (next as Record<string, unknown>)[name];
        if (typeof item === 'object' && item !== null) waiting.push(item);
      }
    }
  }
  return members;
}

/** Whether a valid JSON text has a number that JavaScript would change: too many digits, or too large or too small. */
export function hasInexactNumber(text: string): boolean {
  if (!/\d[\d.]{15}|\d[eE]/.test(text)) return false; // a double keeps fifteen digits exactly
  const numbers = text.replace(/"(?:[^"\\]|\\.)*"/g, '""').match(/\d[\d.eE+-]*/g) ?? [];
  return numbers.some((number) => number.length > MAX_NUMBER_LENGTH || decimalOf(number) !== decimalOf(String(Number(number))));
}

/** Enough characters for every double. A limit is needed because decimalOf() is quadratic in the length. */
const MAX_NUMBER_LENGTH = 400;

/** A canonical text of a decimal number. Equal numbers give the same text, in whatever notation they are written. */
function decimalOf(number: string): string {
  const [, whole = '', fraction = '', exponent = '0'] = /^(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number) ?? [];
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  return significant === '' ? '0' : `${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`;
}
