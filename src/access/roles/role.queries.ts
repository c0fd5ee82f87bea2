import { In, type EntityManager } from 'typeorm';
import { BUILT_IN_ROLES, Role } from './role.entity';

/** The roles of each workspace: from the most to the least that the built-in ones may do, then its own by name. */
export async function rolesOfWorkspaces(workspaceIds: readonly string[], reader: EntityManager): Promise<Map<string, Role[]>> {
  const own = await reader.find(Role, { where: { workspaceId: In([...workspaceIds]) }, order: { workspaceId: 'ASC', name: 'ASC' } });
  return new Map(workspaceIds.map((id) => [id, [...BUILT_IN_ROLES, ...own.filter((role) => role.workspaceId === id)]]));
}
