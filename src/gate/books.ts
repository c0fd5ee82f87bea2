import { In, Like, MoreThan, type EntityManager } from 'typeorm';
import { RequestLog } from '../requests/request-log.entity';
import { LedgerEntry, LedgerKind, entryPlace } from '../wallet/ledger-entry.entity';
import { Budget, Wallet } from '../wallet/wallet.entity';
import type { Database } from '../db/database';
import { SingleHold, TickHolds } from './gate.entities';
import type { HoldRow } from './tick/rows';
import { openHoldsOf, singleHoldOf } from './tick/tick-reads';

/** The most entries that are read at once. Bounds the memory, even for a very long account. */
const PAGE = 5_000;

export interface AccountReport {
  account: string;
  type: 'wallet' | 'budget';
  balance: number;
  entries: number;
  /** A sentence for each disagreement. Empty if there is none. */
  faults: string[];
}

interface Account {
  id: string;
  type: 'wallet' | 'budget';
}

/**
 * Recomputes every account from its entries, holds and logs. Yields a report for each account, wallets first.
 * Reads each account in one short snapshot without locks, so calls continue meanwhile.
 */
export async function* auditBooks(database: Database): AsyncGenerator<AccountReport> {
  for (const type of ['wallet', 'budget'] as const) {
    for await (const id of accountIds(database.reader, type)) {
      yield await database.snapshot((snapshot) => auditAccount(snapshot, { id, type }));
    }
  }
  for await (const id of strayAccountIds(database.reader)) {
    const type = id.startsWith('wal_') ? 'wallet' : 'budget';
    yield { account: id, type, balance: 0, entries: 0, faults: ['has entries or holds, but no account'] };
  }
}

async function auditAccount(snapshot: EntityManager, { id, type }: Account): Promise<AccountReport> {
  const account = type === 'wallet' ? await snapshot.findOneBy(Wallet, { id }) : await snapshot.findOneBy(Budget, { projectId: id });
  if (!account) return { account: id, type, balance: 0, entries: 0, faults: ['was deleted during the audit'] };
  const faults: string[] = [];
  const entries = await auditEntries(snapshot, id, faults);
  if (entries.sum !== account.balance) faults.push(`balance is ${account.balance}, but its entries sum up to ${entries.sum}`);
  if (entries.seq !== account.entrySeq) {
    faults.push(`newest entry is ${account.entrySeq} in the account, but ${entries.seq} in the ledger`);
  }
  if (account instanceof Budget) {
    await auditHolds(snapshot, account, faults);
    await auditCharges(snapshot, id, entries, faults);
  }
  return { account: id, type, balance: account.balance, entries: entries.seq, faults };
}

interface EntrySums {
  seq: number;
  sum: number;
  usages: number;
  charged: number;
}

/**
 * Checks that seq has no gap, running balances are right, no entry is zero, both halves of allocations match, and usages match their logs.
 */
async function auditEntries(snapshot: EntityManager, accountId: string, faults: string[]): Promise<EntrySums> {
  const sums: EntrySums = { seq: 0, sum: 0, usages: 0, charged: 0 };
  for (;;) {
    const page = await snapshot.find(LedgerEntry, { where: { accountId, seq: MoreThan(sums.seq) }, order: { seq: 'ASC' }, take: PAGE });
    for (const entry of page) {
      if (entry.seq !== sums.seq + 1) faults.push(`entry ${entry.seq} follows entry ${sums.seq}`);
      if (entry.delta === 0) faults.push(`entry ${entry.seq} has a delta of zero`);
      sums.seq = entry.seq;
      sums.sum += entry.delta;
      if (entry.balanceAfter !== sums.sum) faults.push(`entry ${entry.seq} has balance ${entry.balanceAfter}, but ${sums.sum} is right`);
      if (entry.balanceAfter < 0) faults.push(`entry ${entry.seq} leaves a negative balance`);
      if (entry.kind === LedgerKind.USAGE) {
        sums.usages += 1;
        sums.charged -= entry.delta;
      }
    }
    const ofKind = (kind: LedgerKind) => page.filter((entry) => entry.kind === kind);
    await auditLinks(snapshot, ofKind(LedgerKind.ALLOCATION), faults);
    await auditBills(snapshot, ofKind(LedgerKind.USAGE), faults);
    if (page.length < PAGE) return sums;
  }
}

/** Checks that each ALLOCATION entry and its entry in the other account name each other and sum up to zero. */
async function auditLinks(snapshot: EntityManager, allocations: LedgerEntry[], faults: string[]): Promise<void> {
  for (const entry of allocations) {
    const place = entryPlace(entry.linkedEntryId ?? '');
    const other = place && (await snapshot.findOneBy(LedgerEntry, place));
    if (!other || other.linkedEntryId !== entry.id || other.delta !== -entry.delta) {
      faults.push(`entry ${entry.seq} has no matching entry in the other account`);
    }
  }
}

