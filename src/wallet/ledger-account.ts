import { MAX_MICRO_CREDITS } from '../lib/rules';
import { entryId, type LedgerKind } from './ledger-entry.entity';

/** A balance and the number of its newest entry: of a wallet, or of a project's budget. Whoever changes one holds its row's lock. */
export interface LedgerAccount {
  /** The wallet's id, or the project's. */
  id: string;
  balance: number;
  /** What is promised to calls in flight; 0 for a wallet. */
  held: number;
  entrySeq: number;
}

/** One row of the ledger to be. */
export interface EntryRow {
  accountId: string;
  seq: number;
  kind: LedgerKind;
  delta: number;
  balanceAfter: number;
  linkedEntryId: string | null;
  requestLogId: string | null;
  reference: string | null;
  reason: string | null;
  createdAt: number;
}

export interface EntryDraft {
  kind: LedgerKind;
  /** Not zero. */
  delta: number;
  requestLogId?: string | null;
  reference?: string | null;
  reason?: string | null;
  /** Milliseconds since 1970. */
  at: number;
}

/** Why an entry cannot be written. */
export type PostRefusal = 'INSUFFICIENT' | 'OUT_OF_RANGE';

/** Whether `account` can take an entry of `delta`: what is held stays covered, and the sum stays exact. */
export function refusalOf(account: LedgerAccount, delta: number): PostRefusal | undefined {
  const balance = account.balance + delta;
  if (Math.abs(balance) > MAX_MICRO_CREDITS) return 'OUT_OF_RANGE';
  if (delta < 0 && balance < account.held) return 'INSUFFICIENT';
  return undefined;
}

/**
 * Moves the balance and gives the entry that says so, next in the account's sequence. Every change of a balance, by an administrator
 * or by a call, comes from here. Throws where `refusalOf` has a reason: callers ask first.
 */
export function post(account: LedgerAccount, draft: EntryDraft): EntryRow {
  const refusal = refusalOf(account, draft.delta);
  if (refusal || draft.delta === 0) throw new RangeError(`An entry of ${draft.delta} does not fit account ${account.id}: ${refusal ?? 'zero'}.`);
  account.balance += draft.delta;
  account.entrySeq += 1;
  return {
    accountId: account.id,
    seq: account.entrySeq,
    kind: draft.kind,
    delta: draft.delta,
    balanceAfter: account.balance,
    linkedEntryId: null,
    requestLogId: draft.requestLogId ?? null,
    reference: draft.reference ?? null,
    reason: draft.reason ?? null,
    createdAt: draft.at,
  };
}

/** Makes two entries name each other. */
export function link(one: EntryRow, other: EntryRow): void {
  one.linkedEntryId = entryId(other.accountId, other.seq);
  other.linkedEntryId = entryId(one.accountId, one.seq);
}
