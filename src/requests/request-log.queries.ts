import { Field, ID, InputType } from 'type-graphql';
import type { EntityManager, SelectQueryBuilder } from 'typeorm';
import { anyOf, every, is, ranging, within, type Restrict } from '../db/filters';
import { NEWEST_FIRST } from '../db/keyset';
import { lookedUp, type List, type ListSource } from '../db/list';
import { readRawTogether } from '../db/together';
import { plainAddress } from '../lib/cidr';
import { storable } from '../lib/rules';
import { MicroCredits } from '../lib/scalars';
import { Environment } from '../tenancy/environment';
import { RequestLog, RequestOutcome } from './request-log.entity';

@InputType({
  description:
    'Calls that meet all given conditions. A list matches any of its values; an empty list matches nothing. ' +
    'A malformed cursor is INVALID_REQUEST.',
})
export class RequestLogFilter {
  @Field(() => ID, { nullable: true, description: 'Calls answered with this requestId: the newest 1,000 of them.' })
  requestId?: string | null;

  @Field(() => [ID], { nullable: true, description: 'Calls by these keys.' })
  keyId?: string[] | null;

  @Field(() => [ID], { nullable: true, description: 'Calls in these projects.' })
  projectId?: string[] | null;

  @Field(() => Environment, { nullable: true, description: 'Calls in this environment: LIVE or TEST.' })
  environment?: Environment | null;

  @Field(() => [String], { nullable: true, description: 'Calls of these services, such as `face`.' })
  service?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'Calls of the actions with these names.' })
  action?: string[] | null;

  @Field(() => [RequestOutcome], { nullable: true, description: 'Calls with these outcomes.' })
  outcome?: RequestOutcome[] | null;

  @Field(() => [String], { nullable: true, description: 'Calls with these error codes.' })
  errorCode?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'Calls from these IP addresses. Each may be in any notation.' })
  ip?: string[] | null;

  @Field(() => MicroCredits, { nullable: true, description: 'Calls that cost at least this much.' })
  minChargedMicroCredits?: number | null;

  @Field(() => MicroCredits, { nullable: true, description: 'Calls that cost at most this much.' })
  maxChargedMicroCredits?: number | null;

  @Field(() => Date, { nullable: true, description: 'Beginning of the time range, inclusive.' })
  from?: Date | null;

  @Field(() => Date, { nullable: true, description: 'End of the time range, exclusive.' })
  to?: Date | null;
}

export type RequestLogScope = { workspaceId: string } | { projectId: string } | { credentialId: string };

const OWNER_COLUMNS = { workspaceId: 'workspace_id', projectId: 'project_id', credentialId: 'credential_id' };

/** The most calls of one requestId that a list finds: the newest ones. */
const MAX_SAME_REQUEST_ID = 1_000;

/** A query for the calls of a workspace, a project or a credential that match a filter. Its alias is `row`. */
export function requestLogsOf(reader: EntityManager, scope: RequestLogScope, filter: RequestLogFilter): SelectQueryBuilder<RequestLog> {
  const query = reader.createQueryBuilder(RequestLog, 'row').where(scope);
  every(bounded(filter), narrowed(filter, scope))?.(query);
  return query;
}

/** The same calls as a list, newest first. A few keys or projects are separate ranges of their index; a requestId has its own index. */
export const REQUEST_LOGS: List<RequestLog, RequestLogScope, RequestLogFilter> = {
  entity: RequestLog,
  orderOf: () => NEWEST_FIRST,
  sourceOf: (scope, filter) => {
    const bounds = bounded(filter);
    // A requestId matches few rows, so all of them are read.
    if (typeof filter.requestId === 'string') return { ranges: [{}], bounds: every(bounds, narrowed(filter, scope)) };
    const { ranges = [scope], ...rest } = lookUp(scope, filter);
    return { ranges, owner: ranges[0] === scope ? undefined : ownerOf(scope), bounds, narrow: narrowed({ ...filter, ...rest }, scope) };
  },
};

/**
 * Turns a filter by a few keys or projects into ranges of an index, and sets that part of the filter to null. This is safe because a key
 * belongs to one project for ever, and a project to one workspace.
 */
function lookUp(
  scope: RequestLogScope,
  { keyId, projectId }: RequestLogFilter,
): { ranges?: ListSource<RequestLog>['ranges']; keyId?: null; projectId?: null } {
  const keys =
    'credentialId' in scope || !keyId?.every((id) => id.startsWith('key_')) ? undefined : lookedUp<RequestLog>('credentialId', keyId);
  if (keys) return { ranges: keys, keyId: null };
  const projects = 'workspaceId' in scope ? lookedUp<RequestLog>('projectId', projectId) : undefined;
  return projects ? { ranges: projects, projectId: null } : {};
}

const ownerOf = (scope: RequestLogScope) =>
  Object.entries(scope).map(([property, id]) => ({ property: property as keyof RequestLog, id: id as string }))[0];

const bounded = ({ from, to }: RequestLogFilter) => within<RequestLog>('row.createdAt', from, to);

function narrowed(filter: RequestLogFilter, scope: RequestLogScope): Restrict<RequestLog> | undefined {
  const {
    requestId,
    keyId,
    projectId,
    environment,
    service,
    action,
    outcome,
    errorCode,
    ip,
    minChargedMicroCredits,
    maxChargedMicroCredits,
  } = filter;
  return every<RequestLog>(
    typeof requestId === 'string' ? withRequestId(requestId.toLowerCase(), scope) : undefined,
    anyOf('credentialId', keyId, 'keyId'),
    anyOf('projectId', projectId),
    is('environment', environment),
    anyOf('service', service),
    anyOf('action', action),
    anyOf('outcome', outcome),
    anyOf('errorCode', errorCode),
    anyOf('ip', ip?.map((address) => plainAddress(address) ?? address)),
    ranging('row.chargedMicroCredits', minChargedMicroCredits, maxChargedMicroCredits, 'charged'),
  );
}

/** Selects the newest calls with a requestId. One caller may use a requestId a million times, and other tenants may use the same one. */
function withRequestId(requestId: string, scope: RequestLogScope): Restrict<RequestLog> {
  if (storable([requestId]).length === 0) return (query) => query.andWhere('1 = 0');
  const [[property, ownerId]] = Object.entries(scope) as [[keyof typeof OWNER_COLUMNS, string]];
  const ofOwner = ` AND NULLIF(log.${OWNER_COLUMNS[property]}, '') = :ownerId`; // NULLIF makes the database use the index of the requestId
  // Ids of calls grow with time.
  const newest =
    `SELECT log.id AS id FROM request_logs log WHERE log.request_id = :requestId${ofOwner} ` +
    `ORDER BY log.id DESC LIMIT ${MAX_SAME_REQUEST_ID}`;
  return (query) => query.andWhere(`row.id IN (SELECT newest.id FROM (${newest}) newest)`, { requestId, ownerId });
}

/** Time when each credential's newest call was logged. Reads the end of an index, so calls need not write it. */
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
