import { In, type EntityManager } from 'typeorm';
import { Workspace } from '../../tenancy/workspace.entity';
import { permissionsOfRoles } from '../roles/grants';
import { Membership } from './membership.entity';
import type { Person } from './person.entity';

/** What a person may do in each workspace that they are a member of: nothing where it wants a second factor that they lack. */
export async function permissionsOf(reader: EntityManager, person: Person): Promise<Map<string, readonly string[]>> {
  const memberships = await reader.findBy(Membership, { userId: person.id });
  const granted = await permissionsOfRoles(reader, memberships.map(({ roleId }) => roleId));
  const closed = person.secondFactorEnabled ? [] : await requiringSecondFactor(reader, memberships.map(({ workspaceId }) => workspaceId));
  return new Map(memberships.map(({ workspaceId, roleId }) => [workspaceId, closed.includes(workspaceId) ? [] : (granted.get(roleId) ?? [])]));
}

/** Those of the workspaces that want a second factor of their people. */
export async function requiringSecondFactor(reader: EntityManager, workspaceIds: string[]): Promise<string[]> {
  const found = await reader.find(Workspace, { select: { id: true }, where: { id: In(workspaceIds), requiresSecondFactor: true } });
  return found.map(({ id }) => id);
}
