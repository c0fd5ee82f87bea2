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
