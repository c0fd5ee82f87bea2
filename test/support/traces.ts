import { RequestLog } from '../../src/requests/request-log.entity';
import { Budget } from '../../src/wallet/wallet.entity';
import type { TestApp } from './app';
import { accountOf } from './books';

/** A limit that does not refill during a test: one call in more than a quarter of an hour. */
export const SLOW_LIMIT = { sustainedRps: 0.001, burst: 50 };

const SLOW_INTERVAL_MS = 1_000_000;

export interface Traces {
  balance: number;
  held: number;
  holds: number;
  /** The number of USAGE entries. */
  bills: number;
  /** The number of calls taken from the rate limit. Valid only for SLOW_LIMIT. */
  rateUsed: number;
  /** Oldest first. */
  logs: RequestLog[];
}

/** Reads the effects of a project's calls on its budget, its rate limit and its log. */
export async function tracesOf({ database }: Pick<TestApp, 'database'>, projectId: string): Promise<Traces> {
  const { balance, held, holds, bills } = await accountOf({ database }, projectId);
  const { theoreticalArrivalUs } = await database.reader.findOneByOrFail(Budget, { projectId });
  const debtMs = theoreticalArrivalUs / 1000 - (await database.now()).getTime();
  return {
    balance,
    held,
    holds,
    bills,
    rateUsed: Math.max(0, Math.ceil(debtMs / SLOW_INTERVAL_MS)),
    logs: await database.reader.find(RequestLog, { where: { projectId }, order: { id: 'ASC' } }),
  };
}
