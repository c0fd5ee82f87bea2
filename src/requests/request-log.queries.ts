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
  description: 'All that are given must hold; a list means any of these, an empty one none. A cursor that is none of ours is INVALID_REQUEST.',
})
export class RequestLogFilter {
  @Field(() => ID, { nullable: true, description: 'As the caller was answered it. Of more than 1,000 calls that have it, the newest.' })
  requestId?: string | null;

  @Field(() => [ID], { nullable: true, description: 'By these keys.' })
  keyId?: string[] | null;

  @Field(() => [ID], { nullable: true, description: 'Of these projects.' })
  projectId?: string[] | null;

  @Field(() => Environment, { nullable: true, description: 'LIVE or TEST.' })
  environment?: Environment | null;

  @Field(() => [String], { nullable: true, description: 'Of these services, such as `face`.' })
  service?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'Of these actions, by name.' })
  action?: string[] | null;

  @Field(() => [RequestOutcome], { nullable: true, description: 'That ended so.' })
  outcome?: RequestOutcome[] | null;

  @Field(() => [String], { nullable: true, description: 'With these error codes.' })
  errorCode?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'From these addresses, each in any of its notations.' })
  ip?: string[] | null;

  @Field(() => MicroCredits, { nullable: true, description: 'That cost so much or more.' })
  minChargedMicroCredits?: number | null;

  @Field(() => MicroCredits, { nullable: true, description: 'That cost so much or less.' })
  maxChargedMicroCredits?: number | null;

  @Field(() => Date, { nullable: true, description: 'Inclusive.' })
  from?: Date | null;

  @Field(() => Date, { nullable: true, description: 'Exclusive.' })
  to?: Date | null;
}

export type RequestLogScope = { workspaceId: string } | { projectId: string } | { credentialId: string };

const OWNER_COLUMNS = { workspaceId: 'workspace_id', projectId: 'project_id', credentialId: 'credential_id' };

/** The calls of one requestId that a list finds: the newest of them. */
const MAX_SAME_REQUEST_ID = 1_000;

/** The calls of a workspace, a project or a credential that a filter lets through; the alias is `row`. */
export function requestLogsOf(reader: EntityManager, scope: RequestLogScope, filter: RequestLogFilter): SelectQueryBuilder<RequestLog> {
  const query = reader.createQueryBuilder(RequestLog, 'row').where(scope);
  every(bounded(filter), narrowed(filter, scope))?.(query);
  return query;
}

/** The same as a list, newest first. A few keys or projects are each looked up in the index that they have, a requestId in its own. */
export const REQUEST_LOGS: List<RequestLog, RequestLogScope, RequestLogFilter> = {
  entity: RequestLog,
  orderOf: () => NEWEST_FIRST,
  sourceOf: (scope, filter) => {
    const bounds = bounded(filter);
    if (typeof filter.requestId === 'string') return { ranges: [{}], bounds: every(bounds, narrowed(filter, scope)) }; // few: all are looked at
    const { ranges = [scope], ...rest } = lookUp(scope, filter);
    return { ranges, owner: ranges[0] === scope ? undefined : ownerOf(scope), bounds, narrow: narrowed({ ...filter, ...rest }, scope) };
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

const bounded = ({ from, to }: RequestLogFilter) => within<RequestLog>('row.createdAt', from, to);

function narrowed(filter: RequestLogFilter, scope: RequestLogScope): Restrict<RequestLog> | undefined {
  const { requestId, keyId, projectId, environment, service, action, outcome, errorCode, ip, minChargedMicroCredits, maxChargedMicroCredits } = filter;
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

/** A caller may use one requestId a million times, and strangers the same; ids of calls grow with time. */
function withRequestId(requestId: string, scope: RequestLogScope): Restrict<RequestLog> {
  if (storable([requestId]).length === 0) return (query) => query.andWhere('1 = 0');
  const [[property, ownerId]] = Object.entries(scope) as [[keyof typeof OWNER_COLUMNS, string]];
  const ofOwner = ` AND NULLIF(log.${OWNER_COLUMNS[property]}, '') = :ownerId`; // NULLIF: by the index of the requestId
  const newest = `SELECT log.id AS id FROM request_logs log WHERE log.request_id = :requestId${ofOwner} ORDER BY log.id DESC LIMIT ${MAX_SAME_REQUEST_ID}`;
  return (query) => query.andWhere(`row.id IN (SELECT newest.id FROM (${newest}) newest)`, { requestId, ownerId });
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
