import type { EntityManager, SelectQueryBuilder } from 'typeorm';
import { anyOf, ranging, within } from '../db/filters';
import { NEWEST_FIRST } from '../db/keyset';
import { lookedUp, type List, type ListSource } from '../db/list';
import { readRawTogether } from '../db/together';
import { plainAddress } from '../lib/cidr';
import { storable } from '../lib/rules';
import type { Environment } from '../tenancy/environment';
import { RequestLog, type RequestOutcome } from './request-log.entity';

export interface RequestLogFilter {
  requestId?: string | null;
  keyId?: string[] | null;
  projectId?: string[] | null;
  environment?: Environment | null;
  service?: string[] | null;
  action?: string[] | null;
  outcome?: RequestOutcome[] | null;
  errorCode?: string[] | null;
  ip?: string[] | null;
  minChargedMicroCredits?: number | null;
  maxChargedMicroCredits?: number | null;
  from?: Date | null;
  to?: Date | null;
}

export type RequestLogScope = { workspaceId: string } | { projectId: string } | { credentialId: string };

const OWNER_COLUMNS = { workspaceId: 'workspace_id', projectId: 'project_id', credentialId: 'credential_id' };

/** The calls of one requestId that a list finds: the newest of them. */
const MAX_SAME_REQUEST_ID = 1_000;

/** The calls of a workspace, a project or a credential that a filter lets through; the alias is `row`. */
export function requestLogsOf(reader: EntityManager, scope: RequestLogScope, filter: RequestLogFilter): SelectQueryBuilder<RequestLog> {
  const query = reader.createQueryBuilder(RequestLog, 'row').where(scope);
  within(query, 'row.createdAt', filter);
  narrow(query, filter, scope);
  return query;
}

/** The same as a list, newest first. A few keys or projects are each looked up in the index that they have, a requestId in its own. */
export const REQUEST_LOGS: List<RequestLog, RequestLogScope, RequestLogFilter> = {
  entity: RequestLog,
  orderOf: () => NEWEST_FIRST,
  sourceOf: (scope, filter) => {
    const bounds = (query: SelectQueryBuilder<RequestLog>) => within(query, 'row.createdAt', filter);
    if (typeof filter.requestId === 'string') {
      return { ranges: [{}], bounds: (query) => (bounds(query), narrow(query, filter, scope)) }; // few: all are looked at
    }
    const { ranges = [scope], ...rest } = lookUp(scope, filter);
    const left = { ...filter, ...rest };
    return {
      ranges,
      owner: ranges[0] === scope ? undefined : ownerOf(scope),
      bounds,
      narrow: isNarrow(left) ? (query) => narrow(query, left, scope) : undefined,
    };
  },
};

/** The ranges of a few keys or projects, in the place of that part of the filter. A key calls in one project for ever, as a project is in one workspace. */
function lookUp(scope: RequestLogScope, { keyId, projectId }: RequestLogFilter): { ranges?: ListSource<RequestLog>['ranges']; keyId?: null; projectId?: null } {
  const keys = 'credentialId' in scope || !keyId?.every((id) => id.startsWith('key_')) ? undefined : lookedUp<RequestLog>('credentialId', keyId);
  if (keys) return { ranges: keys, keyId: null };
  const projects = 'workspaceId' in scope ? lookedUp<RequestLog>('projectId', projectId) : undefined;
  return projects ? { ranges: projects, projectId: null } : {};
}

const ownerOf = (scope: RequestLogScope) => Object.entries(scope).map(([property, id]) => ({ property: property as keyof RequestLog, id: id as string }))[0];

/** Whether a filter asks for more than a time. */
const isNarrow = ({ from: _from, to: _to, ...rest }: RequestLogFilter): boolean => Object.values(rest).some((value) => value !== undefined && value !== null);

function narrow(query: SelectQueryBuilder<RequestLog>, filter: RequestLogFilter, scope: RequestLogScope): void {
  if (typeof filter.requestId === 'string') withRequestId(query, filter.requestId.toLowerCase(), scope);
  anyOf(query, 'credentialId', filter.keyId, 'keyId');
  anyOf(query, 'projectId', filter.projectId);
  if (filter.environment) query.andWhere({ environment: filter.environment });
  anyOf(query, 'service', filter.service);
  anyOf(query, 'action', filter.action);
  anyOf(query, 'outcome', filter.outcome);
  anyOf(query, 'errorCode', filter.errorCode);
  anyOf(query, 'ip', filter.ip?.map((address) => plainAddress(address) ?? address));
  ranging(query, 'row.chargedMicroCredits', 'charged', filter.minChargedMicroCredits, filter.maxChargedMicroCredits);
}

/** A caller may use one requestId a million times, and strangers the same; ids of calls grow with time. */
function withRequestId(query: SelectQueryBuilder<RequestLog>, requestId: string, scope: RequestLogScope): void {
  if (storable([requestId]).length === 0) query.andWhere('1 = 0');
  const [[property, ownerId]] = Object.entries(scope) as [[keyof typeof OWNER_COLUMNS, string]];
  const ofOwner = ` AND NULLIF(log.${OWNER_COLUMNS[property]}, '') = :ownerId`; // NULLIF: by the index of the requestId
  const newest = `SELECT log.id AS id FROM request_logs log WHERE log.request_id = :requestId${ofOwner} ORDER BY log.id DESC LIMIT ${MAX_SAME_REQUEST_ID}`;
  query.andWhere(`row.id IN (SELECT newest.id FROM (${newest}) newest)`, { requestId, ownerId });
}

/** When each credential's newest call was logged. Read off the end of an index, so that no call has to write it. */
export async function lastUsesOf(credentialIds: readonly string[], reader: EntityManager): Promise<Map<string, Date>> {
  const newest = await readRawTogether<{ at: string | number }>(
    reader,
    credentialIds.map((credentialId) => {
      const query = reader.createQueryBuilder(RequestLog, 'row').select('row.createdAt', 'at').where({ credentialId });
      return query.orderBy('row.createdAt', 'DESC').addOrderBy('row.id', 'DESC').limit(1);
    }),
  );
  return new Map(credentialIds.flatMap((id, index) => (newest[index]?.[0] ? [[id, new Date(Number(newest[index][0].at))]] : [])));
}
