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

@InputType({
  description:
    'Members that meet all given conditions. A list matches any of its values; an empty list matches nothing. A text is 1 to 100 ' +
    'characters; the case of A to Z does not matter.',
})
export class MembershipFilter {
  @Field(() => String, { nullable: true, description: 'Members with this text in their name.' })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'Members with this text in their e-mail address.' })
  email?: string | null;

  @Field(() => [ID], { nullable: true, description: 'Members with one of these roles.' })
  roleId?: string[] | null;
}

const OF_PERSON = (column: string) => `(SELECT person.${column} FROM people person WHERE person.id = row.userId)`;

/** The members of a workspace, last joined first. */
export const MEMBERS: List<Membership, string, MembershipFilter> = {
  entity: Membership,
  orderOf: () => LATEST_FIRST,
  sourceOf: (workspaceId, { name, email, roleId }) => ({
    ranges: [{ workspaceId }],
    narrow: every(has(name, 'name', OF_PERSON('name')), has(email, 'email', OF_PERSON('email')), anyOf('roleId', roleId)),
  }),
};

/** The open invitations to a workspace, newest first. Includes invitations by people who may no longer invite. */
export const INVITATIONS: List<Invitation, string, { now: Date }> = {
  entity: Invitation,
  orderOf: () => NEWEST_FIRST,
  sourceOf: (workspaceId, { now }) => ({
    ranges: [{ workspaceId }],
    narrow: (query) =>
      query.andWhere({ acceptedAt: IsNull(), withdrawnAt: IsNull() }).andWhere('row.expiresAt > :now', { now: now.getTime() }),
  }),
};

/** The most memberships that are listed for a person, the oldest first. `Query.workspaces` has all. */
export const MAX_MEMBERSHIPS_SHOWN = 200;

/** The memberships of a person, oldest first, at most MAX_MEMBERSHIPS_SHOWN. */
export function membershipsOf(reader: EntityManager, userId: string): Promise<Membership[]> {
  return reader.find(Membership, { where: { userId }, order: { createdAt: 'ASC', workspaceId: 'ASC' }, take: MAX_MEMBERSHIPS_SHOWN });
}

/** Memberships by their ids. */
export async function membershipsById(ids: readonly string[], reader: EntityManager): Promise<Map<string, Membership>> {
  const where = ids.flatMap((id) => {
    const [, person, workspace] = /^mem_([0-9A-Za-z]+)_([0-9A-Za-z]+)$/.exec(id) ?? [];
    return person && workspace ? [{ userId: `usr_${person}`, workspaceId: `ws_${workspace}` }] : [];
  });
  const found = where.length > 0 ? await reader.findBy(Membership, where) : [];
  return new Map(found.map((membership) => [membership.id, membership]));
}

/** The ids of all workspaces of each person. */
export async function workspacesOfPeople(userIds: readonly string[], reader: EntityManager): Promise<Map<string, string[]>> {
  const found = await reader.find(Membership, { select: { userId: true, workspaceId: true }, where: { userId: In([...userIds]) } });
  const workspaces = new Map(userIds.map((id) => [id, [] as string[]]));
  for (const { userId, workspaceId } of found) workspaces.get(userId)?.push(workspaceId);
  return workspaces;
}

/** Roles by id, including all built-in ones. */
export async function rolesById(ids: readonly string[], reader: EntityManager): Promise<Map<string, Role>> {
  const own = await reader.findBy(Role, { id: In([...ids]) });
  return new Map([...BUILT_IN_ROLES, ...own].map((role) => [role.id, role]));
}
