import { In, type EntityManager } from 'typeorm';
import { readMany } from '../../db/together';
import { BUILT_IN_ROLES, Role } from './role.entity';

/** The roles of each workspace: first the built-in ones, in the order of BUILT_IN_ROLES, then its own by name. */
export async function rolesOfWorkspaces(workspaceIds: readonly string[], reader: EntityManager): Promise<Map<string, Role[]>> {
  const query = reader.createQueryBuilder(Role, 'row').where({ workspaceId: In([...workspaceIds]) });
  const own = await readMany(reader, query.orderBy('row.workspaceId').addOrderBy('row.name'));
  const roles = new Map(workspaceIds.map((id) => [id, [...BUILT_IN_ROLES]]));
  for (const role of own) roles.get(role.workspaceId as string)?.push(role);
  return roles;
}
