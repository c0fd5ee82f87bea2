import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import { locked } from '../db/database';
import { invalid } from '../errors';
import { MAX_GRANTED_PERMISSIONS, isGrantable } from './permissions';
import { requireGrants } from './policies';
import type { Actor } from './principal';
import { permissionsOfRole } from './roles/grants';
import { Role, builtInRole } from './roles/role.entity';

/** What a credential is granted, as an input says it. */
export const permissionsRule = z
  .array(z.string().max(130, 'is too long'))
  .max(MAX_GRANTED_PERMISSIONS, `must be at most ${MAX_GRANTED_PERMISSIONS} permissions`);

const MAX_GRACE_SECONDS = 2_592_000; // 30 days

/** How long the secret before a new one works on. */
export const graceSecondsRule = z.int('must be a whole number of seconds').min(0, 'must be 0 or more').max(MAX_GRACE_SECONDS, 'must be at most 2,592,000 (30 days)');

/** Who grants, and where. */
export interface Grantor {
  actor: Actor;
  workspaceId: string;
  /** The names of every permission that there is. */
  knownPermissions(tx: EntityManager): Promise<string[]>;
}

/**
 * What a credential is given must be the actor's to give. INVALID_REQUEST for a name that is no permission and no wildcard for some, unless
 * it was `granted` before: an action may have gone. FORBIDDEN where the actor lacks any of it, NOT_FOUND for a role of elsewhere. Locks the role.
 */
export async function requireGrantable(
  tx: EntityManager,
  { actor, workspaceId, knownPermissions }: Grantor,
  { permissions = [], roleId }: { permissions?: string[] | undefined; roleId?: string | null | undefined },
  granted: readonly string[] = [],
): Promise<void> {
  const known = permissions.length === 0 ? [] : [...(await knownPermissions(tx)), ...granted];
  const issues = permissions.flatMap((name, index) =>
    isGrantable(name, known) ? [] : [{ path: ['input', 'permissions', index], message: 'is not a permission, nor a part of one with .* after it' }],
  );
  if (issues.length > 0) throw invalid(...issues);
  requireGrants(actor, permissions, workspaceId);
  if (roleId) await requireGrantsOfRole(tx, actor, roleId, workspaceId);
}

/** FORBIDDEN where the actor lacks some of what a credential may do now. */
export async function requireGrantsOf(tx: EntityManager, actor: Actor, { permissions, roleId, workspaceId }: { permissions: string[]; roleId: string | null; workspaceId: string }): Promise<void> {
  requireGrants(actor, [...permissions, ...(await permissionsOfRole(tx, roleId))], workspaceId);
}

/** FORBIDDEN where the actor lacks some of what this role grants, NOT_FOUND where it is none of the workspace's. Locks it. */
export async function requireGrantsOfRole(tx: EntityManager, actor: Actor, roleId: string, workspaceId: string): Promise<void> {
  requireGrants(actor, (await roleToGrant(tx, roleId, workspaceId)).permissions, workspaceId);
}

/** One that is built in, or of this workspace, kept from being changed or removed until the transaction ends; else NOT_FOUND, the same for all. */
export async function roleToGrant(tx: EntityManager, id: string, workspaceId: string): Promise<Role> {
  return builtInRole(id) ?? locked(tx, Role, { id, workspaceId });
}
