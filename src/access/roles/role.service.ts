import type { EntityManager, EntityTarget } from 'typeorm';
import { z } from 'zod';
import { recordEvent } from '../../audit/record-event';
import { writeChanges } from '../../audit/write-changes';
import { locked, type Database } from '../../db/database';
import { isDuplicate } from '../../db/failures';
import { expectedVersionRule, requireVersion } from '../../db/versions';
import { conflict, invalid, validate } from '../../errors';
import { newId } from '../../lib/id';
import { idRule, nameRule, unique } from '../../lib/rules';
import { Workspace } from '../../tenancy/workspace.entity';
import { Membership } from '../people/membership.entity';
import { ADMINISTRATIVE_PERMISSIONS, isGrantable } from '../permissions';
import { currentActor, type Authority } from '../authority';
import { requireGrants, requireHeld } from '../policies';
import { BUILT_IN_ROLES, Role } from './role.entity';

/** The most roles that a workspace may create. */
export const MAX_ROLES = 100;

const GRANTABLE = ADMINISTRATIVE_PERMISSIONS.map(({ name }) => name);

const permissionsRule = z
  .array(z.string().refine((name) => isGrantable(name, GRANTABLE), 'is not an administrative permission'))
  .max(GRANTABLE.length, `must be at most ${GRANTABLE.length} permissions`)
  .transform(unique);

const createRule = z.object({ workspaceId: idRule, name: nameRule, permissions: permissionsRule });
const updateRule = z.object({
  id: idRule,
  name: nameRule.optional(),
  permissions: permissionsRule.optional(),
  expectedVersion: expectedVersionRule,
});
const deleteRule = z.object({ id: idRule });

export interface RoleServiceDeps {
  database: Database;
  /**
   * Names one kind of object that still has the role, such as "a key". Returns undefined if there is none. Does not look at memberships.
   */
  holderOf(tx: EntityManager, roleId: string): Promise<string | undefined>;
}

/** Creates, changes and deletes the own roles of a workspace. An actor must have all permissions that it puts into a role. */
export class RoleService {
  constructor(private readonly deps: RoleServiceDeps) {}

  /** Creates a role. Throws CONFLICT if the workspace has a role with this name, or already has MAX_ROLES roles. */
  async create(origin: Authority, raw: z.input<typeof createRule>): Promise<Role> {
    const { workspaceId, name, permissions } = validate(createRule, raw, 'input');
    requireFreeName(name);
    return this.namingOnce(() =>
      this.deps.database.transaction(async (tx) => {
        await locked(tx, Workspace, { id: workspaceId });
        requireGrants(await currentActor(tx, origin, 'admin.roles', { workspaceId }), permissions, workspaceId);
        if ((await tx.countBy(Role, { workspaceId })) >= MAX_ROLES)
          throw conflict(`A workspace can define at most ${MAX_ROLES} roles. Delete one first.`);
        const at = await this.deps.database.now(tx);
        const role = Object.assign(new Role(), {
          id: newId('rol', at.getTime()),
          workspaceId,
          name,
          permissions,
          version: 1,
          createdAt: at,
        });
        await tx.insert(Role, role);
        await recordEvent(tx, {
          ...origin,
          action: 'role.created',
          subject: { id: role.id, workspaceId },
          after: { name, permissions },
          at,
        });
        return role;
      }),
    );
  }

  /**
   * Changes the given properties at once for all who have the role. To change permissions, the actor must have the old and the new ones,
   * because the change affects every holder. Throws CONFLICT if the name is taken, or if the version is not the expected one.
   */
  async update(origin: Authority, raw: z.input<typeof updateRule>): Promise<Role> {
    const { id, expectedVersion, ...changes } = validate(updateRule, raw, 'input');
    if (changes.name !== undefined) requireFreeName(changes.name);
    return this.namingOnce(() =>
      this.deps.database.transaction(async (tx) => {
        const role = await lockRole(tx, id);
        const actor = await currentActor(tx, origin, 'admin.roles', role);
        if (changes.permissions) {
          requireHeld(actor, role.permissions, role.workspaceId);
          requireGrants(actor, changes.permissions, role.workspaceId);
        }
        requireVersion(expectedVersion, role);
        const event = { ...origin, action: 'role.updated', subject: role, at: await this.deps.database.now(tx) };
        return writeChanges<Role>(tx, Role, { id }, role, changes, event);
      }),
    );
  }

  /** Deletes a role. Throws CONFLICT while a person, an invitation, a key or a service account has it. */
  async delete(origin: Authority, raw: z.input<typeof deleteRule>): Promise<{ workspaceId: string }> {
    const { id } = validate(deleteRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const role = await lockRole(tx, id);
      await currentActor(tx, origin, 'admin.roles', role);
      // Reads memberships last, because an invitation that is accepted meanwhile becomes a membership
      const holder =
        (await this.deps.holderOf(tx, id)) ??
        ((await tx.existsBy(Membership, { workspaceId: role.workspaceId, roleId: id })) ? 'a person' : undefined);
      if (holder) throw conflict(`This role cannot be deleted while ${holder} has it. Give another role first.`);
      await tx.delete(Role, { id });
      const at = await this.deps.database.now(tx);
      const { name, permissions } = role;
      await recordEvent(tx, { ...origin, action: 'role.deleted', subject: role, before: { name, permissions }, after: null, at });
      return role;
    });
  }

  private async namingOnce<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw isDuplicate(error) ? conflict('Another role of this workspace has this name. Choose another name.') : error;
    }
  }
}

function lockRole(tx: EntityManager, id: string): Promise<Role & { workspaceId: string }> {
  return locked(tx, Role as EntityTarget<Role & { workspaceId: string }>, { id });
}

function requireFreeName(name: string): void {
  if (BUILT_IN_ROLES.some((role) => role.name === name.toUpperCase()))
    throw invalid({ path: ['input', 'name'], message: 'is the name of a built-in role. Choose another name.' });
}
