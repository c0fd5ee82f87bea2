import { In, type EntityManager, type SelectQueryBuilder } from 'typeorm';
import { anyOf } from '../db/filters';
import { NEWEST_FIRST, keysetPage, type PageRequest } from '../db/keyset';
import type { Connection } from '../lib/graphql-types';
import type { Environment } from '../tenancy/environment';
import { RequestLog, type RequestOutcome } from './request-log.entity';

export interface RequestLogFilter {
  requestId?: string | null;
  keyId?: string[] | null;
  projectId?: string[] | null;
  environment?: Environment | null;
  action?: string[] | null;
  outcome?: RequestOutcome[] | null;
  errorCode?: string[] | null;
  from?: Date | null;
  to?: Date | null;
}

export type RequestLogScope = { workspaceId: string } | { projectId: string } | { credentialId: string };

/** The calls of a workspace, a project or a credential that a filter lets through; the alias is `row`. */
export function requestLogsOf(reader: EntityManager, scope: RequestLogScope, filter: RequestLogFilter): SelectQueryBuilder<RequestLog> {
  const query = reader.createQueryBuilder(RequestLog, 'row').where(scope);
  if (typeof filter.requestId === 'string') query.andWhere(anyOf('requestId', [filter.requestId.toLowerCase()]));
  if (filter.keyId) query.andWhere(anyOf('credentialId', filter.keyId, 'keyId'));
  if (filter.projectId) query.andWhere(anyOf('projectId', filter.projectId));
  if (filter.environment) query.andWhere({ environment: filter.environment });
  if (filter.action) query.andWhere(anyOf('action', filter.action));
  if (filter.outcome) query.andWhere(anyOf('outcome', filter.outcome));
  if (filter.errorCode) query.andWhere(anyOf('errorCode', filter.errorCode));
  if (filter.from) query.andWhere('row.createdAt >= :from', { from: filter.from.getTime() });
  if (filter.to) query.andWhere('row.createdAt < :to', { to: filter.to.getTime() });
  return query;
}

/** A page of them, newest first. */
export async function listRequestLogs(
  reader: EntityManager,
  scope: RequestLogScope,
  filter: RequestLogFilter,
  page: PageRequest,
): Promise<Connection<RequestLog>> {
  return keysetPage(requestLogsOf(reader, scope, filter), NEWEST_FIRST, page);
}

/** When each credential's newest call was logged. Read off the end of an index, so that no call has to write it. */
export async function lastUsesOf(credentialIds: readonly string[], reader: EntityManager): Promise<Map<string, Date>> {
  const rows = await reader
    .createQueryBuilder(RequestLog, 'row')
    .select('row.credentialId', 'credentialId')
    .addSelect('MAX(row.createdAt)', 'at')
    .where({ credentialId: In([...credentialIds]) })
    .groupBy('row.credentialId')
    .getRawMany<{ credentialId: string; at: string | number }>();
  return new Map(rows.map((row) => [row.credentialId, new Date(Number(row.at))]));
}
