import { Field, ID, InputType } from 'type-graphql';
import { In, type EntityManager, type SelectQueryBuilder } from 'typeorm';
import { permissionsOfRole } from '../access/roles/grants';
import { anyOf, anyState, every, has, is, within, type Restrict } from '../db/filters';
import { byAgeOrName, type OrderBy } from '../db/keyset';
import { lookedUp, type List } from '../db/list';
import { Environment } from '../tenancy/environment';
import { Project } from '../tenancy/project.entity';
import { ApiKey, KeySecret, KeyStatus } from './key.entity';

@InputType({ description: 'Keys that meet all given conditions. A list matches any of its values; an empty list matches nothing.' })
export class ApiKeyFilter {
  @Field(() => String, {
    nullable: true,
    description: 'Keys with this text in their name: 1 to 100 characters; the case of A to Z does not matter.',
  })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'Keys with this text in their hint, such as the last four characters of a secret.' })
  hint?: string | null;

  @Field(() => [KeyStatus], { nullable: true, description: 'Keys with these statuses now.' })
  status?: KeyStatus[] | null;

  @Field(() => Environment, { nullable: true, description: 'Keys of this environment: LIVE or TEST.' })
  environment?: Environment | null;

  @Field(() => [ID], { nullable: true, description: 'Keys of these projects.' })
  projectId?: string[] | null;

  @Field(() => [ID], {
    nullable: true,
    description: 'Keys that these people minted directly, through an application, or with one of their keys.',
  })
  createdByUserId?: string[] | null;

  @Field(() => Boolean, { nullable: true, description: 'Keys with a logged call, or without one.' })
  used?: boolean | null;

  @Field(() => Date, { nullable: true, description: 'Keys with a lastUsedAt at this time or later.' })
  lastUsedFrom?: Date | null;

  @Field(() => Date, { nullable: true, description: 'Keys with a lastUsedAt before this time.' })
  lastUsedTo?: Date | null;
}

export interface KeyListing {
  filter: ApiKeyFilter;
  orderBy?: OrderBy<'CREATED_AT' | 'NAME'> | null;
  /** The time at which the status is computed. */
  now: Date;
}

/** The status of a key at the time `now`: the first that applies of REVOKED, EXPIRED, DISABLED, ACTIVE. */
export function statusOf(key: ApiKey, project: Project, now: Date): KeyStatus {
  if (key.revokedAt) return KeyStatus.REVOKED;
  if (key.expiresAt && key.expiresAt <= now) return KeyStatus.EXPIRED;
  return key.enabled && !project.archivedAt ? KeyStatus.ACTIVE : KeyStatus.DISABLED;
}

// The conditions of statusOf as SQL. They name properties, not columns, so that TypeORM quotes `row`, which is a reserved word of MySQL.
const DEAD = 'row.revokedAt IS NOT NULL';
const OVER = 'row.expiresAt IS NOT NULL AND row.expiresAt <= :now';
const LIVING = 'row.revokedAt IS NULL AND (row.expiresAt IS NULL OR row.expiresAt > :now)';
// Compares a value instead of using EXISTS. A database may turn EXISTS into a join that begins with the projects, which loses the order.
const OPEN = 'row.enabled = :enabled AND (SELECT p.archived_at FROM projects p WHERE p.id = row.projectId) IS NULL';
const STATUS_SQL: Record<KeyStatus, string> = {
  REVOKED: DEAD,
  EXPIRED: `NOT (${DEAD}) AND ${OVER}`,
  DISABLED: `${LIVING} AND NOT (${OPEN})`,
  ACTIVE: `${LIVING} AND ${OPEN}`,
};

export type KeyScope = { workspaceId: string; createdByUserId?: string } | { projectId: string };

/** A query for the keys of a workspace or a project that match a filter at the time `now`. Its alias is `row`. */
export function keysOf(reader: EntityManager, scope: KeyScope, filter: ApiKeyFilter, now: Date): SelectQueryBuilder<ApiKey> {
  const query = reader.createQueryBuilder(ApiKey, 'row').where(scope);
  narrowed(filter, now)?.(query);
  return query;
}

/** The same keys as a list, newest first by default. A few projects are separate ranges of an index. */
export const KEYS: List<ApiKey, KeyScope, KeyListing> = {
  entity: ApiKey,
  orderOf: ({ orderBy }) => byAgeOrName(orderBy),
  sourceOf: (scope, { filter, now }) => {
    const ranges = 'workspaceId' in scope ? lookedUp<ApiKey>('projectId', filter.projectId) : undefined;
    return {
      ranges: ranges ?? [scope],
      owner: ranges && 'workspaceId' in scope ? { property: 'workspaceId', id: scope.workspaceId } : undefined,
      narrow: narrowed(ranges ? { ...filter, projectId: null } : filter, now),
    };
  },
};

// Time when a key's newest call was logged. Reads the end of an index for each key, so calls need not write it.
const LAST_USE =
  '(SELECT log.created_at FROM request_logs log WHERE log.credential_id = row.id ORDER BY log.created_at DESC, log.id DESC LIMIT 1)';

function narrowed(filter: ApiKeyFilter, now: Date): Restrict<ApiKey> | undefined {
  const { name, hint, status, environment, projectId, createdByUserId, used, lastUsedFrom, lastUsedTo } = filter;
  return every<ApiKey>(
    has(name, 'name'),
    has(hint, 'hint'),
    is('environment', environment),
    anyOf('projectId', projectId),
    anyOf('createdByUserId', createdByUserId),
    anyState(STATUS_SQL, status, { now: now.getTime(), enabled: true }),
    typeof used === 'boolean' ? (query) => query.andWhere(`${LAST_USE} IS ${used ? 'NOT ' : ''}NULL`) : undefined,
    within(LAST_USE, lastUsedFrom, lastUsedTo, 'lastUsed'),
  );
}

/** Time until which a key's previous secret works, or null if it does not work. `graceUntil` is the end of its grace period. */
export function previousSecretWorksUntil(key: ApiKey, graceUntil: Date | null | undefined, now: Date): Date | null {
  return graceUntil && graceUntil > now && !key.revokedAt && !(key.expiresAt && key.expiresAt <= now) ? graceUntil : null;
}

/** End of the grace period of each key's previous secret. Keys without a previous secret are not in the map. */
export async function gracesOf(keyIds: readonly string[], reader: EntityManager): Promise<Map<string, Date>> {
  const secrets = await reader
    .createQueryBuilder(KeySecret, 'row')
    .where({ keyId: In([...keyIds]) })
    .andWhere('row.endedAt IS NULL AND row.graceUntil IS NOT NULL')
    .getMany();
  return new Map(secrets.map((secret) => [secret.keyId, new Date(secret.graceUntil as number)]));
}

/** All permissions that a key has at the time `now`, including the permissions of its role; empty if the key is not active. */
export async function permissionsOfKey(reader: EntityManager, keyId: string, now: Date): Promise<readonly string[]> {
  const key = await reader.findOneBy(ApiKey, { id: keyId });
  const project = key && (await reader.findOneBy(Project, { id: key.projectId }));
  if (!project || statusOf(key, project, now) !== KeyStatus.ACTIVE) return [];
  return [...key.permissions, ...(await permissionsOfRole(reader, key.roleId))];
}
