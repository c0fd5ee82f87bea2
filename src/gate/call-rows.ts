import { costOf } from '../actions/unit-prices';
import type { ActionFacts, Call, PlacedCredential } from './call';
import type { Ending } from './items';
import type { HoldRow, LockedBudget, LogRow } from './tick/rows';

// Makes the rows of a call: its hold and its log row. Pure.

/** The times of a decision: milliseconds of the clock that decides, and of `performance.now()`. */
export interface DecisionTime {
  nowMs: number;
  monotonicMs: number;
}

/** When a hold begins, and how long it lasts. */
export interface Lifetime {
  startedAt: number;
  lastsMs: number;
}

/** Makes the hold of a call, without a price: a success costs exactly `amount`. */
export function holdOf(
  attempt: string,
  call: Call,
  credential: PlacedCredential,
  amount: number,
  { startedAt, lastsMs }: Lifetime,
): HoldRow {
  return {
    attempt,
    credentialKind: credential.credentialKind,
    credentialId: credential.id,
    workspaceId: credential.workspaceId,
    projectId: credential.projectId,
    environment: credential.environment,
    service: call.service,
    action: call.action,
    requestId: call.requestId,
    ip: call.ip,
    userAgent: call.userAgent,
    subject: call.subject,
    metadata: call.metadata,
    claimed: call.fingerprint !== null,
    amount,
    startedAt,
    expiresAt: startedAt + lastsMs,
  };
}

/** Adds the price to a hold, unless a success costs exactly the amount that the hold reserves. */
export function priced(hold: HoldRow, action: ActionFacts): HoldRow {
  if (action.maxChargeMicroCredits !== null) hold.price = { flatMicroCredits: action.priceMicroCredits, units: action.unitPrices };
  return hold;
}

/** The most that a call can cost, which its hold reserves. */
export const mostOf = ({ environment }: PlacedCredential, { maxChargeMicroCredits, priceMicroCredits }: ActionFacts): number =>
  environment === 'TEST' ? 0 : (maxChargeMicroCredits ?? priceMicroCredits);

/** Makes the log row of a call that ends now. `budget` has what is left after the hold was given back. */
export function logOf(hold: HoldRow, ending: Ending, time: DecisionTime, budget?: LockedBudget): LogRow {
  const ran = ending.kind === 'expired' ? undefined : ending;
  const voided = ending.kind === 'voided' ? ending : undefined;
  const posted = ending.kind === 'posted' ? ending : undefined;
  const cost = posted && budget ? costOfCall(hold, posted) : NO_COST;
  const charged = budget ? Math.min(cost.microCredits, budget.balance - budget.held) : 0;
  // Copied property by property: a rest pattern or a spread takes longer than the rest of a settlement
  return {
    id: hold.attempt,
    credentialKind: hold.credentialKind,
    credentialId: hold.credentialId,
    workspaceId: hold.workspaceId,
    projectId: hold.projectId,
    environment: hold.environment,
    service: hold.service,
    action: hold.action,
    requestId: hold.requestId,
    ip: hold.ip,
    userAgent: hold.userAgent,
    subject: hold.subject,
    metadata: hold.metadata,
    outcome: voided?.outcome ?? (ran ? 'SUCCEEDED' : 'EXPIRED'),
    errorCode: ran ? (voided?.errorCode ?? null) : 'OUTCOME_UNKNOWN',
    httpStatus: ran ? ran.httpStatus : null,
    chargedMicroCredits: charged,
    heldMicroCredits: hold.amount,
    shortfallMicroCredits: cost.microCredits - charged,
    usage: posted?.usage ?? null,
    usageMissing: cost.isMissing,
    actionMs: ran && ran.actionMs !== null ? toMicros(ran.actionMs) : null,
    totalMs: ran ? totalMs(hold, ran.arrivedAt, time) : null,
    createdAt: time.nowMs,
  };
}

/** The time of the whole call. By the database's clock if another process may have admitted it. */
function totalMs({ startedAt }: HoldRow, arrivedAt: number | null, { nowMs, monotonicMs }: DecisionTime): number {
  return arrivedAt === null ? Math.max(0, nowMs - startedAt) : toMicros(monotonicMs - arrivedAt);
}

const toMicros = (ms: number): number => Math.round(ms * 1000) / 1000;

const NO_COST = { microCredits: 0, isMissing: false };

/** What a success costs. A TEST credential pays nothing, but its usage is measured. */
function costOfCall(hold: HoldRow, { usage, costMicroCredits }: Posted): { microCredits: number; isMissing: boolean } {
  const measured = hold.price ? costOf(hold.price, usage) : { microCredits: hold.amount, isMissing: false };
  if (hold.environment === 'TEST') return { ...measured, microCredits: 0 };
  return costMicroCredits === undefined ? measured : { microCredits: costMicroCredits, isMissing: false };
}

type Posted = Extract<Ending, { kind: 'posted' }>;
