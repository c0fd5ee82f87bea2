import { Not, type EntityManager } from 'typeorm';
import { z } from 'zod';
import { recordEvent, type Origin } from '../../audit/record-event';
import { writeChanges } from '../../audit/write-changes';
import { forUpdate, locked, type Database } from '../../db/database';
import { expectedVersionRule, requireVersion } from '../../db/versions';
import { conflict, validate } from '../../errors';
import { idRule } from '../../lib/rules';
import { Workspace } from '../../tenancy/workspace.entity';
import { currentActor, type Authority } from '../authority';
import { roleToGrant } from '../granting';
import { requireGrants, requireHeld } from '../policies';
import type { Actor } from '../principal';
import { permissionsOfRole } from '../roles/grants';
import { OWNER_ROLE_ID } from '../roles/role.entity';
import { Membership } from './membership.entity';
import { Person } from './person.entity';

const memberRule = z.object({ workspaceId: idRule, userId: idRule });
const removeRule = memberRule.extend({ revokeKeys: z.boolean().nullish() });
const setRoleRule = memberRule.extend({ roleId: idRule, expectedVersion: expectedVersionRule });

export interface MemberServiceDeps {
  database: Database;
  /** Ends the consents of a member in the workspace, in the transaction of the removal. */
  left(tx: EntityManager, member: { workspaceId: string; userId: string }, at: Date): Promise<unknown>;
  /** Revokes the keys that a member minted in the workspace, in the same transaction. Returns their number. */
  revokeKeys(tx: EntityManager, origin: Origin, member: { workspaceId: string; userId: string }, at: Date): Promise<number>;
}

/** The members of a workspace and their roles. Each change locks the workspace's row, so that two owners cannot remove each other. */
export class MemberService {
  constructor(private readonly deps: MemberServiceDeps) {}

  /**
   * Ends a membership, at once and on every node. Every member may leave. To remove another member, the actor must have every permission of
   * their role. With `revokeKeys` the live keys that they minted are revoked too; this requires `write.keys`. Returns the number of revoked
   * keys. Throws CONFLICT for the last owner.
   */
  async remove(origin: Authority, raw: z.input<typeof removeRule>): Promise<number> {
    const { workspaceId, userId, revokeKeys } = validate(removeRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      // Locks the person first: a consent that they give meanwhile is either ended below, or is refused because the membership has ended
      await tx.findOne(Person, { where: { id: userId }, ...forUpdate(tx) });
      const { roleId } = await this.lock(tx, workspaceId, userId);
      if (origin.actor.id !== userId)
        await this.requireRank(tx, await currentActor(tx, origin, 'admin.members', { workspaceId }), roleId, workspaceId);
      if (revokeKeys) await currentActor(tx, origin, 'write.keys', { workspaceId });
      await this.requireOtherOwner(tx, { workspaceId, userId, roleId });
      await tx.delete(Membership, { workspaceId, userId });
      const at = await this.deps.database.now(tx);
      await this.deps.left(tx, { workspaceId, userId }, at);
      // The claim on the Idempotency-Key can be used up only once, and the event of the removal does that
      const revoked = revokeKeys ? await this.deps.revokeKeys(tx, { ...origin, claim: undefined }, { workspaceId, userId }, at) : 0;
      await recordEvent(tx, {
        ...origin,
        action: 'member.removed',
        subject: { id: userId, workspaceId },
        before: { roleId },
        after: null,
        at,
      });
      return revoked;
    });
  }

  /**
   * Changes the role of a member. The actor must have every permission of the old role and be able to grant the new one. Throws CONFLICT
   * if no owner would be left, or if the version is not the expected one.
   */
  async setRole(origin: Authority, raw: z.input<typeof setRoleRule>): Promise<Membership> {
    const { workspaceId, userId, roleId, expectedVersion } = validate(setRoleRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const member = await this.lock(tx, workspaceId, userId);
      const role = await roleToGrant(tx, roleId, workspaceId);
      const actor = await currentActor(tx, origin, 'admin.members', { workspaceId });
      await this.requireRank(tx, actor, member.roleId, workspaceId);
      requireGrants(actor, role.permissions, workspaceId);
      requireVersion(expectedVersion, member);
      if (roleId === member.roleId) return member;
      await this.requireOtherOwner(tx, member);
      const event = {
        ...origin,
        action: 'member.role-changed',
        subject: { id: userId, workspaceId },
        at: await this.deps.database.now(tx),
      };
      return writeChanges(tx, Membership, { workspaceId, userId }, member, { roleId }, event);
    });
  }

  private async lock(tx: EntityManager, workspaceId: string, userId: string): Promise<Membership> {
    await locked(tx, Workspace, { id: workspaceId });
    return locked(tx, Membership, { workspaceId, userId });
  }

  private async requireRank(tx: EntityManager, actor: Actor, roleId: string, workspaceId: string): Promise<void> {
    requireHeld(actor, await permissionsOfRole(tx, roleId), workspaceId);
  }

  private async requireOtherOwner(
    tx: EntityManager,
    { workspaceId, userId, roleId }: Pick<Membership, 'workspaceId' | 'userId' | 'roleId'>,
  ): Promise<void> {
    if (roleId !== OWNER_ROLE_ID) return;
    if (!(await tx.existsBy(Membership, { workspaceId, roleId, userId: Not(userId) })))
      throw conflict('This is the last owner. Make another member an owner first.');
  }
}
