import type { LogFn } from 'pino';
import { MemoryThrottles } from './memory-throttles';

/** Limit for lines with the same message and level: MAX_LINES at once, then one line in each interval. */
const MAX_LINES = 10;
const LINE_EVERY_MS = 2_000;

type LogMethod = (this: unknown, args: Parameters<LogFn>, method: LogFn) => void;

/**
 * pino's hook `logMethod`: writes few lines about errors that `isBounded`, and counts the rest. While a database is down, anyone could
 * otherwise fill the log with requests. A later line has their number as `leftOut`.
 */
export function boundLines(isBounded: (error: unknown) => boolean): LogMethod {
  const throttles = new MemoryThrottles({ burst: MAX_LINES, intervalMs: LINE_EVERY_MS });
  const leftOut = new Map<string, number>();

  return function logMethod(args, method) {
    const [properties, message] = args as unknown as [{ err?: unknown } | string, string?];
    const isFree = typeof properties === 'string' || message === undefined || !isBounded(properties.err);
    if (isFree || throttles.take(message, 1) === 0) return method.apply(this as never, args);
    const count = leftOut.get(message) ?? 0;
    leftOut.set(message, count + 1);
    if (count > 0) return;
    const tell = () => {
      method.apply(this as never, [{ leftOut: leftOut.get(message) }, message] as never);
      leftOut.delete(message);
    };
    setTimeout(tell, LINE_EVERY_MS).unref();
  };
}
