import type { EntryRow } from '../../wallet/ledger-account';
import type { ClaimRow, LogRow, RefusalCountRow, SingleHoldRow, TickHoldsRow } from './rows';

export type SqlValue = string | number | null;

/** A table that ticks write: its columns in SQL, and the values of a row in the same order. */
export interface TickTable<T> {
  name: string;
  columns: string[];
  valuesOf(row: T): SqlValue[];
}

// Written out, because a loop over property names takes longer than the rest of the work for a row

export const TICK_HOLDS: TickTable<TickHoldsRow> = {
  name: 'tick_holds',
  columns: ['id', 'process', 'expires_at', 'marks', 'holds'],
  valuesOf: (row) => [row.id, row.process, row.expiresAt, row.marks, row.holds],
};

export const SINGLE_HOLDS: TickTable<SingleHoldRow> = {
  name: 'single_holds',
  columns: ['id', 'project_id', 'expires_at', 'hold'],
  valuesOf: (row) => [row.id, row.projectId, row.expiresAt, row.hold],
};

export const LOGS: TickTable<LogRow> = {
  name: 'request_logs',
  columns: [
    ...['id', 'credential_kind', 'credential_id', 'workspace_id', 'project_id', 'environment'],
    ...['service', 'action', 'request_id', 'ip', 'user_agent'],
    ...['outcome', 'error_code', 'http_status', 'charged_micro_credits', 'action_ms', 'total_ms', 'created_at'],
    ...['held_micro_credits', 'shortfall_micro_credits', 'usage_json', 'usage_missing', 'subject', 'metadata_json'],
  ],
  valuesOf: (row) => [
    row.id,
    row.credentialKind,
    row.credentialId,
    row.workspaceId,
    row.projectId,
    row.environment,
    row.service,
    row.action,
    row.requestId,
    row.ip,
    row.userAgent,
    row.outcome,
    row.errorCode,
    row.httpStatus,
    row.chargedMicroCredits,
    row.actionMs,
    row.totalMs,
    row.createdAt,
    row.heldMicroCredits,
    row.shortfallMicroCredits,
    jsonOf(row.usage),
    row.usageMissing ? 1 : 0,
    row.subject ?? null,
    jsonOf(row.metadata),
  ],
};

const jsonOf = (value: object | null | undefined): string | null => (value ? JSON.stringify(value) : null);

/** Entries that bill calls. They have no link, reference or reason: only the entries of administrators have these. */
export const ENTRIES: TickTable<EntryRow> = {
  name: 'ledger_entries',
  columns: ['account_id', 'seq', 'kind', 'delta', 'balance_after', 'request_log_id', 'created_at'],
  valuesOf: (row) => [row.accountId, row.seq, row.kind, row.delta, row.balanceAfter, row.requestLogId, row.createdAt],
};

export const CLAIMS: TickTable<ClaimRow> = {
  name: 'claims',
  columns: ['credential_id', 'request_id', 'attempt', 'fingerprint', 'state', 'expires_at', 'charged_micro_credits', 'answer'],
  valuesOf: (row) => [
    row.credentialId,
    row.requestId,
    row.attempt,
    row.fingerprint,
    row.state,
    row.expiresAt,
    row.chargedMicroCredits,
    row.answer,
  ],
};

export const REFUSAL_COUNTS: TickTable<RefusalCountRow> = {
  name: 'refusal_counts',
  columns: ['credential_id', 'code', 'minute', 'calls'],
  valuesOf: (row) => [row.credentialId, row.code, row.minute, row.calls],
};
