import { Field, ID, InputType } from 'type-graphql';
import { In, type EntityManager } from 'typeorm';
import { permissionsOfRole } from '../access/roles/grants';
import { anyState, every, is, type Restrict } from '../db/filters';
import { NEWEST_FIRST } from '../db/keyset';
import type { List } from '../db/list';
import { readMany } from '../db/together';
import { invalid } from '../errors';
import { storable } from '../lib/rules';
import { DAY_MS } from '../lib/time';
import { RotationStatus, ServiceAccount, ServiceAccountProject, ServiceAccountSecret } from './service-account.entity';

/** The most projects that one service account is granted. */
export const MAX_ACCOUNT_PROJECTS = 100;
/** Time after which a due rotation is overdue, in milliseconds. */
export const ROTATION_OVERDUE_AFTER_MS = 7 * DAY_MS;

/** The rotation status of an account at the time `now`. */
export function rotationStatusOf({ rotationDueAt }: ServiceAccount, now: Date): RotationStatus {
  const dueForMs = now.getTime() - rotationDueAt.getTime();
  if (dueForMs < 0) return RotationStatus.OK;
  return dueForMs < ROTATION_OVERDUE_AFTER_MS ? RotationStatus.DUE : RotationStatus.OVERDUE;
}

// The same conditions as SQL.
const ROTATION_SQL: Record<RotationStatus, string> = {
  OK: 'row.rotationDueAt > :now',
  DUE: 'row.rotationDueAt <= :now AND row.rotationDueAt > :overdue',
  OVERDUE: 'row.rotationDueAt <= :overdue',
};

@InputType({
  description: 'Service accounts that meet all given conditions. A list matches any of its values; an empty list matches nothing.',
})
export class ServiceAccountFilter {
  @Field(() => [RotationStatus], { nullable: true, description: 'Service accounts with these rotation statuses.' })
  rotation?: RotationStatus[] | null;

  @Field(() => Boolean, { nullable: true, description: 'Service accounts that are enabled, or disabled.' })
  enabled?: boolean | null;

  @Field(() => [ID], { nullable: true, description: 'Service accounts that were granted any of these projects.' })
  projectId?: string[] | null;
}

export interface ServiceAccountListing {
  filter: ServiceAccountFilter;
  /** The time at which the rotation status is computed. */
  now: Date;
}

/** The service accounts of a workspace that match a filter at the time `now`, newest first. */
export const SERVICE_ACCOUNTS: List<ServiceAccount, { workspaceId: string }, ServiceAccountListing> = {
  entity: ServiceAccount,
  orderOf: () => NEWEST_FIRST,
  sourceOf: (scope, { filter: { rotation, enabled, projectId }, now }) => {
    const nowMs = now.getTime();
    return {
      ranges: [scope],
      narrow: every(
        is('enabled', enabled),
        grantedAny(projectId),
        anyState(ROTATION_SQL, rotation, { now: nowMs, overdue: nowMs - ROTATION_OVERDUE_AFTER_MS }),
      ),
    };
  },
};

/** The condition that an account was granted any of these projects. */
function grantedAny(projectIds: readonly string[] | null | undefined): Restrict<ServiceAccount> | undefined {
  if (!projectIds) return undefined;
  const ids = storable(projectIds);
  if (ids.length > MAX_ACCOUNT_PROJECTS)
    throw invalid({ path: ['filter', 'projectId'], message: `must be at most ${MAX_ACCOUNT_PROJECTS} values` });
  const granted = 'SELECT COUNT(*) FROM service_account_projects g WHERE g.account_id = row.id AND g.project_id IN (:...grantedAny)';
  return (query) => query.andWhere(ids.length === 0 ? '1 = 0' : `(${granted}) > 0`, { grantedAny: ids });
}

/** The ids of the projects that each service account was granted. */
export async function projectIdsOf(accountIds: readonly string[], reader: EntityManager): Promise<Map<string, string[]>> {
  const granted = new Map(accountIds.map((id) => [id, [] as string[]]));
  const query = reader.createQueryBuilder(ServiceAccountProject, 'row').where({ accountId: In([...accountIds]) });
  const rows = await readMany(reader, query.orderBy('row.accountId').addOrderBy('row.projectId'));
  for (const { accountId, projectId } of rows) granted.get(accountId)?.push(projectId);
  return granted;
}

/** Time until which the last replaced secret of each account works. Accounts without one are not in the map. */
export async function lastGracesOf(accountIds: readonly string[], reader: EntityManager): Promise<Map<string, Date>> {
  const rows = await reader
    .createQueryBuilder(ServiceAccountSecret, 'row')
    .select('row.accountId', 'accountId')
    .addSelect('MAX(row.graceUntil)', 'until')
    .where({ accountId: In([...accountIds]) })
    .andWhere('row.endedAt IS NULL AND row.graceUntil IS NOT NULL AND row.scopes IS NULL')
    .groupBy('row.accountId')
    .getRawMany<{ accountId: string; until: string | number }>();
  return new Map(rows.map(({ accountId, until }) => [accountId, new Date(Number(until))]));
}

/** All permissions that a service account has now, including the permissions of its role; empty if it is disabled. */
export async function permissionsOfServiceAccount(reader: EntityManager, id: string): Promise<readonly string[]> {
  const account = await reader.findOneBy(ServiceAccount, { id });
  return account?.enabled ? [...account.permissions, ...(await permissionsOfRole(reader, account.roleId))] : [];
}
