import type { EntryRow } from '../wallet/ledger-account';
import type { ClaimRow, HoldRow, LogRow, RefusalCountRow } from './rows';

export type SqlValue = string | number | boolean | null;

/** A table as a tick writes it: its columns in SQL, and what a row has in each. */
export interface TickTable<T> {
  name: string;
  columns: string[];
  valuesOf(row: T): SqlValue[];
}

function table<T>(name: string, properties: (keyof T & string)[]): TickTable<T> {
  return {
    name,
    columns: properties.map((property) => property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)),
    valuesOf: (row) => properties.map((property) => row[property] as SqlValue),
  };
}

const CALL = ['credentialKind', 'credentialId', 'workspaceId', 'projectId', 'environment', 'service', 'action', 'requestId', 'ip', 'userAgent'] as const;

export const HOLDS = table<HoldRow>('holds', ['attempt', ...CALL, 'claimed', 'amount', 'startedAt', 'expiresAt', 'process']);

export const LOGS = table<LogRow>('request_logs', [
  'id',
  ...CALL,
  'outcome',
  'errorCode',
  'httpStatus',
  'chargedMicroCredits',
  'actionMs',
  'totalMs',
  'createdAt',
]);

export const ENTRIES = table<EntryRow>('ledger_entries', [
  'accountId',
  'seq',
  'kind',
  'delta',
  'balanceAfter',
  'linkedEntryId',
  'requestLogId',
  'reference',
  'reason',
  'createdAt',
]);

export const CLAIMS = table<ClaimRow>('claims', [
  'credentialId',
  'requestId',
  'attempt',
  'fingerprint',
  'state',
  'expiresAt',
  'chargedMicroCredits',
  'answer',
]);

export const REFUSAL_COUNTS = table<RefusalCountRow>('refusal_counts', ['credentialId', 'code', 'minute', 'calls']);
