import { Hold } from '../../src/gate/gate.entities';
import { RequestLog } from '../../src/requests/request-log.entity';
import { LedgerEntry, LedgerKind } from '../../src/wallet/ledger-entry.entity';
import { Budget } from '../../src/wallet/wallet.entity';
import type { TestApp } from './app';

/** A limit that refills too slowly for a test to see: a call every quarter of an hour and more. */
export const SLOW_LIMIT = { sustainedRps: 0.001, burst: 50 };

const SLOW_INTERVAL_MS = 1_000_000;

export interface Traces {
  balance: number;
  held: number;
  holds: number;
  /** USAGE entries. */
  bills: number;
  /** Calls taken out of the rate limit; only where that is SLOW_LIMIT. */
  rateUsed: number;
  /** Oldest first. */
  logs: RequestLog[];
}

/** What the calls of a project have left behind: in its budget, its limit and its log. */
export async function tracesOf({ database }: Pick<TestApp, 'database'>, projectId: string): Promise<Traces> {
  const { reader } = database;
  const { balance, held, theoreticalArrivalUs } = await reader.findOneByOrFail(Budget, { projectId });
  const debtMs = theoreticalArrivalUs / 1000 - (await database.now()).getTime();
  return {
    balance,
    held,
    holds: await reader.countBy(Hold, { projectId }),
    bills: await reader.countBy(LedgerEntry, { accountId: projectId, kind: LedgerKind.USAGE }),
    rateUsed: Math.max(0, Math.ceil(debtMs / SLOW_INTERVAL_MS)),
    logs: await reader.find(RequestLog, { where: { projectId }, order: { id: 'ASC' } }),
  };
}
