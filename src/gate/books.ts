import { In, Like, MoreThan, type EntityManager } from 'typeorm';
import { RequestLog } from '../requests/request-log.entity';
import { LedgerEntry, LedgerKind, entryPlace } from '../wallet/ledger-entry.entity';
import { Budget, Wallet } from '../wallet/wallet.entity';
import type { Database } from '../db/database';
import { TickHolds } from './gate.entities';
import type { HoldRow } from './rows';
import { openHoldsOf } from './tick-reads';

/** Entries read at a time, so that an account of any length is checked in little memory. */
const PAGE = 5_000;

export interface AccountReport {
  account: string;
  type: 'wallet' | 'budget';
  balance: number;
  entries: number;
  /** What disagrees, in sentences; empty where all agrees. */
  faults: string[];
}

interface Account {
  id: string;
  type: 'wallet' | 'budget';
}

/**
 * Recomputes every account from its entries, holds and logs. Each account is read in one short snapshot, and nothing is locked: the
 * gate works on meanwhile. Gives a report an account, wallets first.
 */
export async function* auditBooks(database: Database): AsyncGenerator<AccountReport> {
  for (const type of ['wallet', 'budget'] as const) {
    for await (const id of accountIds(database.reader, type)) {
      yield await database.snapshot((snapshot) => auditAccount(snapshot, { id, type }));
    }
  }
  for await (const id of strayAccountIds(database.reader)) {
    yield { account: id, type: id.startsWith('wal_') ? 'wallet' : 'budget', balance: 0, entries: 0, faults: ['has entries or holds and no account'] };
  }
}

async function auditAccount(snapshot: EntityManager, { id, type }: Account): Promise<AccountReport> {
  const account = type === 'wallet' ? await snapshot.findOneBy(Wallet, { id }) : await snapshot.findOneBy(Budget, { projectId: id });
  if (!account) return { account: id, type, balance: 0, entries: 0, faults: ['went away while it was audited'] };
  const faults: string[] = [];
  const entries = await auditEntries(snapshot, id, faults);
  if (entries.sum !== account.balance) faults.push(`balance is ${account.balance}, its entries sum up to ${entries.sum}`);
  if (entries.seq !== account.entrySeq) faults.push(`its newest entry is ${account.entrySeq} by its own word and ${entries.seq} in the ledger`);
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

/** seq without a gap, running balances, no zero, and both halves of allocations. */
async function auditEntries(snapshot: EntityManager, accountId: string, faults: string[]): Promise<EntrySums> {
  const sums: EntrySums = { seq: 0, sum: 0, usages: 0, charged: 0 };
  for (;;) {
    const page = await snapshot.find(LedgerEntry, { where: { accountId, seq: MoreThan(sums.seq) }, order: { seq: 'ASC' }, take: PAGE });
    for (const entry of page) {
      if (entry.seq !== sums.seq + 1) faults.push(`entry ${entry.seq} follows entry ${sums.seq}`);
      if (entry.delta === 0) faults.push(`entry ${entry.seq} moves nothing`);
      sums.seq = entry.seq;
      sums.sum += entry.delta;
      if (entry.balanceAfter !== sums.sum) faults.push(`entry ${entry.seq} says ${entry.balanceAfter} where ${sums.sum} is right`);
      if (entry.balanceAfter < 0) faults.push(`entry ${entry.seq} leaves less than nothing`);
      if (entry.kind === LedgerKind.USAGE) {
        sums.usages += 1;
        sums.charged -= entry.delta;
      }
    }
    await auditLinks(snapshot, page.filter((entry) => entry.kind === LedgerKind.ALLOCATION), faults);
    await auditBills(snapshot, page.filter((entry) => entry.kind === LedgerKind.USAGE), faults);
    if (page.length < PAGE) return sums;
  }
}

async function auditLinks(snapshot: EntityManager, allocations: LedgerEntry[], faults: string[]): Promise<void> {
  for (const entry of allocations) {
    const place = entryPlace(entry.linkedEntryId ?? '');
    const other = place && (await snapshot.findOneBy(LedgerEntry, place));
    if (!other || other.linkedEntryId !== entry.id || other.delta !== -entry.delta) faults.push(`entry ${entry.seq} has no matching other half`);
  }
}

/** Each USAGE entry bills a call that succeeded, at what it was charged. */
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

async function auditHolds(snapshot: EntityManager, budget: Budget, faults: string[]): Promise<void> {
  const held = (await openHolds(snapshot, budget.projectId)).reduce((sum, { amount }) => sum + amount, 0);
  if (held !== budget.held) faults.push(`held is ${budget.held}, its open holds sum up to ${held}`);
}

/** The calls in flight, in all or of one project. */
export async function openHolds(reader: EntityManager, projectId?: string): Promise<HoldRow[]> {
  const ticks = await reader.find(TickHolds, projectId === undefined ? {} : { where: { holds: Like(`%"${projectId}"%`) } });
  return ticks.flatMap(openHoldsOf).filter((hold) => projectId === undefined || hold.projectId === projectId);
}

/** Every charge in the log has its entry: with each entry's own log compared, equal counts and sums leave no room for a difference. */
async function auditCharges(snapshot: EntityManager, projectId: string, entries: EntrySums, faults: string[]): Promise<void> {
  const where = { projectId, chargedMicroCredits: MoreThan(0) };
  const charges = await snapshot.countBy(RequestLog, where);
  const charged = Number((await snapshot.sum(RequestLog, 'chargedMicroCredits', where)) ?? 0);
  if (charges !== entries.usages || charged !== entries.charged) {
    faults.push(`the log has ${charges} charges of ${charged} in all, the ledger ${entries.usages} of ${entries.charged}`);
  }
}

async function* accountIds(reader: EntityManager, type: Account['type']): AsyncGenerator<string> {
  for (let last = ''; ; ) {
    const ids =
      type === 'wallet'
        ? (await reader.find(Wallet, { select: { id: true }, where: { id: MoreThan(last) }, order: { id: 'ASC' }, take: PAGE })).map(({ id }) => id)
        : (await reader.find(Budget, { select: { projectId: true }, where: { projectId: MoreThan(last) }, order: { projectId: 'ASC' }, take: PAGE })).map(
            ({ projectId }) => projectId,
          );
    yield* ids;
    if (ids.length < PAGE) return;
    last = ids.at(-1) as string;
  }
}

/** What foreign keys would forbid, which the hot tables do without. */
async function* strayAccountIds(reader: EntityManager): AsyncGenerator<string> {
  const rows = await reader.query<{ id: string }[]>(
    `SELECT account_id AS id FROM ledger_entries e GROUP BY account_id
     HAVING NOT EXISTS (SELECT 1 FROM wallets w WHERE w.id = e.account_id) AND NOT EXISTS (SELECT 1 FROM budgets b WHERE b.project_id = e.account_id)`,
  );
  const strays = new Set(rows.map(({ id }) => id));
  for (const { projectId } of await openHolds(reader)) {
    if (!strays.has(projectId) && !(await reader.existsBy(Budget, { projectId }))) strays.add(projectId);
  }
  yield* strays;
}
