import type { EntityManager } from 'typeorm';
/** An authenticated caller of GraphQL, REST or OAuth. */
export type Principal = OperatorPrincipal | KeyPrincipal | ServiceAccountPrincipal | UserPrincipal | ClientPrincipal;

/** A caller that authenticates with a secret in a header. */
export type CredentialPrincipal = Exclude<Principal, UserPrincipal>;

/** The caller with the root key, who runs the installation. */
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
  /** The permissions of the key and of its role. */
  permissions: readonly string[];
}

/** It administers its whole workspace. The gate reads the projects in which it may call. */
export interface ServiceAccountPrincipal {
  kind: 'SERVICE_ACCOUNT';
  id: string;
  name: string;
  workspaceId: string;
  /** The permissions of the account and of its role, reduced to the scopes of its token. */
  permissions: readonly string[];
  /** The scopes of its access token, or null if it came with its secret. */
  scopes: readonly string[] | null;
}

/** A person who has signed in. */
export interface UserPrincipal {
  kind: 'USER';
  id: string;
  name: string;
  sessionId: string;
  /** Its permissions in each of its workspaces. */
  permissionsByWorkspace: ReadonlyMap<string, readonly string[]>;
}

/** An application that acts for a person, with their consent, in one project. */
export interface ClientPrincipal {
  kind: 'OAUTH_CLIENT';
  /** The id of the consent, which names the person, the application and the project. */
  id: string;
  /** The name of the application. */
  name: string;
  /** The person who gave the consent. */
  userId: string;
  /** The digest of its access token. */
  tokenDigest: string;
  workspaceId: string;
  projectId: string;
  /** The scopes of its token that the person may use now. */
  permissions: readonly string[];
}

export const OPERATOR: OperatorPrincipal = { kind: 'OPERATOR', id: 'operator', name: 'Operator' };

/** Tollgate itself. `id` names the part that acts, such as the demo or a test. It may do everything. */
export interface SystemActor {
  kind: 'SYSTEM';
  id: string;
}

export type Actor = Principal | SystemActor;

/** Returns the id of the person who acts, directly or through an application. Returns null for other actors. */
export function personBehind(actor: Actor): string | null {
  if (actor.kind === 'USER') return actor.id;
  return actor.kind === 'OAUTH_CLIENT' ? actor.userId : null;
}

/** Recognises callers by their credentials, and reads again what a recognised caller may do. `gate/authenticator` implements it. */
export interface Authentication {
  /** The principal of a secret. Throws the error of the credential if the secret does not work from this address. */
  bySecret(secret: string, ip: string | null): Promise<CredentialPrincipal>;
  /** The person of a session token; null if the session has ended or does not exist. */
  bySession(token: string): Promise<UserPrincipal | null>;
  /** The person of a session, read with `manager`; null if the session has ended. */
  bySessionId(manager: EntityManager, id: string): Promise<UserPrincipal | null>;
  /** The principal with its present permissions: none if its session, key, account or token has ended. */
  current(manager: EntityManager, principal: Principal): Promise<Principal>;
}
