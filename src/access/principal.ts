/** Whoever calls, on either server. */
export type Principal = OperatorPrincipal | KeyPrincipal | ServiceAccountPrincipal | UserPrincipal | ClientPrincipal;

/** Those that a secret in a header stands for. */
export type CredentialPrincipal = Exclude<Principal, UserPrincipal>;

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

/** Where it may call is for the gate to know; it administers its whole workspace. */
export interface ServiceAccountPrincipal {
  kind: 'SERVICE_ACCOUNT';
  id: string;
  name: string;
  workspaceId: string;
  /** Those of its own, and those of its role, as far as its token is for them. */
  permissions: readonly string[];
  /** What the access token that it came with is for; null where it came with its secret. */
  scopes: readonly string[] | null;
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

/** An application, which a person has let act for them in one project. */
export interface ClientPrincipal {
  kind: 'OAUTH_CLIENT';
  /** That of the consent: it names the person, the application and the project. */
  id: string;
  /** The application's. */
  name: string;
  /** The person who let it in. */
  userId: string;
  /** Of the access token that it came with. */
  tokenDigest: string;
  workspaceId: string;
  projectId: string;
  /** What its token is for, and the person may do now. */
  permissions: readonly string[];
}

export const OPERATOR: OperatorPrincipal = { kind: 'OPERATOR', id: 'operator', name: 'Operator' };

/** Tollgate itself, by the name of what of it acts: the demo, the watch of rotations, a test. Nothing is closed to it. */
export interface SystemActor {
  kind: 'SYSTEM';
  id: string;
}

export type Actor = Principal | SystemActor;

/** The person who acts, or lets an application act in their name; null for other actors. */
export function personBehind(actor: Actor): string | null {
  if (actor.kind === 'USER') return actor.id;
  return actor.kind === 'OAUTH_CLIENT' ? actor.userId : null;
}
