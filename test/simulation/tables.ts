import type { UnitPrice } from '../../src/actions/unit-prices';
import type { ClaimRow, HoldRow, LogRow } from '../../src/gate/tick/rows';
import type { EntryRow } from '../../src/wallet/ledger-account';

// The committed rows of the model database.

export interface KeyRow {
  keyId: string;
  projectId: string;
  environment: 'LIVE' | 'TEST';
  enabled: boolean;
  revokedAt: number | null;
}

export interface SecretRow {
  digest: string;
  keyId: string;
  graceUntil: number | null;
  endedAt: number | null;
}

export interface ProjectRow {
  projectId: string;
  archivedAt: number | null;
  sustainedRps: number;
  burst: number;
}

/** The prices of an action. Without a maximum a success costs the flat price. */
export interface Prices {
  priceMicroCredits: number;
  unitPrices: UnitPrice[];
  maxChargeMicroCredits: number | null;
}

export interface ActionRow extends Prices {
  name: string;
  timeoutMs: number;
  enabled: boolean;
}

export interface RouteRow {
  id: string;
  version: number;
  enabled: boolean;
  action: string;
  /** Simulated time of its newest change. */
  changedAt: number;
}

/** A project's budget, or a wallet. Nothing of a wallet is ever held. */
export interface AccountRow {
  id: string;
  balance: number;
  held: number;
  entrySeq: number;
  theoreticalArrivalUs: number;
  arrivalIntervalUs: number;
}

export class Tables {
  readonly keys = new Map<string, KeyRow>();
  readonly secrets = new Map<string, SecretRow>();
  readonly projects = new Map<string, ProjectRow>();
  readonly actions = new Map<string, ActionRow>();
  readonly routes = new Map<string, RouteRow>();
  readonly accounts = new Map<string, AccountRow>();
  readonly holds = new Map<string, HoldRow>();
  /** Holds with rows of their own. */
  readonly singleHolds = new Map<string, HoldRow>();
  /** Numbers of all holds in the order of their commits. The ids of attempts have no order that a seed decides. */
  readonly holdNumbers = new Map<string, number>();
  readonly claims = new Map<string, ClaimRow>();
  readonly logs = new Map<string, LogRow>();
  /** Entries by account, in the order in which they were written. */
  readonly entries = new Map<string, EntryRow[]>();
  readonly refusalCounts = new Map<string, number>();

  account(id: string): AccountRow {
    const account = this.accounts.get(id);
    if (!account) throw new Error(`There is no account ${id}.`);
    return account;
  }

  openAccount(id: string): void {
    this.accounts.set(id, { id, balance: 0, held: 0, entrySeq: 0, theoreticalArrivalUs: 0, arrivalIntervalUs: 0 });
    this.entries.set(id, []);
  }

  /** Writes an administrator's entry. */
  enter(id: string, kind: EntryRow['kind'], delta: number, requestLogId: string | null, createdAt: number): void {
    const account = this.account(id);
    account.balance += delta;
    account.entrySeq += 1;
    const { balance: balanceAfter, entrySeq: seq } = account;
    this.entries
      .get(id)
      ?.push({
        accountId: id,
        seq,
        kind,
        delta,
        balanceAfter,
        linkedEntryId: null,
        requestLogId,
        reference: null,
        reason: null,
        createdAt,
      });
  }
}
