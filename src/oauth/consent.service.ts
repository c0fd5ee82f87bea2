import { IsNull, MoreThan, type EntityManager } from 'typeorm';
import type { Whence } from '../access/people/person.events';
import { actorOf } from '../access/people/person.events';
import { permissionsOf } from '../access/people/person.queries';
import { Person } from '../access/people/person.entity';
import { isIdentityScope } from '../access/permissions';
import { mayGrant } from '../access/policies';
import type { ClientPrincipal, UserPrincipal } from '../access/principal';
import { recordEvent, type Origin } from '../audit/record-event';
import { locked, type Database } from '../db/database';
import { conflict, notFound } from '../errors';
import { newId } from '../lib/id';
import { later } from '../lib/time';
import { Project } from '../tenancy/project.entity';
import { OAuthClient } from './client.entity';
import { Consent } from './consent.entity';
import { CODE_SECONDS, INTERACTION_SECONDS } from './lifetimes';
import { OAuthToken } from './token.entity';

/** A consent that goes on, with all that it takes. */
export interface LivingConsent {
  consent: Consent;
  client: OAuthClient;
  person: Person;
  /** Those of its scopes that the person may still grant. */
  scopes: string[];
}

export interface ConsentServiceDeps {
  database: Database;
  digest(text: string): string;
  /** Whose a session is, as a transaction sees it; null where it has ended. */
  principalOfSession(tx: EntityManager, sessionId: string): Promise<UserPrincipal | null>;
}

/**
 * What people have let applications do. A consent is what all its tokens hang on: read with each use of any of them, together with the
 * client, the membership and its role, so that the end of any of these counts at once on every node.
 */
export class ConsentService {
  constructor(private readonly deps: ConsentServiceDeps) {}

  /** The projects for which a person may let a client act; none where they are no member of its workspace. */
  async projectsFor(person: UserPrincipal, { workspaceId }: OAuthClient): Promise<Project[]> {
    if (!person.permissionsByWorkspace.has(workspaceId)) return [];
    return this.deps.database.lookups.find(Project, { where: { workspaceId, archivedAt: IsNull() }, order: { name: 'ASC', id: 'ASC' }, take: MAX_PROJECTS_SHOWN });
  }

  /** Those of the scopes that a person may grant in the workspace of a client. */
  grantable(person: UserPrincipal, { workspaceId }: OAuthClient, scopes: readonly string[]): string[] {
    return scopes.filter((scope) => isIdentityScope(scope) || mayGrant(person, scope, workspaceId));
  }

  /** Lets a client act for a person in a project, for those of the scopes that they may grant. NOT_FOUND where they are no member there, or their session has ended. */
  async give(person: UserPrincipal, { clientId, projectId, scopes }: { clientId: string; projectId: string; scopes: readonly string[] }, whence: Whence): Promise<Consent> {
    const { database } = this.deps;
    return database.transaction(async (tx) => {
      const client = await locked(tx, OAuthClient, { id: clientId, deletedAt: IsNull() });
      const project = (await tx.findOneBy(Project, { id: projectId, workspaceId: client.workspaceId })) ?? notFound();
      if (project.archivedAt) throw conflict('This project is archived.');
      const { workspaceId } = client;
      await locked(tx, Person, { id: person.id }); // a reset of the password, or a removal, that comes at this moment waits, and then ends this consent too
      const now = (await this.deps.principalOfSession(tx, person.sessionId)) ?? notFound();
      if (!now.permissionsByWorkspace.has(workspaceId)) notFound();
      const at = await database.now(tx);
      const granted = this.grantable(now, client, scopes);
      const expiresAt = later(at, (INTERACTION_SECONDS + CODE_SECONDS) * 1000); // put off by each refresh token, the first among them
      const values = { workspaceId, projectId, clientId, userId: person.id, scopes: granted, expiresAt, endedAt: null, createdAt: at };
      const consent = Object.assign(new Consent(), { id: newId('con', at.getTime()), ...values });
      await tx.insert(Consent, consent);
      const after = { clientId, projectId, scopes: granted };
      await recordEvent(tx, { actor: actorOf(person.id), ...whence, action: 'consent.given', subject: consent, after, at });
      return consent;
    });
  }

  /**
   * Lets an application act for a person in a project no longer: ends the consent that is named, and all others of the three, for each
   * authorization makes one. All of their tokens end at once and on every node. NOT_FOUND where it is not theirs. Repeated, it changes nothing.
   */
  async withdraw(origin: Origin, id: string): Promise<Consent> {
    const { database } = this.deps;
    return database.transaction(async (tx) => {
      const consent = await locked(tx, Consent, { id, userId: origin.actor.id });
      if (consent.endedAt) return consent;
      const { userId, clientId, projectId } = consent;
      const at = await database.now(tx);
      const consents = await endConsents(tx, { userId, clientId, projectId }, at);
      const after = { endedAt: at, clientId, userId, projectId, consents };
      await recordEvent(tx, { ...origin, action: 'consent.withdrawn', subject: consent, before: { endedAt: null }, after, at });
      return Object.assign(consent, { endedAt: at });
    });
  }

