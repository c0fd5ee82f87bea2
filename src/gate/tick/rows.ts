import type { Price, Usage } from '../../actions/unit-prices';
import type { LedgerAccount, EntryRow } from '../../wallet/ledger-account';
import { fromBase62, toBase62 } from '../../lib/id';
import type { ActionFacts, Credential } from '../call';
import type { RateMemory } from '../rate-limit';

// The rows that a tick reads and writes, as plain values. Times are in milliseconds since 1970. Names are the SQL names in camelCase.

/** The properties of a call that both its hold and its log row have. */
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
  /** Absent, not null, if the call gave none: most calls give none, and their holds stay short. */
  subject?: string | undefined;
  metadata?: Record<string, string> | undefined;
}

export interface HoldRow extends CallRow {
  attempt: string;
  claimed: boolean;
  /** Present if a verification made the hold: then requests settle it. The id of the asker. */
  askerId?: string | undefined;
  /** The credits that the call reserves. */
  amount: number;
  /** Absent if a success costs exactly `amount`. */
  price?: Price | undefined;
  startedAt: number;
  expiresAt: number;
}

/** The holds that one tick opened, in one row. So a call in flight costs the database little more than the text of its hold. */
export interface TickHoldsRow {
  id: string;
  process: string;
  /** Time when the first of the holds expires. */
  expiresAt: number;
  /** A mark for each place of the tick: 1 if its hold is open. The transaction that clears a mark decides how the call ended. */
  marks: string;
  /** HoldRow[], as JSON. */
  holds: string;
}

/**
 * A hold with a row of its own, because it lasts longer than a call of execute. Its `expiresAt` can be moved, and it is found by its id
 * alone. The transaction that deletes the row decides how the call ended.
 */
export interface SingleHoldRow {
  id: string;
  projectId: string;
  expiresAt: number;
  /** HoldRow, as JSON. Its `expiresAt` is the first one. */
  hold: string;
}

export interface LogRow extends CallRow {
  id: string;
  outcome: 'SUCCEEDED' | 'FAILED' | 'REFUSED' | 'EXPIRED';
  errorCode: string | null;
  httpStatus: number | null;
  chargedMicroCredits: number;
  heldMicroCredits: number;
  shortfallMicroCredits: number;
  usage: Usage | null;
  usageMissing: boolean;
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

/** Names a claim, and the attempt that it must belong to. */
export type ClaimName = Pick<ClaimRow, 'credentialId' | 'requestId' | 'attempt'>;

export interface RefusalCountRow {
  credentialId: string;
  code: string;
  minute: number;
  calls: number;
}

/** A project's budget while this tick holds its lock. */
export interface LockedBudget extends LedgerAccount, RateMemory {}

/** The end of an attempt, as its log row tells it after its hold is closed. */
export interface EndedAttempt {
  outcome: LogRow['outcome'];
  chargedMicroCredits: number;
}

/** The rows that a tick reads after it has its locks. */
export interface TickState {
  /** Microseconds since 1970, by the clock that all decisions use. */
  nowUs: number;
  /** By `credentialKey`. */
  credentials: Map<string, Credential>;
  /** Enabled actions, by `actionKey`. */
  actions: Map<string, ActionFacts>;
  /** Locked budgets, by project. A requested project that is missing is locked by another transaction. */
  budgets: Map<string, LockedBudget>;
  /** By `claimKey`. Their answers are not read. */
  claims: Map<string, ClaimRow>;
  /** Attempts with an open hold. */
  openHolds: Set<string>;
  /** Time when the open hold of an attempt expires, if the hold has a row of its own. */
  singleHolds: Map<string, number>;
  /** Routes as `routeKey`: enabled, and of the version that the call was matched with. */
  routes: Set<string>;
  /** Attempts with a hold in a row that another transaction has locked. */
  lockedHolds: Set<string>;
  /** Open holds of expired claims, by attempt. */
  staleHolds: Map<string, HoldRow>;
  /** Attempts with a closed hold and a log row. */
  ended: Map<string, EndedAttempt>;
}

/** Everything that one tick writes in its transaction. */
export interface TickWrites {
  /** The unique id of the tick. */
  tick: string;
  /** A random id of this process, new at each start. */
  process: string;
  budgets: LockedBudget[];
  holds: HoldRow[];
  endedHolds: string[];
  /** Holds with rows of their own: new ones, and ones that expire later than before. */
  singleHolds: HoldRow[];
  endedSingleHolds: string[];
  logs: LogRow[];
  entries: EntryRow[];
  claims: ClaimRow[];
  endedClaims: ClaimName[];
  refusalCounts: RefusalCountRow[];
}

export const claimKey = (claim: { credentialId: string; requestId: string }): string => `${claim.credentialId} ${claim.requestId}`;

/** Names the claim of the request that settles a hold. It belongs to the hold instead of a credential. */
export const settlementClaim = (attempt: string): ClaimName => ({ credentialId: attempt, requestId: 'settle', attempt });

// The id of an attempt is the id of its tick followed by its place in the tick. So the holds of a tick can be one row, and the id of any
// attempt finds that row.

const PLACE_LENGTH = 2;

export const attemptId = (tick: string, place: number): string => tick + toBase62(place, PLACE_LENGTH);
export const tickOf = (attempt: string): string => attempt.slice(0, -PLACE_LENGTH);
export const placeOf = (attempt: string): number => fromBase62(attempt.slice(-PLACE_LENGTH));