/** Checks that each USAGE entry has the amount that was charged for a call of this account that succeeded. */
async function auditBills(snapshot: EntityManager, usages: LedgerEntry[], faults: string[]): Promise<void> {
  for (let at = 0; at < usages.length; at += 500) {
    const slice = usages.slice(at, at + 500);
    const logs = await snapshot.find(RequestLog, {
      select: { id: true, outcome: true, chargedMicroCredits: true, projectId: true },
      where: { id: In(slice.map((entry) => entry.requestLogId ?? '')) },
    });
    const logOf = new Map(logs.map((log) => [log.id, log]));
    for (const entry of slice) {
      const log = logOf.get(entry.requestLogId ?? '');
      if (!log) faults.push(`entry ${entry.seq} bills a call that has no log`);
      else if (log.outcome !== 'SUCCEEDED' || log.chargedMicroCredits !== -entry.delta || log.projectId !== entry.accountId) {
        faults.push(`entry ${entry.seq} and the log ${log.id} disagree`);
      }
    }
  }
}

/** Checks that `held` of a budget is the sum of its open holds. */
async function auditHolds(snapshot: EntityManager, budget: Budget, faults: string[]): Promise<void> {
  const held = (await openHolds(snapshot, budget.projectId)).reduce((sum, { amount }) => sum + amount, 0);
  if (held !== budget.held) faults.push(`held is ${budget.held}, but its open holds sum up to ${held}`);
}

/** The holds of the calls in flight: of one project if it is given, otherwise of all. */
export async function openHolds(reader: EntityManager, projectId?: string): Promise<HoldRow[]> {
  const ticks = await reader.find(TickHolds, projectId === undefined ? {} : { where: { holds: Like(`%"${projectId}"%`) } });
  const singles = await reader.find(SingleHold, projectId === undefined ? {} : { where: { projectId } });
  const packed = ticks.flatMap(openHoldsOf).filter((hold) => projectId === undefined || hold.projectId === projectId);
  return [...packed, ...singles.map(singleHoldOf)];
}

/**
 * Checks that every charge in the log has an entry, by comparing counts and sums. That is enough, because `auditBills` has compared each
 * entry with its log.
 */
async function auditCharges(snapshot: EntityManager, projectId: string, entries: EntrySums, faults: string[]): Promise<void> {
  const where = { projectId, chargedMicroCredits: MoreThan(0) };
  const charges = await snapshot.countBy(RequestLog, where);
  const charged = Number((await snapshot.sum(RequestLog, 'chargedMicroCredits', where)) ?? 0);
  if (charges !== entries.usages || charged !== entries.charged) {
    faults.push(`the log has ${charges} charges of ${charged} in total, but the ledger has ${entries.usages} of ${entries.charged}`);
  }
}

async function* accountIds(reader: EntityManager, type: Account['type']): AsyncGenerator<string> {
  for (let last = ''; ; ) {
    const ids = await (type === 'wallet' ? walletIds(reader, last) : budgetIds(reader, last));
    yield* ids;
    if (ids.length < PAGE) return;
    last = ids.at(-1) as string;
  }
}

async function walletIds(reader: EntityManager, after: string): Promise<string[]> {
  const page = { select: { id: true }, where: { id: MoreThan(after) }, order: { id: 'ASC' }, take: PAGE } as const;
  return (await reader.find(Wallet, page)).map(({ id }) => id);
}

async function budgetIds(reader: EntityManager, after: string): Promise<string[]> {
  const page = { select: { projectId: true }, where: { projectId: MoreThan(after) }, order: { projectId: 'ASC' }, take: PAGE } as const;
  return (await reader.find(Budget, page)).map(({ projectId }) => projectId);
}

/** Ids that entries or holds name although there is no such account. The tables of the hot path have no foreign keys that forbid it. */
async function* strayAccountIds(reader: EntityManager): AsyncGenerator<string> {
  const rows = await reader.query<{ id: string }[]>(
    `SELECT account_id AS id FROM ledger_entries e GROUP BY account_id
     HAVING NOT EXISTS (SELECT 1 FROM wallets w WHERE w.id = e.account_id)
       AND NOT EXISTS (SELECT 1 FROM budgets b WHERE b.project_id = e.account_id)`,
  );
  const strays = new Set(rows.map(({ id }) => id));
  for (const { projectId } of await openHolds(reader)) {
    if (!strays.has(projectId) && !(await reader.existsBy(Budget, { projectId }))) strays.add(projectId);
  }
  yield* strays;
}
