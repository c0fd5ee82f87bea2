import { MAX_MICRO_CREDITS } from '../lib/rules';
import { entryId, type LedgerKind } from './ledger-entry.entity';

/** The balance of a wallet or of a project's budget, and the number of its newest entry. Code that changes it must hold the row's lock. */
export interface LedgerAccount {
  /** The id of the wallet or of the project. */
  id: string;
  balance: number;
  /** Micro-credits reserved for calls in flight; 0 for a wallet. */
  held: number;
  entrySeq: number;
}

/** One ledger row that is not written yet. */
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
  /** Micro-credits, not zero. */
  delta: number;
  requestLogId?: string | null;
  reference?: string | null;
  reason?: string | null;
  /** Milliseconds since 1970. */
  at: number;
}

/** The reason why an entry cannot be written. */
export type PostRefusal = 'INSUFFICIENT' | 'OUT_OF_RANGE';

/**
 * The reason why `account` cannot take an entry of `delta`, or undefined if it can. The balance must cover `held` and stay an exact
 * integer.
 */
export function refusalOf(account: LedgerAccount, delta: number): PostRefusal | undefined {
  const balance = account.balance + delta;
  if (Math.abs(balance) > MAX_MICRO_CREDITS) return 'OUT_OF_RANGE';
  if (delta < 0 && balance < account.held) return 'INSUFFICIENT';
  return undefined;
}

/**
 * Changes the balance and returns the matching entry, the next in the account's sequence. Every change of a balance, by an administrator
 * or by a call, goes through this function. Throws RangeError if `refusalOf` returns a reason: callers check first.
 */
export function post(account: LedgerAccount, draft: EntryDraft): EntryRow {
  const refusal = refusalOf(account, draft.delta);
  if (refusal || draft.delta === 0)
    throw new RangeError(`An entry of ${draft.delta} does not fit account ${account.id}: ${refusal ?? 'zero'}.`);
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
export function link(first: EntryRow, second: EntryRow): void {
  first.linkedEntryId = entryId(second.accountId, second.seq);
  second.linkedEntryId = entryId(first.accountId, first.seq);
}
