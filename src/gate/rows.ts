import type { LedgerAccount, EntryRow } from '../wallet/ledger-account';
import { fromBase62, toBase62 } from '../lib/id';
import type { ActionFacts, Credential } from './call';
import type { RateMemory } from './rate-limit';

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
}

/** The holds that one tick opened, in one row: a call in flight costs a database hardly more than the text of its hold. */
export interface TickHoldsRow {
  id: string;
  process: string;
  /** When the first of them expires. */
  expiresAt: number;
  /** A mark for each place of the tick: 1 where its hold is open. Whoever takes the mark away decides what became of the call. */
  marks: string;
  /** HoldRow[], as JSON. */
  holds: string;
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

/** Which claim, and the attempt that it is to be of. */
export type ClaimName = Pick<ClaimRow, 'credentialId' | 'requestId' | 'attempt'>;

export interface RefusalCountRow {
  credentialId: string;
  code: string;
  minute: number;
  calls: number;
}

/** A project's budget while this tick holds its lock. */
export interface LockedBudget extends LedgerAccount, RateMemory {}

/** How an attempt whose hold is gone ended. */
export interface EndedAttempt {
  outcome: LogRow['outcome'];
  chargedMicroCredits: number;
}

/** What is read after the lock. */
export interface TickState {
  /** Microseconds since 1970, by the clock that decides. */
  nowUs: number;
  /** By `credentialKey`. */
  credentials: Map<string, Credential>;
  /** Those that are enabled, by `actionKey`. */
  actions: Map<string, ActionFacts>;
  /** Those that could be locked; a project that is missing is locked elsewhere. */
  budgets: Map<string, LockedBudget>;
  /** By `claimKey`; answers are not read. */
  claims: Map<string, ClaimRow>;
  /** Attempts whose holds are still there. */
  openHolds: Set<string>;
  /** Attempts whose holds' row is locked elsewhere. */
  lockedHolds: Set<string>;
  /** The holds of claims that ran out. */
  staleHolds: Map<string, HoldRow>;
  /** Attempts whose holds are gone and that have a log row. */
  ended: Map<string, EndedAttempt>;
}

/** All that one tick writes, in one transaction. */
export interface TickWrites {
  /** The tick's own id. */
  tick: string;
  /** This start of this process. */
  process: string;
  budgets: LockedBudget[];
  holds: HoldRow[];
  endedHolds: string[];
  logs: LogRow[];
  entries: EntryRow[];
  claims: ClaimRow[];
  endedClaims: ClaimName[];
  refusalCounts: RefusalCountRow[];
}

export const claimKey = (claim: { credentialId: string; requestId: string }): string => `${claim.credentialId} ${claim.requestId}`;

// An attempt's id is that of the tick which judged it and its place there, so that the holds of one tick can be one row, found by the
// ids of any of them.

const PLACE_LENGTH = 2;

export const attemptId = (tick: string, place: number): string => tick + toBase62(place, PLACE_LENGTH);
export const tickOf = (attempt: string): string => attempt.slice(0, -PLACE_LENGTH);
export const placeOf = (attempt: string): number => fromBase62(attempt.slice(-PLACE_LENGTH));
