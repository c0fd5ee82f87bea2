import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import { locked } from '../db/database';
import { invalid } from '../errors';
import { MAX_GRANTED_PERMISSIONS, isGrantable } from './permissions';
import { requireGrants } from './policies';
import type { Actor } from './principal';
import { permissionsOfRole } from './roles/grants';
import { Role, builtInRole } from './roles/role.entity';

/** The permissions in an input of a credential. */
export const permissionsRule = z
  .array(z.string().max(130, 'is too long'))
  .max(MAX_GRANTED_PERMISSIONS, `must be at most ${MAX_GRANTED_PERMISSIONS} permissions`);

const MAX_GRACE_SECONDS = 2_592_000; // 30 days

/** Seconds that a replaced secret keeps working. */
export const graceSecondsRule = z
  .int('must be a whole number of seconds')
  .min(0, 'must be 0 or more')
  .max(MAX_GRACE_SECONDS, 'must be at most 2,592,000 (30 days)');

/** The actor that grants, and the workspace of the credential. */
export interface Grantor {
  actor: Actor;
  workspaceId: string;
  /** The names of all permissions of actions and administration. */
  knownPermissions(tx: EntityManager): Promise<string[]>;
}

/**
 * Checks that the actor may grant these permissions and this role. Throws INVALID_REQUEST for a name that is not a permission and not a
 * wildcard of any permission. A name that was already `granted` is accepted, because its action may have been removed. Throws FORBIDDEN if
 * the actor may not grant all of them, NOT_FOUND for a role of another workspace. Locks the role.
 */
export async function requireGrantable(
  tx: EntityManager,
  { actor, workspaceId, knownPermissions }: Grantor,
  { permissions = [], roleId }: { permissions?: string[] | undefined; roleId?: string | null | undefined },
  granted: readonly string[] = [],
): Promise<void> {
  const known = permissions.length === 0 ? [] : [...(await knownPermissions(tx)), ...granted];
  const issues = permissions.flatMap((name, index) =>
    isGrantable(name, known)
      ? []
      : [
          {
            path: ['input', 'permissions', index],
            message: 'is not a permission. Use a name from Query.permissions, or a prefix such as face.*',
          },
        ],
  );
  if (issues.length > 0) throw invalid(...issues);
  requireGrants(actor, permissions, workspaceId);
  if (roleId) await requireGrantsOfRole(tx, actor, roleId, workspaceId);
}

/** Throws FORBIDDEN if the actor may not grant all current permissions of a credential, including the permissions of its role. */
export async function requireGrantsOf(
  tx: EntityManager,
  actor: Actor,
  { permissions, roleId, workspaceId }: { permissions: string[]; roleId: string | null; workspaceId: string },
): Promise<void> {
  requireGrants(actor, [...permissions, ...(await permissionsOfRole(tx, roleId))], workspaceId);
}

/** Throws FORBIDDEN if the actor may not grant all permissions of a role, NOT_FOUND for a role of another workspace. Locks the role. */
export async function requireGrantsOfRole(tx: EntityManager, actor: Actor, roleId: string, workspaceId: string): Promise<void> {
  requireGrants(actor, (await roleToGrant(tx, roleId, workspaceId)).permissions, workspaceId);
}

/**
 * A built-in role, or a role of this workspace. Locks the role, so that it cannot change or be removed before the transaction ends.
 * Throws NOT_FOUND for a role that does not exist, and the same for a role of another workspace.
 */
export async function roleToGrant(tx: EntityManager, id: string, workspaceId: string): Promise<Role> {
  return builtInRole(id) ?? locked(tx, Role, { id, workspaceId });
}
