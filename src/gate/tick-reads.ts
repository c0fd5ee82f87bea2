import type { ActionFacts, KeyFacts } from './call';
import { intervalUs } from './rate-limit';
import { claimKey, type ClaimRow, type EndedAttempt, type HoldRow, type LockedBudget, type LogRow } from './rows';

// What a tick reads, the same on both databases: the columns, and the values that rows become. Portable SQL only.

export type SqlRow = Record<string, unknown>;

export const KEY_COLUMNS = `s.digest AS digest, s.grace_until AS secretGraceUntil, s.ended_at AS secretEndedAt,
  k.id AS keyId, k.name AS keyName, k.environment AS environment, k.permissions AS permissions, k.allowed_ips AS allowedIps,
  k.enabled AS enabled, k.expires_at AS expiresAt, k.revoked_at AS revokedAt,
  p.id AS projectId, p.workspace_id AS workspaceId, p.gallery_mode AS galleryMode, p.archived_at AS archivedAt
  FROM key_secrets s JOIN api_keys k ON k.id = s.key_id JOIN projects p ON p.id = k.project_id`;

export const ACTION_COLUMNS = `service, name, price_micro_credits AS priceMicroCredits, permission, upstream_url AS upstreamUrl, timeout_ms AS timeoutMs
  FROM actions`;

export const BUDGET_COLUMNS = `project_id AS projectId, balance, held, entry_seq AS entrySeq,
  theoretical_arrival_us AS theoreticalArrivalUs, arrival_interval_us AS arrivalIntervalUs FROM budgets`;

export const LIMIT_COLUMNS = 'id AS projectId, sustained_rps AS sustainedRps, burst FROM projects';

export const CLAIM_COLUMNS = `credential_id AS credentialId, request_id AS requestId, attempt, fingerprint, state, expires_at AS expiresAt,
  charged_micro_credits AS chargedMicroCredits, answer IS NOT NULL AS kept FROM claims`;

export const HOLD_COLUMNS = `attempt, credential_kind AS credentialKind, credential_id AS credentialId, workspace_id AS workspaceId,
  project_id AS projectId, environment, service, action, request_id AS requestId, claimed, amount, ip, user_agent AS userAgent,
  started_at AS startedAt, expires_at AS expiresAt, process FROM holds`;

export const ENDED_COLUMNS = 'id, outcome, charged_micro_credits AS chargedMicroCredits FROM request_logs';

const numberOrNull = (value: unknown): number | null => (value === null ? null : Number(value));

export function toKeyFacts(row: SqlRow): KeyFacts {
  return {
    ...(row as unknown as KeyFacts),
    secretGraceUntil: numberOrNull(row.secretGraceUntil),
    secretEndedAt: numberOrNull(row.secretEndedAt),
    permissions: JSON.parse(row.permissions as string) as string[],
    allowedIps: JSON.parse(row.allowedIps as string) as string[],
    enabled: Boolean(row.enabled),
    expiresAt: numberOrNull(row.expiresAt),
    revokedAt: numberOrNull(row.revokedAt),
    archivedAt: numberOrNull(row.archivedAt),
  };
}

export function toActionFacts(row: SqlRow): ActionFacts {
  return { ...(row as unknown as ActionFacts), priceMicroCredits: Number(row.priceMicroCredits) };
}

export function toBudgets(budgets: SqlRow[], limits: SqlRow[]): Map<string, LockedBudget> {
  const limitOf = new Map(limits.map((row) => [row.projectId, { sustainedRps: Number(row.sustainedRps), burst: Number(row.burst) }]));
  return new Map(
    budgets.map((row) => {
      const limit = limitOf.get(row.projectId);
      if (!limit) throw new Error(`Budget of ${String(row.projectId)} has no project.`);
      const id = row.projectId as string;
      const budget: LockedBudget = {
        id,
        balance: Number(row.balance),
        held: Number(row.held),
        entrySeq: Number(row.entrySeq),
        theoreticalArrivalUs: Number(row.theoreticalArrivalUs),
        arrivalIntervalUs: Number(row.arrivalIntervalUs) || intervalUs(limit),
        limit,
      };
      return [id, budget];
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

export function toHold(row: SqlRow): HoldRow {
  return {
    ...(row as unknown as HoldRow),
    claimed: Boolean(row.claimed),
    amount: Number(row.amount),
    startedAt: Number(row.startedAt),
    expiresAt: Number(row.expiresAt),
  };
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
