import { numbersIn } from '../db/columns';
import type { ActionFacts } from './call';
import { claimKey, placeOf, tickOf, type ClaimRow, type EndedAttempt, type HoldRow, type LockedBudget, type LogRow, type TickHoldsRow, type TickWrites } from './rows';
import { actionKey } from './tick-store';

// What a tick reads, the same on both databases: the columns, and the values that rows become. Portable SQL only.

export type SqlRow = Record<string, unknown>;

export const ACTION_COLUMNS = `service, name, price_micro_credits AS priceMicroCredits, permission, upstream_url AS upstreamUrl,
  timeout_ms AS timeoutMs, pass_statuses AS passStatuses FROM actions`;

export const BUDGET_COLUMNS = `project_id AS projectId, balance, held, entry_seq AS entrySeq,
  theoretical_arrival_us AS theoreticalArrivalUs, arrival_interval_us AS arrivalIntervalUs FROM budgets`;

export const CLAIM_COLUMNS = `credential_id AS credentialId, request_id AS requestId, attempt, fingerprint, state, expires_at AS expiresAt,
  charged_micro_credits AS chargedMicroCredits, answer IS NOT NULL AS kept FROM claims`;

export const MARK_COLUMNS = 'id, marks FROM tick_holds';

export const HOLD_COLUMNS = 'id, marks, holds FROM tick_holds';

export const ENDED_COLUMNS = 'id, outcome, charged_micro_credits AS chargedMicroCredits FROM request_logs';

export function toActions(rows: SqlRow[]): Map<string, ActionFacts> {
  return new Map(
    rows.map((row) => {
      const exact = { priceMicroCredits: Number(row.priceMicroCredits), passStatuses: numbersIn(row.passStatuses as string | null) };
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

/** A claim without its answer: `answer` is empty text where one is kept. */
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

/** Which holds of some ticks are open: a mark for each place, by tick. */
export type OpenMarks = Map<string, string>;

const OPEN = '1';
const ENDED = '0';

export function toMarks(rows: SqlRow[]): OpenMarks {
  return new Map(rows.map((row) => [row.id as string, row.marks as string]));
}

export const isOpen = (marks: OpenMarks, attempt: string): boolean => marks.get(tickOf(attempt))?.[placeOf(attempt)] === OPEN;

/** The marks of the ticks that these attempts are of, once those have ended; empty text where all of a tick's have. */
export function marksAfter(marks: OpenMarks, ended: string[]): [tick: string, marks: string][] {
  const places = new Map<string, Set<number>>();
  for (const attempt of ended) {
    const tick = tickOf(attempt);
    const known = places.get(tick);
    if (known) known.add(placeOf(attempt));
    else places.set(tick, new Set([placeOf(attempt)]));
  }
  return [...places].map(([tick, gone]) => {
    const left = [...(marks.get(tick) as string)].map((mark, place) => (gone.has(place) ? ENDED : mark)).join('');
    return [tick, left.includes(OPEN) ? left : ''];
  });
}

/** The row that keeps the holds which one tick opened. */
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

/** Those of a tick's holds that are open. */
export function openHoldsOf({ marks, holds }: Pick<TickHoldsRow, 'marks' | 'holds'>): HoldRow[] {
  return (JSON.parse(holds) as HoldRow[]).filter(({ attempt }) => marks[placeOf(attempt)] === OPEN);
}

export function toEnded(rows: SqlRow[]): Map<string, EndedAttempt> {
  return new Map(
    rows.map((row) => [row.id as string, { outcome: row.outcome as LogRow['outcome'], chargedMicroCredits: Number(row.chargedMicroCredits) }]),
  );
}

/** Claims that ran out: their holds have to be read too, to be ended. */
export function staleAttempts(claims: Map<string, ClaimRow>, nowUs: number): string[] {
  return [...claims.values()].filter((claim) => claim.state === 'RUNNING' && claim.expiresAt * 1000 <= nowUs).map((claim) => claim.attempt);
}
