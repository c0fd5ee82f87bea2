import type { UnitPrice } from '../../actions/unit-prices';
import { jsonListIn, numbersIn } from '../../db/columns';
import { routeKey, type ActionFacts, type RouteVersion } from '../call';
import {
  claimKey,
  placeOf,
  tickOf,
  type ClaimRow,
  type EndedAttempt,
  type HoldRow,
  type LockedBudget,
  type LogRow,
  type SingleHoldRow,
  type TickHoldsRow,
  type TickWrites,
} from './rows';
import { actionKey } from './tick-store';

// The columns that a tick reads, and the conversion of rows to values. Portable SQL, the same on all databases.

export type SqlRow = Record<string, unknown>;

export const ACTION_COLUMNS = `service, name, price_micro_credits AS priceMicroCredits, unit_prices AS unitPrices,
  max_charge_micro_credits AS maxChargeMicroCredits, permission, upstream_url AS upstreamUrl,
  timeout_ms AS timeoutMs, pass_statuses AS passStatuses FROM actions`;

export const BUDGET_COLUMNS = `project_id AS projectId, balance, held, entry_seq AS entrySeq,
  theoretical_arrival_us AS theoreticalArrivalUs, arrival_interval_us AS arrivalIntervalUs FROM budgets`;

export const CLAIM_COLUMNS = `credential_id AS credentialId, request_id AS requestId, attempt, fingerprint, state, expires_at AS expiresAt,
  charged_micro_credits AS chargedMicroCredits, answer IS NOT NULL AS kept FROM claims`;

export const MARK_COLUMNS = 'id, marks FROM tick_holds';

export const HOLD_COLUMNS = 'id, marks, holds FROM tick_holds';

export const SINGLE_HOLD_COLUMNS = 'id, expires_at AS expiresAt, hold FROM single_holds';

export const ROUTE_COLUMNS = 'id, version FROM routes';

export const ENDED_COLUMNS = 'id, outcome, charged_micro_credits AS chargedMicroCredits FROM request_logs';

export function toActions(rows: SqlRow[]): Map<string, ActionFacts> {
  return new Map(
    rows.map((row) => {
      const exact = {
        priceMicroCredits: Number(row.priceMicroCredits),
        unitPrices: jsonListIn<UnitPrice>(row.unitPrices as string | null),
        maxChargeMicroCredits: row.maxChargeMicroCredits === null ? null : Number(row.maxChargeMicroCredits),
        passStatuses: numbersIn(row.passStatuses as string | null),
      };
      const action = { ...(row as unknown as ActionFacts), ...exact };
      return [actionKey({ service: action.service, action: action.name }), action];
    }),
  );
}

export function toBudgets(rows: SqlRow[]): Map<string, LockedBudget> {
  return new Map(
    rows.map((row) => {
      const budget: LockedBudget = {
        id: row.projectId as string,
        balance: Number(row.balance),
        held: Number(row.held),
        entrySeq: Number(row.entrySeq),
        theoreticalArrivalUs: Number(row.theoreticalArrivalUs),
        arrivalIntervalUs: Number(row.arrivalIntervalUs),
      };
      return [budget.id, budget];
    }),
  );
}

/** Converts rows to claims. The answer itself is not read: `answer` is an empty text if there is one, otherwise null. */
export function toClaims(rows: SqlRow[]): Map<string, ClaimRow> {
  return new Map(
    rows.map(({ kept, ...row }) => {
      const claim = {
        ...row,
        expiresAt: Number(row.expiresAt),
        chargedMicroCredits: Number(row.chargedMicroCredits),
        answer: Number(kept) === 1 ? '' : null,
      } as ClaimRow;
      return [claimKey(claim), claim];
    }),
  );
}

/** The marks of ticks, by the id of the tick. Each place of a tick has a mark, OPEN or ENDED. */
export type OpenMarks = Map<string, string>;

const OPEN = '1';
const ENDED = '0';

export function toMarks(rows: SqlRow[]): OpenMarks {
  return new Map(rows.map((row) => [row.id as string, row.marks as string]));
}

export const isOpen = (marks: OpenMarks, attempt: string): boolean => marks.get(tickOf(attempt))?.[placeOf(attempt)] === OPEN;

/** The new marks of each tick after these attempts have ended. An empty text means that no hold of the tick is open any longer. */
export function marksAfter(marks: OpenMarks, ended: string[]): [tick: string, marks: string][] {
  const places = new Map<string, Set<number>>();
  for (const attempt of ended) {
    const tick = tickOf(attempt);
    const known = places.get(tick);
    if (known) known.add(placeOf(attempt));
    else places.set(tick, new Set([placeOf(attempt)]));
  }
  return [...places].map(([tick, endedPlaces]) => {
    const left = [...(marks.get(tick) as string)].map((mark, place) => (endedPlaces.has(place) ? ENDED : mark)).join('');
    return [tick, left.includes(OPEN) ? left : ''];
  });
}

/** Makes the row with the holds that one tick opened. */
export function toTickHolds({ tick, process, holds }: Pick<TickWrites, 'tick' | 'process' | 'holds'>): TickHoldsRow {
  const marks: string[] = [];
  let expiresAt = Infinity;
  for (const hold of holds) {
    const place = placeOf(hold.attempt);
    while (marks.length < place) marks.push(ENDED);
    marks.push(OPEN);
    expiresAt = Math.min(expiresAt, hold.expiresAt);
  }
  return { id: tick, process, expiresAt, marks: marks.join(''), holds: JSON.stringify(holds) };
}

/** The open holds of a tick. */
export function openHoldsOf({ marks, holds }: Pick<TickHoldsRow, 'marks' | 'holds'>): HoldRow[] {
  return (JSON.parse(holds) as HoldRow[]).filter(({ attempt }) => marks[placeOf(attempt)] === OPEN);
}

/** Makes the row of a hold that gets a row of its own. */
export function toSingleHold(hold: HoldRow): SingleHoldRow {
  return { id: hold.attempt, projectId: hold.projectId, expiresAt: hold.expiresAt, hold: JSON.stringify(hold) };
}

/** The hold of a row, with the time when it expires now. */
export function singleHoldOf({ expiresAt, hold }: Pick<SingleHoldRow, 'expiresAt' | 'hold'>): HoldRow {
  return { ...(JSON.parse(hold) as HoldRow), expiresAt: Number(expiresAt) };
}

export const toRoutes = (rows: SqlRow[]): Set<string> => new Set(rows.map((row) => routeKey(row as unknown as RouteVersion)));

export function toEnded(rows: SqlRow[]): Map<string, EndedAttempt> {
  return new Map(
    rows.map(({ id, outcome, chargedMicroCredits }) => [
      id as string,
      { outcome: outcome as LogRow['outcome'], chargedMicroCredits: Number(chargedMicroCredits) },
    ]),
  );
}

/** The attempts of expired claims that are still RUNNING. Their holds must be read too, so that the tick can end them. */
export function staleAttempts(claims: Map<string, ClaimRow>, nowUs: number): string[] {
  return [...claims.values()].filter((claim) => claim.state === 'RUNNING' && claim.expiresAt * 1000 <= nowUs).map((claim) => claim.attempt);
}
