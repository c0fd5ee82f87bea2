import type { EntityManager } from 'typeorm';
import type { Origin } from '../audit/record-event';
import type { AdministrativePermission } from './permissions';
import { requireAdministered } from './policies';
import type { Actor, SystemActor } from './principal';

/** The actor of a request and where the request came from, for services that check what the actor may do or grant. */
export interface Authority extends Origin {
  actor: Actor;
  /** The actor with the permissions that it has now, read in the transaction. */
  current(tx: EntityManager): Promise<Actor>;
}

/** The authority of Tollgate itself. `id` names the part that acts. */
export function systemAuthority(id: string): Authority {
  const actor: SystemActor = { kind: 'SYSTEM', id };
  return { actor, ip: null, userAgent: null, current: () => Promise.resolve(actor) };
}

/**
 * The actor with its current permissions. Call it after the transaction has its locks: the permissions may have changed while the request
 * waited. If two owners remove each other, the second removal fails here. Throws NOT_FOUND if the actor may no longer see the target,
 * FORBIDDEN if it lacks the permission.
 */
export async function currentActor(
  tx: EntityManager,
  authority: Authority,
  permission: AdministrativePermission,
  target: { workspaceId: string },
): Promise<Actor> {
  const actor = await authority.current(tx);
  requireAdministered(actor, target, permission);
  return actor;
}
