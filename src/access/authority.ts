import type { EntityManager } from 'typeorm';
import type { Origin } from '../audit/record-event';
import type { AdministrativePermission } from './permissions';
import { requireAdministered } from './policies';
import type { Actor, SystemActor } from './principal';

/** Who acts, and from where, for a service that has to know what its actor may grant. */
export interface Authority extends Origin {
  actor: Actor;
  /** The actor with what it may do as a transaction sees it. */
  current(tx: EntityManager): Promise<Actor>;
}

/** The authority of Tollgate itself. */
export function systemAuthority(id: string): Authority {
  const actor: SystemActor = { kind: 'SYSTEM', id };
  return { actor, ip: null, userAgent: null, current: () => Promise.resolve(actor) };
}

/**
 * Who acts, as they stand in a transaction that has its locks: what they might do when the request began may have ended while it waited,
 * and of two owners who remove each other one comes too late. NOT_FOUND where they may not know of the target any more, FORBIDDEN where
 * they lack the permission.
 */
export async function currentActor(tx: EntityManager, authority: Authority, permission: AdministrativePermission, target: { workspaceId: string }): Promise<Actor> {
  const actor = await authority.current(tx);
  requireAdministered(actor, target, permission);
  return actor;
}
