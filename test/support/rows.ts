import type { EntityTarget, ObjectLiteral } from 'typeorm';
import { ApiKey } from '../../src/keys/key.entity';
import { newId, type IdPrefix } from '../../src/lib/id';
import { RequestLog, RequestOutcome } from '../../src/requests/request-log.entity';
import { Environment } from '../../src/tenancy/environment';
import { GalleryMode, Project } from '../../src/tenancy/project.entity';
import { Workspace } from '../../src/tenancy/workspace.entity';
import { LedgerEntry, LedgerKind } from '../../src/wallet/ledger-entry.entity';
import { Budget, Wallet } from '../../src/wallet/wallet.entity';
import type { TestApp } from './app';

// Writes rows directly, so that a test can have any number of rows with any times.

/** The project that a row belongs to. */
export type Of = Pick<Project, 'id' | 'workspaceId'>;

const rowOf = (prefix: IdPrefix, at: number) => ({ id: newId(prefix, at), createdAt: new Date(at) });

export const workspaceRow = (at: number, values: Partial<Workspace> = {}): Workspace => {
  const row = rowOf('ws', at);
  return { ...row, name: 'W', slug: row.id.slice(-20), keyPrefix: 'acme', requiresSecondFactor: false, version: 1, ...values };
};

export const walletRow = (workspaceId: string): Wallet =>
  Object.assign(new Wallet(), { id: newId('wal'), workspaceId, balance: 0, entrySeq: 0 });

export const projectRow = (workspaceId: string, at: number, values: Partial<Project> = {}) => {
  const row = rowOf('prj', at);
  return {
    ...row,
    workspaceId,
    name: 'P',
    slug: row.id.slice(-20),
    galleryMode: GalleryMode.ISOLATED,
    sustainedRps: 1,
    burst: 1,
    archivedAt: null,
    version: 1,
    ...values,
  };
};

export const budgetRow = (projectId: string) => ({
  projectId,
  balance: 0,
  held: 0,
  entrySeq: 0,
  theoreticalArrivalUs: 0,
  arrivalIntervalUs: 0,
});

export const keyRow = ({ id: projectId, workspaceId }: Of, at: number, values: Partial<ApiKey> = {}) => {
  const state = {
    enabled: true,
    expiresAt: null,
    revokedAt: null,
    revokedReason: null,
    rotatedAt: null,
    roleId: null,
    hint: 'acme_live_...abcd',
    version: 1,
  };
  return {
    ...rowOf('key', at),
    workspaceId,
    projectId,
    name: 'Key',
    environment: Environment.LIVE,
    permissions: [],
    allowedIps: [],
    ...state,
    ...values,
  };
};

export const logRow = ({ id: projectId, workspaceId }: Of, at: number, values: Partial<RequestLog> = {}) => {
  const about = {
    requestId: 'cccccccc-0000-4000-8000-000000000000',
    workspaceId,
    projectId,
    credentialKind: 'API_KEY',
    credentialId: 'key_1',
    ip: null,
    userAgent: null,
  };
  const call = {
    environment: Environment.LIVE,
    service: 'demo',
    action: 'demo.echo',
    outcome: RequestOutcome.SUCCEEDED,
    errorCode: null,
    httpStatus: 200,
  };
  return { ...rowOf('log', at), ...about, ...call, chargedMicroCredits: 0, actionMs: 1.5, totalMs: 2.5, ...values };
};

export const entryRow = (accountId: string, seq: number, at: number, values: Partial<LedgerEntry> = {}) => {
  const about = {
    kind: LedgerKind.TOPUP,
    delta: 1,
    balanceAfter: 1,
    linkedEntryId: null,
    requestLogId: null,
    reference: null,
    reason: null,
  };
  return { accountId, seq, createdAt: new Date(at), ...about, ...values };
};

export { ApiKey, Budget, LedgerEntry, Project, RequestLog, Wallet, Workspace };

/** Writes rows to a table, 500 per statement. */
export async function insertRows<T extends ObjectLiteral>(
  { database }: Pick<TestApp, 'database'>,
  entity: EntityTarget<T>,
  rows: Partial<T>[],
): Promise<void> {
  await database.transaction(async (tx) => {
    // Inserts copies, because TypeORM writes defaults back into the objects, in another order
    for (let start = 0; start < rows.length; start += 500) {
      await tx.insert(entity, rows.slice(start, start + 500).map((row) => ({ ...row })));
    }
  });
}
