import { In, type EntityManager } from 'typeorm';
import { Role, builtInRole } from './role.entity';

/** The permissions of each role. Roles that do not exist are not in the map. */
export async function permissionsOfRoles(reader: EntityManager, roleIds: readonly string[]): Promise<Map<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  const custom: string[] = [];
  for (const id of new Set(roleIds)) {
    const role = builtInRole(id);
    if (role) found.set(id, role.permissions);
    else custom.push(id);
  }
  if (custom.length > 0) for (const { id, permissions } of await reader.findBy(Role, { id: In(custom) })) found.set(id, permissions);
  return found;
}

/** The permissions of a role; empty for null and for a role that does not exist. */
export async function permissionsOfRole(reader: EntityManager, roleId: string | null): Promise<readonly string[]> {
  return roleId === null ? [] : ((await permissionsOfRoles(reader, [roleId])).get(roleId) ?? []);
}
