import type { Database } from '../../src/db/database';
import { auditBooks, openHolds } from '../../src/gate/books';
import { RequestLog, RequestOutcome } from '../../src/requests/request-log.entity';
import { LedgerEntry, LedgerKind } from '../../src/wallet/ledger-entry.entity';
import { Budget } from '../../src/wallet/wallet.entity';

type Books = { database: Database };

/** The faults that the audit finds. */
export async function faultsOf({ database }: Books): Promise<string[]> {
  const faults: string[] = [];
  for await (const report of auditBooks(database)) faults.push(...report.faults.map((fault) => `${report.account}: ${fault}`));
  return faults;
}

/** Reads the balance and the bills of a project from the tables. */
export async function accountOf({ database }: Books, projectId: string) {
  const { balance, held } = await database.reader.findOneByOrFail(Budget, { projectId });
  const entries = await database.reader.findBy(LedgerEntry, { accountId: projectId, kind: LedgerKind.USAGE });
  const succeeded = await database.reader.countBy(RequestLog, { projectId, outcome: RequestOutcome.SUCCEEDED });
  const holds = (await openHolds(database.reader, projectId)).length;
  return { balance, held, holds, bills: entries.length, billed: entries.reduce((sum, { delta }) => sum - delta, 0), succeeded };
}

/** The outcomes of all attempts with this requestId, in order. */
export async function outcomesOf({ database }: Books, requestId: string): Promise<string[]> {
  const logs = await database.reader.find(RequestLog, { where: { requestId }, order: { id: 'ASC' } });
  return logs.map(({ outcome, errorCode }) => [outcome, errorCode].filter(Boolean).join(' '));
}
