import { In, type EntityManager } from 'typeorm';
import { Role, builtInRole } from './role.entity';

/** What each of these roles grants; nothing for one that is not there. */
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

/** What one role grants; nothing for none. */
export async function permissionsOfRole(reader: EntityManager, roleId: string | null): Promise<readonly string[]> {
  return roleId === null ? [] : ((await permissionsOfRoles(reader, [roleId])).get(roleId) ?? []);
}
