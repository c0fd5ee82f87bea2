import type { EntityManager } from 'typeorm';
import type { Origin } from '../audit/record-event';

/** Whoever calls, on either server. */
export type Principal = OperatorPrincipal | KeyPrincipal | UserPrincipal;

/** The holder of the root key: runs the installation. */
export interface OperatorPrincipal {
  kind: 'OPERATOR';
  id: 'operator';
  name: string;
}

export interface KeyPrincipal {
  kind: 'API_KEY';
  id: string;
  name: string;
  workspaceId: string;
  projectId: string;
  /** Those of its own, and those of its role. */
  permissions: readonly string[];
}

/** A person who has signed in. */
export interface UserPrincipal {
  kind: 'USER';
  id: string;
  name: string;
  sessionId: string;
  /** What it may do in each workspace that it is a member of. */
  permissionsByWorkspace: ReadonlyMap<string, readonly string[]>;
}

export const OPERATOR: OperatorPrincipal = { kind: 'OPERATOR', id: 'operator', name: 'Operator' };

/** Tollgate itself, as the demo and the tests act: nothing is closed to it. */
export interface SystemActor {
  kind: 'SYSTEM';
  id: string;
}

export type Actor = Principal | SystemActor;

/** Who acts, and from where, for a service that has to know what its actor may grant. */
export interface Authority extends Origin {
  actor: Actor;
  /**
   * The actor with what it may do as a transaction sees it. A service asks once it has its locks: what the actor was when the request
   * began may have ended while it waited.
   */
  current(tx: EntityManager): Promise<Actor>;
}

/** The authority of Tollgate itself. */
export function systemAuthority(id: string): Authority {
  const actor: SystemActor = { kind: 'SYSTEM', id };
  return { actor, ip: null, userAgent: null, current: () => Promise.resolve(actor) };
}
