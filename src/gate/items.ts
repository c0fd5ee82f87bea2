import type { Usage } from '../actions/unit-prices';
import type { ErrorCode } from '../errors';
import type { ActionFacts, Call, Credential, PlacedCredential } from './call';
import type { Refusal } from './checks';
import type { RateLimit, RateStanding } from './rate-limit';
import type { ClaimRow, HoldRow, LogRow } from './tick/rows';

// The tasks of a tick, and its answers.

/** A call that asks to be admitted. */
export interface Admission {
  kind: 'admission';
  call: Call;
  /** The owner of the call's secret. It never changes. */
  credentialId: string;
  /**
   * The project to lock, as last seen by this process. Null if the credential did not work or had no project then: the call is judged
   * without a lock. If the tick finds another project, the verdict is `locked`, and the call is submitted again with that project.
   */
  projectId: string | null;
  /** Makes the answer of a verification if the credential may call. It is sent, and kept for repeats. Present for verifications only. */
  answer?: ((verified: Verified) => string) | undefined;
}

/** The times of a call, by `performance.now()`. `arrivedAt` is null if another process may have admitted the call. */
interface Times {
  actionMs: number | null;
  arrivedAt: number | null;
}

/**
 * How a call in flight ended. `posted`: it succeeded and is billed, for `costMicroCredits` if that is given, otherwise for `usage` by the
 * prices of its admission. `voided`: it failed or never ran, and is not billed. `expired`: nobody reported an end in time, and it is not
 * billed.
 */
export type Ending =
  | ({ kind: 'posted'; usage: Usage | null; costMicroCredits?: number; httpStatus: number; answer: (billing: Billing) => string } & Times)
  | ({ kind: 'voided'; outcome: 'FAILED' | 'REFUSED'; errorCode: string; httpStatus: number | null } & Times)
  | { kind: 'expired' };

/** Closes a hold. */
export interface Settlement {
  kind: 'settlement';
  hold: HoldRow;
  ending: Ending;
  /** Whether the hold may have a row of its own. */
  mayBeSingle?: boolean;
  /** Whether the hold is closed as expired if its time is over. Otherwise only a sweep does that. */
  inTimeOnly?: boolean;
  /** The fingerprint of the request that settles the hold, and its answer, to be kept for repeats. Absent if no client asked for it. */
  kept?: { fingerprint: string; answer(billing: Billing): string };
}

/** Moves the expiry of a hold to `lastsMs` from now, but not beyond `atMostMs` after the admission. The hold gets a row of its own. */
export interface Renewal {
  kind: 'renewal';
  hold: HoldRow;
  lastsMs: number;
  atMostMs: number;
}

/** Refusals that were answered without a log row. They are added to `refusal_counts`. */
export interface Count {
  kind: 'count';
  credentialId: string;
  code: ErrorCode;
  calls: number;
}

export interface Billing {
  chargedMicroCredits: number;
  budgetAvailableMicroCredits: number;
}

/** The state of the project's rate limit, as the caller's headers show it. */
export interface RateReport extends RateStanding {
  limit: RateLimit;
  /** Time of this state, by `performance.now()`. */
  asOfMs: number;
}

/** The result of a verification if the credential may call. `rate` and `billing` are undefined if no action was given. */
export interface Verified {
  credential: Credential;
  rate: RateReport | undefined;
  billing: Billing | undefined;
  hold: HoldRow | undefined;
}

/**
 * The result of an item. `replay`: the answer of an earlier call is to be repeated. `rerouted`: the route of the call was changed.
 * `verified`: `attempt` is the bill or the hold that was written, or null. `askerRefused`: nothing was judged, because the asker may not
 * verify. `settled`: `claim` tells which request has closed the hold before, if that is known.
 * `gone`: the hold is not open and has no log row yet. `locked`: nothing was decided, because the tick does not have the lock of
 * `projectId`.
 */
export type Verdict =
  | { kind: 'admitted'; hold: HoldRow; credential: PlacedCredential; action: ActionFacts; rate: RateReport }
  | { kind: 'refused'; refusal: Refusal; credential: Credential | undefined; rate: RateReport | undefined }
  | { kind: 'replay'; claim: ClaimRow; rate: RateReport }
  | { kind: 'rerouted' }
  | ({ kind: 'verified'; attempt: string | null; answer: string } & Verified)
  | { kind: 'askerRefused'; refusal: Refusal }
  | { kind: 'settled'; outcome: LogRow['outcome']; billing: Billing; answer: string | undefined; claim?: ClaimRow | undefined }
  | { kind: 'renewed'; expiresAt: number }
  | { kind: 'gone' }
  | { kind: 'counted' }
  | { kind: 'locked'; projectId: string };

export type VerifiedVerdict = Extract<Verdict, { kind: 'verified' }>;

/** Thrown for a verification with a commit that was not answered: its bill or hold may exist. */
export class UnknownCommit extends Error {
  override name = 'UnknownCommit';

  constructor(
    /** The verdict if the tick has committed. */
    readonly verdict: VerifiedVerdict,
    readonly attempt: string,
    cause: unknown,
  ) {
    super('The commit of a verification was not answered.', { cause });
  }
}

export type TickItem = Admission | Settlement | Renewal | Count;

/** Returns the project of the budget that must be locked for an item, or undefined if the item needs no lock. */
export function projectOf(item: TickItem): string | undefined {
  if (item.kind === 'settlement' || item.kind === 'renewal') return item.hold.projectId;
  return item.kind === 'admission' ? (item.projectId ?? undefined) : undefined;
}

/** The refusal of a call that exceeds its project's rate limit. */
export function rateRefusal(rate: RateReport): Refusal {
  return { code: 'RATE_LIMITED', details: { retry_after_ms: Math.ceil(rate.untilNextUs / 1000), violated_policies: ['project'] } };
}
