import { Field, ID, InputType } from 'type-graphql';
import type { EntityManager } from 'typeorm';
import { In, IsNull } from 'typeorm';
import { anyOf, every, has } from '../../db/filters';
import { NEWEST_FIRST, type KeysetOrder } from '../../db/keyset';
import type { List } from '../../db/list';
import { BUILT_IN_ROLES, Role } from '../roles/role.entity';
import { Invitation } from './invitation.entity';
import { Membership } from './membership.entity';

const LATEST_FIRST: KeysetOrder<Membership> = { columns: ['createdAt', 'userId'], types: ['number', 'string'], direction: 'DESC' };

@InputType({ description: 'All that are given must hold; a list means any of these, an empty one none. A text is 1 to 100 characters, A to Z in either case.' })
export class MembershipFilter {
  @Field(() => String, { nullable: true, description: 'With this text in their name.' })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'With this text in their e-mail address.' })
  email?: string | null;

  @Field(() => [ID], { nullable: true, description: 'With these roles.' })
  roleId?: string[] | null;
}

const OF_PERSON = (column: string) => `(SELECT person.${column} FROM people person WHERE person.id = row.userId)`;

/** The people of a workspace, those who joined last first. */
export const MEMBERS: List<Membership, string, MembershipFilter> = {
  entity: Membership,
  orderOf: () => LATEST_FIRST,
  sourceOf: (workspaceId, { name, email, roleId }) => ({
    ranges: [{ workspaceId }],
    narrow: every(has(name, 'name', OF_PERSON('name')), has(email, 'email', OF_PERSON('email')), anyOf('roleId', roleId)),
  }),
};

/** The invitations to a workspace that are open, whatever has become of the right of whoever made them, newest first. */
export const INVITATIONS: List<Invitation, string, { now: Date }> = {
  entity: Invitation,
  orderOf: () => NEWEST_FIRST,
  sourceOf: (workspaceId, { now }) => ({
    ranges: [{ workspaceId }],
    narrow: (query) => query.andWhere({ acceptedAt: IsNull(), withdrawnAt: IsNull() }).andWhere('row.expiresAt > :now', { now: now.getTime() }),
  }),
};

/** The most workspaces of a person that are shown: the oldest memberships. `Query.workspaces` has them all. */
export const MAX_MEMBERSHIPS_SHOWN = 200;

/** The workspaces of a person, the oldest membership first, at most MAX_MEMBERSHIPS_SHOWN. */
export function membershipsOf(reader: EntityManager, userId: string): Promise<Membership[]> {
  return reader.find(Membership, { where: { userId }, order: { createdAt: 'ASC', workspaceId: 'ASC' }, take: MAX_MEMBERSHIPS_SHOWN });
}

/** Roles by their ids, the built-in ones among them. */
export async function rolesById(ids: readonly string[], reader: EntityManager): Promise<Map<string, Role>> {
  const own = await reader.findBy(Role, { id: In([...ids]) });
  return new Map([...BUILT_IN_ROLES, ...own].map((role) => [role.id, role]));
}
