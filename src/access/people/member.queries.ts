import type { EntityManager } from 'typeorm';
import { In } from 'typeorm';
import { keysetPage, type KeysetOrder, type PageRequest } from '../../db/keyset';
import type { Connection } from '../../lib/graphql-types';
import { BUILT_IN_ROLES, Role } from '../roles/role.entity';
import { Membership } from './membership.entity';

const LATEST_FIRST: KeysetOrder<Membership> = { columns: ['createdAt', 'userId'], types: ['number', 'string'], direction: 'DESC' };

/** The people of a workspace, those who joined last first. */
export function listMembers(reader: EntityManager, workspaceId: string, page: PageRequest): Promise<Connection<Membership>> {
  return keysetPage(reader.createQueryBuilder(Membership, 'row').where({ workspaceId }), LATEST_FIRST, page);
}

/** The workspaces of a person, the oldest membership first. */
export function membershipsOf(reader: EntityManager, userId: string): Promise<Membership[]> {
  return reader.find(Membership, { where: { userId }, order: { createdAt: 'ASC', workspaceId: 'ASC' } });
}

/** Roles by their ids, the built-in ones among them. */
export async function rolesById(ids: readonly string[], reader: EntityManager): Promise<Map<string, Role>> {
  const own = await reader.findBy(Role, { id: In([...ids]) });
  return new Map([...BUILT_IN_ROLES, ...own].map((role) => [role.id, role]));
}
