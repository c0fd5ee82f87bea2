import { IsNull, MoreThan, Not, type EntityManager } from 'typeorm';
import type { Origin } from '../../audit/record-event';
import type { Database } from '../../db/database';
import { notFound } from '../../errors';
import { newId, randomBase62 } from '../../lib/id';
import { later } from '../../lib/time';
import { Person } from '../people/person.entity';
import { actorOf, recordOfPerson, type Whence } from '../people/person.events';
import { permissionsOf } from '../people/person.queries';
import type { UserPrincipal } from '../principal';
import { Session } from './session.entity';

/** A session ends when it was not used for this time. */
const SESSION_IDLE_MS = 43_200_000; // 12 hours
/** A session ends after this time, even if it is used. */
const SESSION_MAX_MS = 2_592_000_000; // 30 days
/** The most live sessions of a person. One more ends the oldest. */
export const MAX_SESSIONS = 100;
/** How often `lastSeenAt` is written at most, so that not every request writes. */
const SEEN_EVERY_MS = 300_000;

/** A new session, and the token for its cookie. */
export interface OpenedSession {
  id: string;
  token: string;
}

/** A session that began with a password or an invitation, and the new device cookie. */
export interface SignedIn extends OpenedSession {
  device: string;
}

export interface SessionServiceDeps {
  database: Database;
  digest(text: string): string;
}

/** Sessions of people. Every request reads its session from the database, so that an end applies at once on every node. */
export class SessionService {
  constructor(private readonly deps: SessionServiceDeps) {}

  /**
   * Begins a session, in the transaction that has authenticated the person. Ends the session that the browser had before; `earlier` is its
   * token. The new token is not stored, only its digest.
   */
  async open(tx: EntityManager, personId: string, whence: Whence, at: Date, earlier?: string): Promise<OpenedSession> {
    if (earlier !== undefined) await this.endEarlier(tx, earlier, whence, at);
    await this.endOldest(tx, { actor: actorOf(personId), ...whence }, at);
    const id = newId('ses', at.getTime());
    const token = `session_${randomBase62(43)}`;
    const expiresAt = later(at, SESSION_MAX_MS);
    await tx.insert(Session, {
      id,
      digest: this.deps.digest(token),
      userId: personId,
      createdAt: at,
      lastSeenAt: at,
      expiresAt,
      endedAt: null,
      ...whence,
    });
    await recordOfPerson(tx, personId, {
      actor: actorOf(personId),
      ...whence,
      action: 'session.started',
      subjectId: id,
      after: { expiresAt },
      at,
    });
    return { id, token };
  }

  /** The person of a session token, with their current permissions. Null if the session has ended or does not exist. */
  async principalOf(token: string): Promise<UserPrincipal | null> {
    const { database } = this.deps;
    const session = await database.lookups.findOneBy(Session, { digest: this.deps.digest(token) });
    const now = await database.now();
    const principal = await principalOf(database.lookups, session, now);
    const awayMs = session ? Math.abs(now.getTime() - session.lastSeenAt.getTime()) : 0; // lastSeenAt is in the future if a clock was ahead
    if (session && principal && awayMs >= SEEN_EVERY_MS) {
      await database.transaction((tx) => tx.update(Session, { id: session.id, endedAt: IsNull() }, { lastSeenAt: now }));
    }
    return principal;
  }

  /** The person of a session id, with their current permissions, read with `manager`. Null if the session has ended. */
  async principalById(manager: EntityManager, id: string): Promise<UserPrincipal | null> {
    return principalOf(manager, await manager.findOneBy(Session, { id }), await this.deps.database.now(manager));
  }

  /** The live sessions of a person, newest first, at most MAX_SESSIONS. */
  async list(personId: string): Promise<Session[]> {
    const { database } = this.deps;
    const now = await database.now();
    return database.reader.find(Session, {
      where: { userId: personId, ...aliveAt(now) },
      order: { createdAt: 'DESC', id: 'DESC' },
      take: MAX_SESSIONS,
    });
  }

  /** Ends one session of the actor, at once and on every node. Throws NOT_FOUND if it is not theirs or has ended. */
  async end(origin: Origin, id: string): Promise<Session> {
    const [ended] = await this.endThose(origin, { id, userId: origin.actor.id });
    return ended ?? notFound();
  }

  /** Ends every session of the actor. */
  endAll(origin: Origin): Promise<Session[]> {
    return this.endThose(origin, { userId: origin.actor.id });
  }

  /** Ends all sessions of a person except `exceptId`. Records no event: the caller records its own. */
  async endQuietly(tx: EntityManager, personId: string, at: Date, exceptId?: string): Promise<void> {
    await tx.update(Session, { userId: personId, endedAt: IsNull(), ...(exceptId && { id: Not(exceptId) }) }, { endedAt: at });
  }

  private async endEarlier(tx: EntityManager, token: string, whence: Whence, at: Date): Promise<void> {
    const session = await tx.findOneBy(Session, { digest: this.deps.digest(token) });
    if (session && isAlive(session, at)) await this.endOne(tx, { actor: actorOf(session.userId), ...whence }, session, at);
  }

  /** Leaves room for one more session of the actor. */
  private async endOldest(tx: EntityManager, origin: Origin, at: Date): Promise<void> {
    const where = { userId: origin.actor.id, ...aliveAt(at) };
    const beyond = { where, order: { createdAt: 'DESC', id: 'DESC' }, skip: MAX_SESSIONS - 1, take: MAX_SESSIONS } as const;
    for (const session of await tx.find(Session, beyond)) await this.endOne(tx, origin, session, at);
  }

  /** Ends a session and records the event. Returns false if it had ended before. */
  private async endOne(tx: EntityManager, origin: Origin, session: Session, at: Date): Promise<boolean> {
    const { affected } = await tx.update(Session, { id: session.id, endedAt: IsNull() }, { endedAt: at });
    if (affected === 0) return false;
    await recordOfPerson(tx, session.userId, { ...origin, action: 'session.ended', subjectId: session.id, after: { endedAt: at }, at });
    return true;
  }

  private endThose(origin: Origin, which: { id?: string; userId: string }): Promise<Session[]> {
    return this.deps.database.transaction(async (tx) => {
      const at = await this.deps.database.now(tx);
      const ended: Session[] = [];
      for (const session of await tx.findBy(Session, { ...which, ...aliveAt(at) })) {
        if (await this.endOne(tx, origin, session, at)) ended.push(Object.assign(session, { endedAt: at }));
      }
      return ended;
    });
  }
}

async function principalOf(manager: EntityManager, session: Session | null, now: Date): Promise<UserPrincipal | null> {
  if (!session || !isAlive(session, now)) return null;
  const person = await manager.findOneBy(Person, { id: session.userId });
  if (!person) return null;
  return {
    kind: 'USER',
    id: person.id,
    name: person.name,
    sessionId: session.id,
    permissionsByWorkspace: await permissionsOf(manager, person),
  };
}

/** The condition of `isAlive` in a query. */
const aliveAt = (now: Date) => ({
  endedAt: IsNull(),
  expiresAt: MoreThan(now),
  lastSeenAt: MoreThan(later(now, -SESSION_IDLE_MS)),
});

function isAlive({ endedAt, expiresAt, lastSeenAt }: Session, now: Date): boolean {
  return endedAt === null && expiresAt > now && later(lastSeenAt, SESSION_IDLE_MS) > now;
}
