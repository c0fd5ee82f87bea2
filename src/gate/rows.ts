import type { LedgerAccount, EntryRow } from '../wallet/ledger-account';
import type { RateLimit, RateMemory } from './rate-limit';

// The rows that a tick reads and writes, as plain values: times in milliseconds, names as in SQL but in camelCase.

/** What a hold and a log row both tell of a call. */
export interface CallRow {
  credentialKind: string;
  credentialId: string;
  workspaceId: string;
  projectId: string;
  environment: string;
  service: string;
  action: string;
  requestId: string;
  ip: string | null;
  userAgent: string | null;
}

export interface HoldRow extends CallRow {
  attempt: string;
  claimed: boolean;
  amount: number;
  startedAt: number;
  expiresAt: number;
  process: string;
}

export interface LogRow extends CallRow {
  id: string;
  outcome: 'SUCCEEDED' | 'FAILED' | 'REFUSED' | 'EXPIRED';
  errorCode: string | null;
  httpStatus: number | null;
  chargedMicroCredits: number;
  actionMs: number | null;
  totalMs: number | null;
  createdAt: number;
}

export interface ClaimRow {
  credentialId: string;
  requestId: string;
  attempt: string;
  fingerprint: string;
  state: 'RUNNING' | 'DONE';
  expiresAt: number;
  chargedMicroCredits: number;
  answer: string | null;
}

export interface RefusalCountRow {
  credentialId: string;
  code: string;
  minute: number;
  calls: number;
}

/** A project's budget while this tick holds its lock, with the limit as it stands now. */
export interface LockedBudget extends LedgerAccount, RateMemory {
  limit: RateLimit;
}

/** How an attempt whose hold is gone ended. */
export interface EndedAttempt {
  outcome: LogRow['outcome'];
  chargedMicroCredits: number;
}

/** What is read after the lock. */
export interface TickState {
  /** Microseconds since 1970, by the clock that decides. */
  nowUs: number;
  /** Those that could be locked; a project that is missing is locked elsewhere. */
  budgets: Map<string, LockedBudget>;
  /** By `claimKey`; answers are not read. */
  claims: Map<string, ClaimRow>;
  /** Attempts whose holds are still there. */
  openHolds: Set<string>;
  /** The holds of claims that ran out. */
  staleHolds: Map<string, HoldRow>;
  /** Attempts whose holds are gone and that have a log row. */
  ended: Map<string, EndedAttempt>;
}

/** All that one tick writes, in one transaction. */
export interface TickWrites {
  budgets: LockedBudget[];
  holds: HoldRow[];
  endedHolds: string[];
  logs: LogRow[];
  entries: EntryRow[];
  claims: ClaimRow[];
  endedClaims: Pick<ClaimRow, 'credentialId' | 'requestId' | 'attempt'>[];
  refusalCounts: RefusalCountRow[];
}

export const claimKey = (claim: { credentialId: string; requestId: string }): string => `${claim.credentialId} ${claim.requestId}`;
