import type { EntityManager } from 'typeorm';
import { rootKeyDigest } from '../access/installation';
import { Person } from '../access/people/person.entity';
import { permissionsOf } from '../access/people/person.queries';
import { narrowedTo } from '../access/permissions';
import {
  OPERATOR,
  type Actor,
  type Authentication,
  type CredentialPrincipal,
  type Principal,
  type UserPrincipal,
} from '../access/principal';
import { kindOfSecret } from '../access/secret';
import type { SessionService } from '../access/sessions/session.service';
import type { Database } from '../db/database';
import { TollgateError, type ErrorCode } from '../errors';
import { ApiKey } from '../keys/key.entity';
import { permissionsOfKey } from '../keys/key.queries';
import type { ConsentService } from '../oauth/consent.service';
import { ServiceAccount } from '../service-accounts/service-account.entity';
import { permissionsOfServiceAccount } from '../service-accounts/service-account.queries';
import { administratorRefusal } from './checks';
import type { LookUps } from './look-ups';

export interface AuthenticatorDeps {
  database: Database;
  digest(text: string): string;
  lookUps: Pick<LookUps, 'find'>;
  sessions: Pick<SessionService, 'principalOf' | 'principalById'>;
  consents: Pick<ConsentService, 'principalOf' | 'principalById' | 'principalOfDigest'>;
  /** Counts one more unknown secret. */
  countUnknown(): void;
}

/** Authenticates callers for REST and GraphQL. Can read the current permissions of a principal again, inside a transaction. */
export class Authenticator implements Authentication {
  constructor(private readonly deps: AuthenticatorDeps) {}

  /**
   * Returns the operator for the root key, otherwise the principal of the credential with this secret. Throws the error code of the
   * credential if it does not work now from this address. Throws SERVICE_UNAVAILABLE if the database does not answer.
   */
  async bySecret(secret: string, ip: string | null): Promise<CredentialPrincipal> {
    const found = await known(() => this.find(secret, ip));
    if (typeof found === 'object') return found;
    if (found === 'INVALID_API_KEY') this.deps.countUnknown();
    throw new TollgateError(found);
  }

  /**
   * Returns the user of a session token, with current permissions. Returns null if the session has ended or does not exist. Throws
   * SERVICE_UNAVAILABLE if the database does not answer.
   */
  async bySession(token: string): Promise<UserPrincipal | null> {
    return known(() => this.deps.sessions.principalOf(token));
  }

  /** Returns the user of the session with this id, read with `manager`. Returns null if the session has ended. */
  bySessionId(manager: EntityManager, id: string): Promise<UserPrincipal | null> {
    return this.deps.sessions.principalById(manager, id);
  }

  /** Returns the principal with its current permissions. It has none if its session, key, service account or token has ended. */
  async current(manager: EntityManager, principal: Principal): Promise<Principal> {
    if (principal.kind === 'API_KEY') return { ...principal, permissions: await this.ofKey(manager, principal.id) };
    if (principal.kind === 'SERVICE_ACCOUNT') {
      const ofAccount = await permissionsOfServiceAccount(manager, principal.id);
      return { ...principal, permissions: narrowedTo(principal.scopes, ofAccount) };
    }
    if (principal.kind === 'OAUTH_CLIENT') {
      const found = await this.deps.consents.principalOfDigest(manager, principal.tokenDigest);
      return found ?? { ...principal, permissions: [] };
    }
    if (principal.kind !== 'USER') return principal;
    return (await this.bySessionId(manager, principal.sessionId)) ?? { ...principal, permissionsByWorkspace: new Map() };
  }

  /**
   * Returns the actor with this id and its current permissions, even if it is not signed in. Its row exists, because such rows are never
   * deleted.
   */
  async byId(manager: EntityManager, id: string): Promise<Actor> {
    if (id.startsWith('usr_')) {
      const person = await manager.findOneByOrFail(Person, { id });
      return { kind: 'USER', id, name: person.name, sessionId: '', permissionsByWorkspace: await permissionsOf(manager, person) };
    }
    if (id.startsWith('con_')) return this.deps.consents.principalById(manager, id);
    if (id.startsWith('svc_')) {
      const { name, workspaceId } = await manager.findOneByOrFail(ServiceAccount, { id });
      return { kind: 'SERVICE_ACCOUNT', id, name, workspaceId, permissions: await permissionsOfServiceAccount(manager, id), scopes: null };
    }
    if (!id.startsWith('key_')) return OPERATOR;
    const { name, workspaceId, projectId } = await manager.findOneByOrFail(ApiKey, { id });
    return { kind: 'API_KEY', id, name, workspaceId, projectId, permissions: await this.ofKey(manager, id) };
  }

  private async find(secret: string, ip: string | null): Promise<CredentialPrincipal | ErrorCode> {
    const { database, lookUps, consents } = this.deps;
    const digest = this.deps.digest(secret);
    if (digest === (await rootKeyDigest(database))) return OPERATOR;
    const credentialKind = kindOfSecret(secret);
    if (!credentialKind) return 'INVALID_API_KEY';
    if (credentialKind === 'OAUTH_CLIENT') return (await consents.principalOf(database.lookups, secret)) ?? 'INVALID_API_KEY';
    const credential = await lookUps.find({ credentialKind, digest, namedProjectId: null });
    const refusal = administratorRefusal(ip, credential, (await database.now()).getTime());
    if (refusal || !credential) return refusal?.code ?? 'INVALID_API_KEY';
    const { id, name, workspaceId, projectId, scopes, permissions } = credential;
    return credentialKind === 'API_KEY'
      ? { kind: credentialKind, id, name, workspaceId, projectId: projectId as string, permissions }
      : { kind: credentialKind, id, name, workspaceId, permissions, scopes };
  }

  private async ofKey(manager: EntityManager, id: string): Promise<readonly string[]> {
    return permissionsOfKey(manager, id, await this.deps.database.now(manager));
  }
}

/** Turns every failure into SERVICE_UNAVAILABLE. */
async function known<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw new TollgateError('SERVICE_UNAVAILABLE', undefined, {}, { cause: error });
  }
}
