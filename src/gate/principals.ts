import type { EntityManager } from 'typeorm';
import { rootKeyDigest } from '../access/installation';
import { Person } from '../access/people/person.entity';
import { permissionsOf } from '../access/people/person.queries';
import { narrowedTo } from '../access/permissions';
import { OPERATOR, type Actor, type CredentialPrincipal, type Principal, type UserPrincipal } from '../access/principal';
import { NAMES_ITS_PROJECT, kindOfSecret } from '../access/secret';
import type { SessionService } from '../access/sessions/session.service';
import type { Database } from '../db/database';
import { TollgateError, type ErrorCode } from '../errors';
import { ApiKey } from '../keys/key.entity';
import { permissionsOfKey, permissionsOfKeysRole } from '../keys/key.queries';
import type { ConsentService } from '../oauth/consent.service';
import { ServiceAccount } from '../service-accounts/service-account.entity';
import { permissionsOfServiceAccount, permissionsOfServiceAccountsRole } from '../service-accounts/service-account.queries';
import { credentialRefusal } from './checks';
import type { LookUps } from './look-ups';

export interface PrincipalsDeps {
  database: Database;
  digest(text: string): string;
  lookUps: Pick<LookUps, 'find'>;
  sessions: Pick<SessionService, 'principalOf' | 'principalById'>;
  consents: Pick<ConsentService, 'principalOf' | 'principalById' | 'principalOfDigest'>;
  /** Counts one more secret that belongs to nobody. */
  countUnknown(): void;
}

/** Who calls, for both servers, and what those may do who were recognised before: read again, as a transaction sees it. */
export class Principals {
  constructor(private readonly deps: PrincipalsDeps) {}

  /**
   * Who a secret belongs to: the operator's root key, or a credential that works now from this address. What a caller is to be told where
   * it does not, SERVICE_UNAVAILABLE where the database cannot say.
   */
  async bySecret(secret: string, ip: string | null): Promise<CredentialPrincipal> {
    const found = await known(() => this.find(secret, ip));
    if (typeof found === 'object') return found;
    if (found === 'INVALID_API_KEY') this.deps.countUnknown();
    throw new TollgateError(found);
  }

  /** Whose session a token is of, with what they may do now; null where it has ended or never was. SERVICE_UNAVAILABLE where the database cannot say. */
  async bySession(token: string): Promise<UserPrincipal | null> {
    return known(() => this.deps.sessions.principalOf(token));
  }

  /** Who has a session that was found before, as `manager` sees it; null where it has ended. */
  bySessionId(manager: EntityManager, id: string): Promise<UserPrincipal | null> {
    return this.deps.sessions.principalById(manager, id);
  }

  /** A principal with what it may do now: nothing where its session, its key, its service account or its token has ended. */
  async current(manager: EntityManager, principal: Principal): Promise<Principal> {
    if (principal.kind === 'API_KEY') return { ...principal, permissions: await this.ofKey(manager, principal.id) };
    if (principal.kind === 'SERVICE_ACCOUNT') return { ...principal, permissions: narrowedTo(principal.scopes, await permissionsOfServiceAccount(manager, principal.id)) };
    if (principal.kind === 'OAUTH_CLIENT') return (await this.deps.consents.principalOfDigest(manager, principal.tokenDigest)) ?? { ...principal, permissions: [] };
    if (principal.kind !== 'USER') return principal;
    return (await this.bySessionId(manager, principal.sessionId)) ?? { ...principal, permissionsByWorkspace: new Map() };
  }

  /** Who once acted by this id, with what they may do now, signed in or not. */
  async byId(manager: EntityManager, id: string): Promise<Actor> {
    if (id.startsWith('usr_')) {
      const person = await manager.findOneByOrFail(Person, { id }); // nor are people
      return { kind: 'USER', id, name: person.name, sessionId: '', permissionsByWorkspace: await permissionsOf(manager, person) };
    }
    if (id.startsWith('con_')) return this.deps.consents.principalById(manager, id);
    if (id.startsWith('svc_')) {
      const { name, workspaceId } = await manager.findOneByOrFail(ServiceAccount, { id }); // nor are these
      return { kind: 'SERVICE_ACCOUNT', id, name, workspaceId, permissions: await permissionsOfServiceAccount(manager, id), scopes: null };
    }
    if (!id.startsWith('key_')) return OPERATOR;
    const { name, workspaceId, projectId } = await manager.findOneByOrFail(ApiKey, { id }); // keys are never deleted
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
    // What may work in several projects is not bound to the end of one
    const bound = credential && NAMES_ITS_PROJECT.has(credentialKind) ? { ...credential, archivedAt: null } : credential;
    const refusal = credentialRefusal(ip, bound, (await database.now()).getTime());
    if (refusal || !credential) return refusal?.code ?? 'INVALID_API_KEY';
    const { id, name, workspaceId, projectId, scopes } = credential;
    // Roles administer, so ticks never ask for what they grant
    const ofRole = await (credentialKind === 'API_KEY' ? permissionsOfKeysRole : permissionsOfServiceAccountsRole)(database.lookups, id);
    const permissions = narrowedTo(scopes, [...credential.permissions, ...ofRole]);
    return credentialKind === 'API_KEY'
      ? { kind: credentialKind, id, name, workspaceId, projectId: projectId as string, permissions }
      : { kind: credentialKind, id, name, workspaceId, permissions, scopes };
  }

  private async ofKey(manager: EntityManager, id: string): Promise<readonly string[]> {
    return permissionsOfKey(manager, id, await this.deps.database.now(manager));
  }
}

async function known<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw new TollgateError('SERVICE_UNAVAILABLE', undefined, {}, { cause: error });
  }
}
