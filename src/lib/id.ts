import { randomFillSync } from 'node:crypto';

/** The digits, in byte order, so that numbers of equal length sort correctly as text. */
export const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

const TIME_LENGTH = 9; // 62^9 milliseconds are 400,000 years
const RANDOM_LENGTH = 13; // 77 random bits for each millisecond

const pool = Buffer.alloc(4096);
let used = pool.length;

function randomByte(): number {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  return pool[used++] as number;
}

/** Returns `length` random characters of 0-9A-Za-z, all equally likely, from the operating system's random source. */
export function randomBase62(length: number): string {
  let text = '';
  while (text.length < length) {
    const byte = randomByte();
    if (byte < 248) text += BASE62[byte % 62]; // 248 = 4 * 62; larger bytes would favour the first digits
  }
  return text;
}

/** Writes a non-negative integer in base 62, padded on the left to `length`. */
export function toBase62(value: number, length: number): string {
  let text = '';
  for (let rest = value; rest > 0; rest = Math.floor(rest / 62)) text = (BASE62[rest % 62] as string) + text;
  return text.padStart(length, '0');
}

/** Reads a number that `toBase62` wrote. */
export function fromBase62(text: string): number {
  let value = 0;
  for (const digit of text) value = value * 62 + BASE62.indexOf(digit);
  return value;
}

export type IdPrefix = 'ws' | 'prj' | 'key' | 'wal' | 'log' | 'act' | 'evt' | 'rol' | 'usr' | 'ses' | 'inv' | 'svc' | 'app' | 'con' | 'rte';

/** Makes an id such as `key_0VKq3Zb1M8fD2sYt6Hc0Qw`: the type, the millisecond and 77 random bits. Ids of one type sort by time. */
export function newId(prefix: IdPrefix, nowMs: number = Date.now()): string {
  return `${prefix}_${toBase62(nowMs, TIME_LENGTH)}${randomBase62(RANDOM_LENGTH)}`;
}

/** Returns the id with another prefix. So an object that belongs to exactly one other object needs no id column. */
export function reprefix(id: string, prefix: string): string {
  return `${prefix}_${id.slice(id.indexOf('_') + 1)}`;
}
