import type { EntityManager } from 'typeorm';
import { locked } from '../db/database';
import { TollgateError, invalid } from '../errors';
import { newId } from '../lib/id';
import { link, post, refusalOf, type EntryDraft, type EntryRow, type LedgerAccount } from './ledger-account';
import { LedgerEntry, LedgerReference, entryId, entryPlace } from './ledger-entry.entity';
import { Budget, Wallet } from './wallet.entity';

// The only module that writes balances for administrators. The gate's tick writes them for calls. Both use `post` of ledger-account.
// Lock order: the wallet first, then the budget.

/** A wallet or a budget that the current transaction has locked. */
export interface OpenAccount extends LedgerAccount {
  type: 'wallet' | 'budget';
  workspaceId: string;
}

/** Inserts an empty wallet for a new workspace. */
export async function openWallet(tx: EntityManager, workspaceId: string): Promise<void> {
  await tx.insert(Wallet, { id: newId('wal'), workspaceId, balance: 0, entrySeq: 0 });
}

/** Inserts an empty budget for a new project. */
export async function openBudget(tx: EntityManager, projectId: string): Promise<void> {
  await tx.insert(Budget, { projectId, balance: 0, held: 0, entrySeq: 0, theoreticalArrivalUs: 0, arrivalIntervalUs: 0 });
}

/** Locks a workspace's wallet. Every movement by an administrator takes this lock first, so they run one after another. */
export async function lockWallet(tx: EntityManager, workspaceId: string): Promise<OpenAccount> {
  const wallet = await locked(tx, Wallet, { workspaceId });
  return { type: 'wallet', id: wallet.id, workspaceId, balance: wallet.balance, held: 0, entrySeq: wallet.entrySeq };
}

/** Locks a project's budget. The gate takes the same lock. */
export async function lockBudget(tx: EntityManager, workspaceId: string, projectId: string): Promise<OpenAccount> {
  const budget = await locked(tx, Budget, { projectId });
  return { type: 'budget', id: projectId, workspaceId, balance: budget.balance, held: budget.held, entrySeq: budget.entrySeq };
}

/**
 * Writes one entry. Throws PAYMENT_REQUIRED if the account has too little available, and INVALID_REQUEST (at `path`) if the balance
 * would pass 2^53 - 1.
 */
export async function record(tx: EntityManager, account: OpenAccount, draft: EntryDraft, path: string): Promise<LedgerEntry> {
  const row = draftRow(account, draft, path);
  await write(tx, [account], [row]);
  return toEntry(row);
}

/** Moves `draft.delta` from one account to the other as two linked entries; a negative delta moves it back. Returns the entry of `to`. */
export async function transfer(
  tx: EntityManager,
  from: OpenAccount,
  to: OpenAccount,
  draft: EntryDraft,
  path: string,
): Promise<LedgerEntry> {
  const out = draftRow(from, { ...draft, delta: -draft.delta }, path);
  const into = draftRow(to, draft, path);
  link(out, into);
  await write(tx, [from, to], [out, into]);
  return toEntry(into);
}

/** The entry that this reference created before, or null if the reference is new. The caller must hold the wallet's lock. */
export async function findReferenced(
  tx: EntityManager,
  workspaceId: string,
  operation: string,
  reference: string,
): Promise<LedgerEntry | null> {
  const known = await tx.findOneBy(LedgerReference, { workspaceId, operation, reference });
  const place = known && entryPlace(known.entryId);
  return place ? tx.findOneBy(LedgerEntry, place) : null;
}

/** Records that `reference` created `entry`. The caller must hold the wallet's lock. */
export async function remember(
  tx: EntityManager,
  workspaceId: string,
  operation: string,
  reference: string,
  entry: LedgerEntry,
): Promise<void> {
  await tx.insert(LedgerReference, { workspaceId, operation, reference, entryId: entryId(entry.accountId, entry.seq) });
}

function draftRow(account: OpenAccount, draft: EntryDraft, path: string): EntryRow {
  switch (refusalOf(account, draft.delta)) {
    case 'INSUFFICIENT':
      throw new TollgateError(
        'PAYMENT_REQUIRED',
        `The ${account.type} has ${account.balance - account.held} micro-credits available, and this needs ${-draft.delta}.`,
      );
    case 'OUT_OF_RANGE':
      throw invalid({ path: ['input', path], message: 'would move the balance beyond 2^53 - 1' });
    case undefined:
      return post(account, draft);
  }
}

async function write(tx: EntityManager, accounts: OpenAccount[], rows: EntryRow[]): Promise<void> {
  for (const { type, id, balance, entrySeq } of accounts) {
    if (type === 'wallet') await tx.update(Wallet, { id }, { balance, entrySeq });
    else await tx.update(Budget, { projectId: id }, { balance, entrySeq });
  }
  await tx.insert(LedgerEntry, rows.map(toEntry));
}

function toEntry(row: EntryRow): LedgerEntry {
  return Object.assign(new LedgerEntry(), { ...row, createdAt: new Date(row.createdAt) });
}
