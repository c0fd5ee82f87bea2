import { Brackets, In, type EntityManager, type SelectQueryBuilder } from 'typeorm';
import { permissionsOfRoles } from '../access/roles/grants';
import { anyOf } from '../db/filters';
import { NEWEST_FIRST, keysetPage, type PageRequest } from '../db/keyset';
import type { Connection } from '../lib/graphql-types';
import type { Environment } from '../tenancy/environment';
import { Project } from '../tenancy/project.entity';
import { ApiKey, KeySecret, KeyStatus } from './key.entity';

export interface KeyFilter {
  status?: KeyStatus[] | null;
  environment?: Environment | null;
  projectId?: string[] | null;
}

/** The status that a key has at a time: the first that holds of REVOKED, EXPIRED, DISABLED, ACTIVE. */
export function statusOf(key: ApiKey, project: Project, now: Date): KeyStatus {
  if (key.revokedAt) return KeyStatus.REVOKED;
  if (key.expiresAt && key.expiresAt <= now) return KeyStatus.EXPIRED;
  return key.enabled && !project.archivedAt ? KeyStatus.ACTIVE : KeyStatus.DISABLED;
}

// The same as statusOf, as SQL.
const DEAD = 'row.revoked_at IS NOT NULL';
const OVER = 'row.expires_at IS NOT NULL AND row.expires_at <= :now';
const LIVING = 'row.revoked_at IS NULL AND (row.expires_at IS NULL OR row.expires_at > :now)';
const OPEN = 'row.enabled = :enabled AND EXISTS (SELECT 1 FROM projects p WHERE p.id = row.project_id AND p.archived_at IS NULL)';
const STATUS_SQL: Record<KeyStatus, string> = {
  REVOKED: DEAD,
  EXPIRED: `NOT (${DEAD}) AND ${OVER}`,
  DISABLED: `${LIVING} AND NOT (${OPEN})`,
  ACTIVE: `${LIVING} AND ${OPEN}`,
};

export type KeyScope = { workspaceId: string } | { projectId: string };

/** The keys of a workspace or of a project that a filter lets through as of a time; the alias is `row`. */
export function keysOf(reader: EntityManager, scope: KeyScope, filter: KeyFilter, now: Date): SelectQueryBuilder<ApiKey> {
  const query = reader.createQueryBuilder(ApiKey, 'row').where(scope);
  if (filter.environment) query.andWhere({ environment: filter.environment });
  if (filter.projectId) query.andWhere(anyOf('projectId', filter.projectId));
  if (filter.status) {
    const wanted = filter.status;
    query.setParameters({ now: now.getTime(), enabled: true });
    query.andWhere(
      new Brackets((either) => {
        either.where('1 = 0');
        for (const status of new Set(wanted)) either.orWhere(`(${STATUS_SQL[status]})`);
      }),
    );
  }
  return query;
}

/** A page of them, newest first. */
export async function listKeys(reader: EntityManager, scope: KeyScope, filter: KeyFilter, page: PageRequest, now: Date): Promise<Connection<ApiKey>> {
  return keysetPage(keysOf(reader, scope, filter, now), NEWEST_FIRST, page);
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
  return key ? permissionsOfRoleOf(reader, key) : [];
}

/** All that a key may do at a time, its role included; nothing where it does not work. */
export async function permissionsOfKey(reader: EntityManager, keyId: string, now: Date): Promise<readonly string[]> {
  const key = await reader.findOneBy(ApiKey, { id: keyId });
  const project = key && (await reader.findOneBy(Project, { id: key.projectId }));
  if (!project || statusOf(key, project, now) !== KeyStatus.ACTIVE) return [];
  return [...key.permissions, ...(await permissionsOfRoleOf(reader, key))];
}

async function permissionsOfRoleOf(reader: EntityManager, { roleId }: Pick<ApiKey, 'roleId'>): Promise<readonly string[]> {
  return roleId === null ? [] : ((await permissionsOfRoles(reader, [roleId])).get(roleId) ?? []);
}
