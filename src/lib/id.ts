import { randomFillSync } from 'node:crypto';

/** Digits in the order of their bytes, so that equal-length numbers sort as text. */
export const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

const TIME_LENGTH = 9; // 62^9 milliseconds last for 400,000 years
const RANDOM_LENGTH = 13; // 77 bits in any one millisecond

const pool = Buffer.alloc(4096);
let used = pool.length;

function randomByte(): number {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  return pool[used++] as number;
}

/** `length` characters of 0-9A-Za-z, each equally likely, from the operating system's random source. */
export function randomBase62(length: number): string {
  let text = '';
  while (text.length < length) {
    const byte = randomByte();
    if (byte < 248) text += BASE62[byte % 62]; // 248 = 4 * 62: the rest would favour the first digits
  }
  return text;
}

/** A whole number of 0 or more as base 62, padded on the left to `length`. */
export function toBase62(value: number, length: number): string {
  let text = '';
  for (let rest = value; rest > 0; rest = Math.floor(rest / 62)) text = (BASE62[rest % 62] as string) + text;
  return text.padStart(length, '0');
}

/** The number that `toBase62` wrote. */
export function fromBase62(text: string): number {
  let value = 0;
  for (const digit of text) value = value * 62 + BASE62.indexOf(digit);
  return value;
}

export type IdPrefix = 'ws' | 'prj' | 'key' | 'wal' | 'log' | 'act' | 'evt' | 'rol' | 'usr' | 'ses' | 'inv' | 'svc' | 'app' | 'con';

/** A new id such as `key_0VKq3Zb1M8fD2sYt6Hc0Qw`: its type, the millisecond, 77 random bits. Ids of one type sort by time. */
export function newId(prefix: IdPrefix, nowMs: number = Date.now()): string {
  return `${prefix}_${toBase62(nowMs, TIME_LENGTH)}${randomBase62(RANDOM_LENGTH)}`;
}

/** The same id under another prefix: what belongs to an object one to one needs no column of its own. */
export function reprefix(id: string, prefix: string): string {
  return `${prefix}_${id.slice(id.indexOf('_') + 1)}`;
}
