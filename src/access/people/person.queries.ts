import { In, type EntityManager } from 'typeorm';
import { Workspace } from '../../tenancy/workspace.entity';
import { permissionsOfRoles } from '../roles/grants';
import { Membership } from './membership.entity';
import type { Person } from './person.entity';

/** The permissions of a person in each of their workspaces; empty if the workspace requires a second factor that they lack. */
export async function permissionsOf(reader: EntityManager, person: Person): Promise<Map<string, readonly string[]>> {
  const memberships = await reader.findBy(Membership, { userId: person.id });
  const granted = await permissionsOfRoles(
    reader,
    memberships.map(({ roleId }) => roleId),
  );
  const blocked = person.secondFactorEnabled
    ? []
    : await requiringSecondFactor(
        reader,
        memberships.map(({ workspaceId }) => workspaceId),
      );
  return new Map(
    memberships.map(({ workspaceId, roleId }) => [workspaceId, blocked.includes(workspaceId) ? [] : (granted.get(roleId) ?? [])]),
  );
}

/** The given workspaces that require a second factor. */
export async function requiringSecondFactor(reader: EntityManager, workspaceIds: string[]): Promise<string[]> {
  const found = await reader.find(Workspace, { select: { id: true }, where: { id: In(workspaceIds), requiresSecondFactor: true } });
  return found.map(({ id }) => id);
}
