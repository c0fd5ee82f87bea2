import { Field, ID, InputType } from 'type-graphql';
import { In, type EntityManager, type SelectQueryBuilder } from 'typeorm';
import { permissionsOfRole } from '../access/roles/grants';
import { anyOf, anyState, every, has, is, within, type Restrict } from '../db/filters';
import { byAgeOrName, type OrderBy } from '../db/keyset';
import { lookedUp, type List } from '../db/list';
import { Environment } from '../tenancy/environment';
import { Project } from '../tenancy/project.entity';
import { ApiKey, KeySecret, KeyStatus } from './key.entity';

@InputType({ description: 'All that are given must hold; a list means any of these, an empty one none.' })
export class ApiKeyFilter {
  @Field(() => String, { nullable: true, description: 'With this text in their name, A to Z in either case: 1 to 100 characters.' })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'With this text in their hint, such as the last four characters of a secret.' })
  hint?: string | null;

  @Field(() => [KeyStatus], { nullable: true, description: 'As they are now.' })
  status?: KeyStatus[] | null;

  @Field(() => Environment, { nullable: true, description: 'LIVE or TEST.' })
  environment?: Environment | null;

  @Field(() => [ID], { nullable: true, description: 'Of these projects.' })
  projectId?: string[] | null;

  @Field(() => [ID], { nullable: true, description: 'Minted by these people: by themselves, through an application, or with a key of theirs.' })
  createdByUserId?: string[] | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether a call of theirs was ever logged.' })
  used?: boolean | null;

  @Field(() => Date, { nullable: true, description: 'Whose lastUsedAt is this time or after it.' })
  lastUsedFrom?: Date | null;

  @Field(() => Date, { nullable: true, description: 'Whose lastUsedAt is before this time.' })
  lastUsedTo?: Date | null;
}

export interface KeyListing {
  filter: ApiKeyFilter;
  orderBy?: OrderBy<'CREATED_AT' | 'NAME'> | null;
  /** As of when a status is meant. */
  now: Date;
}

/** The status that a key has at a time: the first that holds of REVOKED, EXPIRED, DISABLED, ACTIVE. */
export function statusOf(key: ApiKey, project: Project, now: Date): KeyStatus {
  if (key.revokedAt) return KeyStatus.REVOKED;
  if (key.expiresAt && key.expiresAt <= now) return KeyStatus.EXPIRED;
  return key.enabled && !project.archivedAt ? KeyStatus.ACTIVE : KeyStatus.DISABLED;
}

// The same as statusOf, as SQL. Properties and not columns, so that TypeORM quotes what `row` is: a word of MySQL's own.
const DEAD = 'row.revokedAt IS NOT NULL';
const OVER = 'row.expiresAt IS NOT NULL AND row.expiresAt <= :now';
const LIVING = 'row.revokedAt IS NULL AND (row.expiresAt IS NULL OR row.expiresAt > :now)';
// A value and no EXISTS, which a database may turn into a join that begins with the projects, and so loses the list's order.
const OPEN = 'row.enabled = :enabled AND (SELECT p.archived_at FROM projects p WHERE p.id = row.projectId) IS NULL';
const STATUS_SQL: Record<KeyStatus, string> = {
  REVOKED: DEAD,
  EXPIRED: `NOT (${DEAD}) AND ${OVER}`,
  DISABLED: `${LIVING} AND NOT (${OPEN})`,
  ACTIVE: `${LIVING} AND ${OPEN}`,
};

export type KeyScope = { workspaceId: string; createdByUserId?: string } | { projectId: string };

/** The keys of a workspace or of a project that a filter lets through as of a time; the alias is `row`. */
export function keysOf(reader: EntityManager, scope: KeyScope, filter: ApiKeyFilter, now: Date): SelectQueryBuilder<ApiKey> {
  const query = reader.createQueryBuilder(ApiKey, 'row').where(scope);
  narrowed(filter, now)?.(query);
  return query;
}

/** The same as a list, newest first unless told otherwise. A few projects are each looked up. */
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

// When a key's newest call was logged, read off the end of an index for each key that is looked at: no call writes it anywhere.
const LAST_USE = '(SELECT log.created_at FROM request_logs log WHERE log.credential_id = row.id ORDER BY log.created_at DESC, log.id DESC LIMIT 1)';

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

/** Until when a key's previous secret works, given the grace that it has; null where it does not. */
export function previousSecretWorksUntil(key: ApiKey, graceUntil: Date | null | undefined, now: Date): Date | null {
  return graceUntil && graceUntil > now && !key.revokedAt && !(key.expiresAt && key.expiresAt <= now) ? graceUntil : null;
}

/** Until when each key's previous secret still works by its grace alone, for those that have one. */
export async function gracesOf(keyIds: readonly string[], reader: EntityManager): Promise<Map<string, Date>> {
  const secrets = await reader
    .createQueryBuilder(KeySecret, 'row')
    .where({ keyId: In([...keyIds]) })
    .andWhere('row.endedAt IS NULL AND row.graceUntil IS NOT NULL')
    .getMany();
  return new Map(secrets.map((secret) => [secret.keyId, new Date(secret.graceUntil as number)]));
}

/** What the role of a key grants; nothing where it has none. */
export async function permissionsOfKeysRole(reader: EntityManager, keyId: string): Promise<readonly string[]> {
  const key = await reader.findOne(ApiKey, { select: { roleId: true, id: true }, where: { id: keyId } });
  return permissionsOfRole(reader, key?.roleId ?? null);
}

/** All that a key may do at a time, its role included; nothing where it does not work. */
export async function permissionsOfKey(reader: EntityManager, keyId: string, now: Date): Promise<readonly string[]> {
  const key = await reader.findOneBy(ApiKey, { id: keyId });
  const project = key && (await reader.findOneBy(Project, { id: key.projectId }));
  if (!project || statusOf(key, project, now) !== KeyStatus.ACTIVE) return [];
  return [...key.permissions, ...(await permissionsOfRole(reader, key.roleId))];
}
