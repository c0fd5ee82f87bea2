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

/** An active consent, with its client and person. */
export interface LivingConsent {
  consent: Consent;
  client: OAuthClient;
  person: Person;
  /** Its scopes that the person may still grant. */
  scopes: string[];
}

export interface ConsentServiceDeps {
  database: Database;
  digest(text: string): string;
  /** Returns the person of a session, read in the transaction, or null if the session has ended. */
  principalOfSession(tx: EntityManager, sessionId: string): Promise<UserPrincipal | null>;
}

/**
 * Manages consents of people to applications. Each use of a token reads its consent, with the client, the membership and the role. So the
 * end of any of these applies at once on every node.
 */
export class ConsentService {
  constructor(private readonly deps: ConsentServiceDeps) {}

  /** Returns the projects in which a person may authorise a client, or none if they are not a member of its workspace. */
  async projectsFor(person: UserPrincipal, { workspaceId }: OAuthClient): Promise<Project[]> {
    if (!person.permissionsByWorkspace.has(workspaceId)) return [];
    const active = { workspaceId, archivedAt: IsNull() };
    return this.deps.database.lookups.find(Project, { where: active, order: { name: 'ASC', id: 'ASC' }, take: MAX_PROJECTS_SHOWN });
  }

  /** Returns the scopes that a person may grant in the workspace of a client. */
  grantable(person: UserPrincipal, { workspaceId }: OAuthClient, scopes: readonly string[]): string[] {
    return scopes.filter((scope) => isIdentityScope(scope) || mayGrant(person, scope, workspaceId));
  }

  /**
   * Records the consent of a person to a client in a project, with the scopes that the person may grant. Throws NOT_FOUND if the person is
   * not a member there or their session has ended, and CONFLICT if the project is archived.
   */
  async give(person: UserPrincipal, { clientId, projectId, scopes }: GivenConsent, whence: Whence): Promise<Consent> {
    const { database } = this.deps;
    return database.transaction(async (tx) => {
      const client = await locked(tx, OAuthClient, { id: clientId, deletedAt: IsNull() });
      const project = (await tx.findOneBy(Project, { id: projectId, workspaceId: client.workspaceId })) ?? notFound();
      if (project.archivedAt) throw conflict('This project is archived.');
      const { workspaceId } = client;
      await locked(tx, Person, { id: person.id }); // a concurrent password reset or removal waits, and then ends this consent too
      const now = (await this.deps.principalOfSession(tx, person.sessionId)) ?? notFound();
      if (!now.permissionsByWorkspace.has(workspaceId)) notFound();
      const at = await database.now(tx);
      const granted = this.grantable(now, client, scopes);
      const expiresAt = later(at, (INTERACTION_SECONDS + CODE_SECONDS) * 1000); // every refresh token extends it, including the first
      const values = { workspaceId, projectId, clientId, userId: person.id, scopes: granted, expiresAt, endedAt: null, createdAt: at };
      const consent = Object.assign(new Consent(), { id: newId('con', at.getTime()), ...values });
      await tx.insert(Consent, consent);
      const after = { clientId, projectId, scopes: granted };
      await recordEvent(tx, { actor: actorOf(person.id), ...whence, action: 'consent.given', subject: consent, after, at });
      return consent;
    });
  }

  /**
   * Ends a consent, and all other consents of the same person to the same application in the same project, because each authorization makes
   * one. All their tokens end at once and on every node. Throws NOT_FOUND if the consent belongs to another person. Idempotent.
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

  /** Ends a consent and records the event `action`. Does nothing if it has already ended. */
  async end(tx: EntityManager, consent: Consent, { action, ...origin }: Origin & { action: string }, at: Date): Promise<void> {
    const { affected } = await tx.update(Consent, { id: consent.id, endedAt: IsNull() }, { endedAt: at });
    if (affected === 0) return;
    const { clientId, userId } = consent;
    await recordEvent(tx, { ...origin, action, subject: consent, before: { endedAt: null }, after: { endedAt: at, clientId, userId }, at });
  }

  /** Returns an active consent, or null if it, its client, project, person or membership has ended. */
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

  /** Returns the principal of an access token, or null if the token is unknown or has ended. */
  principalOf(manager: EntityManager, token: string): Promise<ClientPrincipal | null> {
    return this.principalOfDigest(manager, this.deps.digest(token));
  }

  /** Does the same for the digest of a token. */
  async principalOfDigest(manager: EntityManager, tokenDigest: string): Promise<ClientPrincipal | null> {
    const now = await this.deps.database.now(manager);
    const active = { digest: tokenDigest, kind: 'AccessToken', endedAt: IsNull(), expiresAt: MoreThan(now) };
    const token = await manager.findOneBy(OAuthToken, active);
    const living = token?.consentId ? await this.living(manager, token.consentId) : null;
    return token && living ? principalFrom(living, tokenDigest, token.scopes) : null;
  }

  /** Returns the principal of a consent with its current permissions; an ended consent has no permissions. Used to show who acted. */
  async principalById(manager: EntityManager, id: string): Promise<ClientPrincipal> {
    const living = await this.living(manager, id);
    if (living) return principalFrom(living, '', living.scopes);
    // Rows of consents and clients are never deleted
    const { workspaceId, projectId, clientId, userId } = await manager.findOneByOrFail(Consent, { id });
    const { name } = await manager.findOneByOrFail(OAuthClient, { id: clientId });
    return { kind: 'OAUTH_CLIENT', id, name, userId, tokenDigest: '', workspaceId, projectId, permissions: [] };
  }
}

/** Most projects on the consent page. */
const MAX_PROJECTS_SHOWN = 200;

/** The answer of a person on the consent page. */
interface GivenConsent {
  clientId: string;
  projectId: string;
  scopes: readonly string[];
}

function principalFrom({ consent, client, scopes }: LivingConsent, tokenDigest: string, ofToken: readonly string[]): ClientPrincipal {
  const { id, userId, workspaceId, projectId } = consent;
  const permissions = ofToken.filter((scope) => scopes.includes(scope) && !isIdentityScope(scope));
  return { kind: 'OAUTH_CLIENT', id, name: client.name, userId, tokenDigest, workspaceId, projectId, permissions };
}

/** Selects consents of a person in one workspace, of a person to one application in one project, or of all people to an application. */
type ConsentFilter =
  | { userId: string; workspaceId: string }
  | { userId: string; clientId: string; projectId: string }
  | { clientId: string };

/** Ends these consents permanently. Returns how many were active. The caller records the event in the same transaction. */
export async function endConsents(tx: EntityManager, filter: ConsentFilter, at: Date): Promise<number> {
  const { affected } = await tx.update(Consent, { ...filter, endedAt: IsNull(), expiresAt: MoreThan(at) }, { endedAt: at });
  await tx.update(Consent, { ...filter, endedAt: IsNull() }, { endedAt: at });
  return affected ?? 0;
}

/** Ends all consents of a person in all workspaces. Returns the number of consents that were active, by workspace. */
export async function endConsentsOf(tx: EntityManager, userId: string, at: Date): Promise<Map<string, number>> {
  const ended = new Map<string, number>();
  const open = await tx.find(Consent, { select: { workspaceId: true }, where: { userId, endedAt: IsNull() } });
  for (const { workspaceId } of open) {
    if (!ended.has(workspaceId)) ended.set(workspaceId, await endConsents(tx, { userId, workspaceId }, at));
  }
  return ended;
}