  /** Ends a consent in a transaction, and tells how; what has ended stays as it is. */
  async end(tx: EntityManager, consent: Consent, { action, ...origin }: Origin & { action: string }, at: Date): Promise<void> {
    const { affected } = await tx.update(Consent, { id: consent.id, endedAt: IsNull() }, { endedAt: at });
    if (affected === 0) return;
    const { clientId, userId } = consent;
    await recordEvent(tx, { ...origin, action, subject: consent, before: { endedAt: null }, after: { endedAt: at, clientId, userId }, at });
  }

  /** A consent with all that it takes; null where any of it has ended, or is not there any more. */
  async living(manager: EntityManager, id: string): Promise<LivingConsent | null> {
    const now = await this.deps.database.now(manager);
    const consent = await manager.findOneBy(Consent, { id, endedAt: IsNull(), expiresAt: MoreThan(now) });
    if (!consent) return null;
    const { clientId, projectId, userId, workspaceId } = consent;
    const client = await manager.findOneBy(OAuthClient, { id: clientId, deletedAt: IsNull() });
    const project = await manager.findOneBy(Project, { id: projectId, archivedAt: IsNull() });
    const person = await manager.findOneBy(Person, { id: userId });
    if (!client || !project || !person) return null;
    const permissionsByWorkspace = await permissionsOf(manager, person);
    if (!permissionsByWorkspace.has(workspaceId)) return null;
    const principal: UserPrincipal = { kind: 'USER', id: userId, name: person.name, sessionId: '', permissionsByWorkspace };
    return { consent, client, person, scopes: this.grantable(principal, client, consent.scopes) };
  }

  /** Who comes with an access token, as `manager` sees it; null where it has ended, or never was one. */
  principalOf(manager: EntityManager, token: string): Promise<ClientPrincipal | null> {
    return this.principalOfDigest(manager, this.deps.digest(token));
  }

  /** The same by the digest of the token. */
  async principalOfDigest(manager: EntityManager, tokenDigest: string): Promise<ClientPrincipal | null> {
    const now = await this.deps.database.now(manager);
    const token = await manager.findOneBy(OAuthToken, { digest: tokenDigest, kind: 'AccessToken', endedAt: IsNull(), expiresAt: MoreThan(now) });
    const living = token?.consentId ? await this.living(manager, token.consentId) : null;
    return token && living ? principalFrom(living, tokenDigest, token.scopes) : null;
  }

  /** Who once acted by a consent, with what they might do by it now; nothing where it has ended. */
  async principalById(manager: EntityManager, id: string): Promise<ClientPrincipal> {
    const living = await this.living(manager, id);
    if (living) return principalFrom(living, '', living.scopes);
    const { workspaceId, projectId, clientId, userId } = await manager.findOneByOrFail(Consent, { id }); // nor are consents
    const { name } = await manager.findOneByOrFail(OAuthClient, { id: clientId });
    return { kind: 'OAUTH_CLIENT', id, name, userId, tokenDigest: '', workspaceId, projectId, permissions: [] };
  }
}

/** The most projects that a person is shown to choose from. */
const MAX_PROJECTS_SHOWN = 200;

function principalFrom({ consent, client, scopes }: LivingConsent, tokenDigest: string, ofToken: readonly string[]): ClientPrincipal {
  const { id, userId, workspaceId, projectId } = consent;
  const permissions = ofToken.filter((scope) => scopes.includes(scope) && !isIdentityScope(scope));
  return { kind: 'OAUTH_CLIENT', id, name: client.name, userId, tokenDigest, workspaceId, projectId, permissions };
}

/** Whose consents: a person's in one of their workspaces, or for one application in one project; or everybody's for an application. */
type Whose = { userId: string; workspaceId: string } | { userId: string; clientId: string; projectId: string } | { clientId: string };

/** Ends all of these consents in the transaction that tells of it: nothing brings them back. How many of them went on until then. */
export async function endConsents(tx: EntityManager, whose: Whose, at: Date): Promise<number> {
  const { affected } = await tx.update(Consent, { ...whose, endedAt: IsNull(), expiresAt: MoreThan(at) }, { endedAt: at });
  await tx.update(Consent, { ...whose, endedAt: IsNull() }, { endedAt: at });
  return affected ?? 0;
}

/** Ends all that applications may do for a person, wherever that is. How many consents it was, by workspace. */
export async function endConsentsOf(tx: EntityManager, userId: string, at: Date): Promise<Map<string, number>> {
  const ended = new Map<string, number>();
  const open = await tx.find(Consent, { select: { workspaceId: true }, where: { userId, endedAt: IsNull() } });
  for (const { workspaceId } of open) if (!ended.has(workspaceId)) ended.set(workspaceId, await endConsents(tx, { userId, workspaceId }, at));
  return ended;
}
