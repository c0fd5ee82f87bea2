import type { Evidence, LimitSpan, LogRow, Violation } from './evidence';

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const TIME_DIGITS = 9;

/** Reads from an attempt's id when its tick began, in milliseconds since 1970, rounded down. */
export function tickBegan(attempt: string): number {
  let ms = 0;
  for (const digit of attempt.slice(attempt.indexOf('_') + 1).slice(0, TIME_DIGITS)) ms = ms * BASE62.length + BASE62.indexOf(digit);
  return ms;
}

/** The span in which an admission happened, in milliseconds since 1970. */
export interface Admission {
  from: number;
  to: number;
}

/**
 * Checks that no window of any length has more admissions than burst + rate x time. The exact time of an admission is not recorded: it lies
 * between the start of its tick and the start of its action. An admission counts only for windows that contain this whole span.
 */
export function* verifyRates({ tables, limits }: Evidence): Generator<Violation> {
  const admissions = new Map<string, Admission[]>();
  for (const log of tables.logs) {
    if (log.outcome === 'REFUSED') continue;
    const list = admissions.get(log.projectId);
    if (list) list.push(admissionOf(log));
    else admissions.set(log.projectId, [admissionOf(log)]);
  }
  for (const limit of limits) {
    const inside = (admissions.get(limit.projectId) ?? []).filter(({ from, to }) => from >= limit.from && to <= limit.to);
    const overrun = overrunOf(inside, limit);
    if (overrun) {
      const seconds = ((overrun.to - overrun.from) / 1000).toFixed(3);
      yield {
        check: 'a rate limit is kept',
        detail: `${limit.projectId}: ${overrun.calls} calls in ${seconds} s, but the limit is ${limit.burst} + ${limit.rps}/s`,
      };
    }
  }
}

function admissionOf(log: LogRow): Admission {
  const from = tickBegan(log.id);
  // createdAt is in whole milliseconds, rounded down. The row of an expired hold has no actionMs, so it only tells when the hold ended.
  return { from, to: Math.max(from, log.createdAt + 1 - Math.floor(log.actionMs ?? 0)) };
}

/** Returns a window that exceeds the limit, or undefined if every window is within it. */
export function overrunOf(
  admissions: Admission[],
  { rps, burst }: Pick<LimitSpan, 'rps' | 'burst'>,
): { from: number; to: number; calls: number } | undefined {
  const starts = [...admissions].sort((a, b) => a.from - b.from);
  const base = starts[0]?.from ?? 0;
  const seconds = (ms: number) => (ms - base) / 1000;
  // The value of start i is rate x start, plus the admissions since then. It must not exceed burst + rate x end.
  const tree = new MaxTree(starts.map(({ from }) => rps * seconds(from)));
  const order = starts.map((_, index) => index).sort((a, b) => (starts[a] as Admission).to - (starts[b] as Admission).to);
  let begun = 0;
  for (const index of order) {
    const { to } = starts[index] as Admission;
    tree.addUpTo(index, 1);
    while (begun < starts.length && (starts[begun] as Admission).from <= to) begun += 1;
    if (tree.maxBefore(begun) > burst + rps * seconds(to) + 1e-6) {
      const first = starts.findIndex((_, start) => start < begun && tree.valueAt(start) > burst + rps * seconds(to) + 1e-6);
      const { from } = starts[first] as Admission;
      return { from, to, calls: starts.filter((admission) => admission.from >= from && admission.to <= to).length };
    }
  }
  return undefined;
}

/** A segment tree: adds to a prefix and returns the maximum of a prefix, each in logarithmic time. */
class MaxTree {
  private readonly size: number;
  private readonly most: Float64Array;
  private readonly added: Float64Array;

  constructor(values: number[]) {
    this.size = 1;
    while (this.size < values.length) this.size *= 2;
    this.most = new Float64Array(2 * this.size).fill(-Infinity);
    this.added = new Float64Array(2 * this.size);
    values.forEach((value, index) => (this.most[this.size + index] = value));
    for (let node = this.size - 1; node > 0; node -= 1)
      this.most[node] = Math.max(this.most[2 * node] as number, this.most[2 * node + 1] as number);
  }

  /** Adds to all values up to and including `index`. */
  addUpTo(index: number, amount: number): void {
    this.add(1, 0, this.size, index + 1, amount);
  }

  /** Returns the largest of the first `count` values. */
  maxBefore(count: number): number {
    return this.max(1, 0, this.size, count);
  }

  valueAt(index: number): number {
    let value = this.most[this.size + index] as number;
    for (let node = (this.size + index) >> 1; node > 0; node >>= 1) value += this.added[node] as number;
    return value;
  }

  private add(node: number, begin: number, end: number, count: number, amount: number): void {
    if (count <= begin) return;
    if (count >= end) {
      this.most[node] = (this.most[node] as number) + amount;
      this.added[node] = (this.added[node] as number) + amount;
      return;
    }
    const middle = (begin + end) / 2;
    this.add(2 * node, begin, middle, count, amount);
    this.add(2 * node + 1, middle, end, count, amount);
    this.most[node] = Math.max(this.most[2 * node] as number, this.most[2 * node + 1] as number) + (this.added[node] as number);
  }

  private max(node: number, begin: number, end: number, count: number): number {
    if (count <= begin) return -Infinity;
    if (count >= end) return this.most[node] as number;
    const middle = (begin + end) / 2;
    return Math.max(this.max(2 * node, begin, middle, count), this.max(2 * node + 1, middle, end, count)) + (this.added[node] as number);
  }
}
