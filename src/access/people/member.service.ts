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
  /** Ends what a member had in the workspace, in the transaction in which they leave it. */
  left(tx: EntityManager, member: { workspaceId: string; userId: string }, at: Date): Promise<unknown>;
  /** Revokes the keys that a member minted in the workspace, in the same transaction. Answers how many. */
  revokeKeys(tx: EntityManager, origin: Origin, member: { workspaceId: string; userId: string }, at: Date): Promise<number>;
}

/** Who is in a workspace, and as what. What changes it takes the workspace's row, so that two cannot each remove the other owner. */
export class MemberService {
  constructor(private readonly deps: MemberServiceDeps) {}

  /**
   * Ends a membership, at once and on every node. Anybody may leave; to remove another takes holding all that their role grants.
   * With `revokeKeys`, which takes `write.keys`, the live keys that they minted end with it. Answers how many did.
   * CONFLICT for the last owner.
   */
  async remove(origin: Authority, raw: z.input<typeof removeRule>): Promise<number> {
    const { workspaceId, userId, revokeKeys } = validate(removeRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      await tx.findOne(Person, { where: { id: userId }, ...forUpdate(tx) }); // who lets an application in at this moment does so before, and it ends here, or finds that they are no member
      const { roleId } = await this.lock(tx, workspaceId, userId);
      if (origin.actor.id !== userId) await this.requireRank(tx, await currentActor(tx, origin, 'admin.members', { workspaceId }), roleId, workspaceId);
      if (revokeKeys) await currentActor(tx, origin, 'write.keys', { workspaceId });
      await this.requireOtherOwner(tx, { workspaceId, userId, roleId });
      await tx.delete(Membership, { workspaceId, userId });
      const at = await this.deps.database.now(tx);
      await this.deps.left(tx, { workspaceId, userId }, at);
      // What is done once is the removal, and its event uses that up
      const revoked = revokeKeys ? await this.deps.revokeKeys(tx, { ...origin, claim: undefined }, { workspaceId, userId }, at) : 0;
      await recordEvent(tx, { ...origin, action: 'member.removed', subject: { id: userId, workspaceId }, before: { roleId }, after: null, at });
      return revoked;
    });
  }

  /** Gives a member another role, where the membership is of the version that is expected if any is. Takes holding all that the old and the new one grant. CONFLICT where the last owner would be one no longer. */
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
      const event = { ...origin, action: 'member.role-changed', subject: { id: userId, workspaceId }, at: await this.deps.database.now(tx) };
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

  private async requireOtherOwner(tx: EntityManager, { workspaceId, userId, roleId }: Pick<Membership, 'workspaceId' | 'userId' | 'roleId'>): Promise<void> {
    if (roleId !== OWNER_ROLE_ID) return;
    if (!(await tx.existsBy(Membership, { workspaceId, roleId, userId: Not(userId) }))) throw conflict('The last owner stays; make somebody else an owner first.');
  }
}
