import type { EntityManager } from 'typeorm';
import { Person } from '../access/people/person.entity';
import { permissionsOf } from '../access/people/person.queries';
import { narrowedTo } from '../access/permissions';
import { OPERATOR, type Actor, type Principal } from '../access/principal';
import type { SessionService } from '../access/sessions/session.service';
import type { Database } from '../db/database';
import { ApiKey } from '../keys/key.entity';
import { permissionsOfKey } from '../keys/key.queries';
import type { ConsentService } from '../oauth/consent.service';
import { ServiceAccount } from '../service-accounts/service-account.entity';
import { permissionsOfServiceAccount } from '../service-accounts/service-account.queries';

/** What those may do who were recognised before: read again, as a transaction sees it. */
export class Principals {
  constructor(private readonly deps: { database: Database; sessions: Pick<SessionService, 'principalById'>; consents: Pick<ConsentService, 'principalById' | 'principalOfDigest'> }) {}

  /** A principal with what it may do now: nothing where its session, its key, its service account or its token has ended. */
  async current(manager: EntityManager, principal: Principal): Promise<Principal> {
    if (principal.kind === 'API_KEY') return { ...principal, permissions: await this.ofKey(manager, principal.id) };
    if (principal.kind === 'SERVICE_ACCOUNT') return { ...principal, permissions: narrowedTo(principal.scopes, await permissionsOfServiceAccount(manager, principal.id)) };
    if (principal.kind === 'OAUTH_CLIENT') return (await this.deps.consents.principalOfDigest(manager, principal.tokenDigest)) ?? { ...principal, permissions: [] };
    if (principal.kind !== 'USER') return principal;
    return (await this.deps.sessions.principalById(manager, principal.sessionId)) ?? { ...principal, permissionsByWorkspace: new Map() };
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

  private async ofKey(manager: EntityManager, id: string): Promise<readonly string[]> {
    return permissionsOfKey(manager, id, await this.deps.database.now(manager));
  }
}
