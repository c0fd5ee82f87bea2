import { IsNull, type EntityManager } from 'typeorm';
import type { Origin } from '../../audit/record-event';
import { forUpdate, locked, type Database } from '../../db/database';
import { TollgateError, conflict, notFound } from '../../errors';
import type { Background } from '../../lib/background';
import { customerAt } from '../../lib/cidr';
import type { Log } from '../../lib/log';
import { randomBase62 } from '../../lib/id';
import { later } from '../../lib/time';
import { normaliseEmail } from '../people/email';
import type { Mailer } from '../people/mailer';
import { deadLink, passwordResetMail } from '../people/mails';
import { Person } from '../people/person.entity';
import { NOBODY_YET, actorOf, recordOfPerson, type Whence } from '../people/person.events';
import { PasswordReset } from './password-reset.entity';
import { requireGoodPassword, type PasswordHasher } from './password-hasher';
import type { ProofService } from './proof.service';
import type { SessionService } from './session.service';
import { mailsTo, triesFrom, type Throttles } from './throttle';

const PASSWORD_RESET_MS = 3_600_000; // an hour

export interface PasswordServiceDeps {
  database: Database;
  digest(text: string): string;
  passwords: PasswordHasher;
  proofs: ProofService;
  sessions: SessionService;
  throttles: Throttles;
  mailer: Mailer | undefined;
  background: Background;
  /** The public URL of this server, without a slash at the end. */
  baseUrl(): string;
  /** Ends all consents of a person. Returns the number of ended consents for each workspace id. */
  endConsents(tx: EntityManager, userId: string, at: Date): Promise<ReadonlyMap<string, number>>;
  log: Log;
}

/** Changes a password with the current one, or with a link that its owner received. */
export class PasswordService {
  constructor(private readonly deps: PasswordServiceDeps) {}

  /** Sets a new password and ends all other sessions. Throws SIGN_IN_FAILED if the current password is wrong. */
  async change(
    personId: string,
    sessionId: string,
    { currentPassword, newPassword }: { currentPassword: string; newPassword: string },
    whence: Whence,
  ): Promise<Person> {
    const { database, passwords, proofs } = this.deps;
    const { email } = (await database.reader.findOneBy(Person, { id: personId })) ?? notFound();
    requireGoodPassword(newPassword, email, 'newPassword');
    const proved = await proofs.again(personId, whence, (person) => proofs.requirePassword(person, currentPassword, whence));
    const passwordHash = await passwords.hash(newPassword, personId);
    return database.transaction(async (tx) => {
      const person = await locked(tx, Person, { id: personId });
      if (person.passwordHash !== proved.passwordHash) throw new TollgateError('SIGN_IN_FAILED'); // the password changed meanwhile
      const at = await this.set(tx, personId, passwordHash, sessionId);
      await recordOfPerson(tx, personId, { actor: actorOf(personId), ...whence, action: 'password.changed', subjectId: personId, at });
      return person;
    });
  }

  /**
   * Sends a link by mail if the address has an account. Otherwise it answers the same, in the same time, so that a caller cannot find out
   * which addresses have accounts. Throws CONFLICT if this server sends no mail.
   */
  async requestReset(email: string, whence: Whence): Promise<void> {
    const { background, log, mailer, throttles } = this.deps;
    if (!mailer) throw conflict('This server sends no mail. Ask the operator for a link.');
    const mails = mailsTo(normaliseEmail(email), 'reset', customerAt(whence.ip), (text) => this.deps.digest(text));
    await throttles.take(...mails, triesFrom(whence.ip));
    const send = async () => {
      const link = await this.resetLink({ actor: NOBODY_YET, ...whence }, email);
      if (link !== null) mailer.send(passwordResetMail(normaliseEmail(email), link));
    };
    background.run(send, (error) => log.warn({ err: error }, 'sign-in: a password reset was not created'));
  }

  /** Creates a link to set a new password, for a mail or for the operator. Returns null if the address has no account. */
  async resetLink({ actor, ip, userAgent }: Origin, email: string): Promise<string | null> {
    const { database, baseUrl } = this.deps;
    const person = await database.reader.findOneBy(Person, { email: normaliseEmail(email) });
    if (!person) return null;
    const token = `reset_${randomBase62(43)}`;
    await database.transaction(async (tx) => {
      const at = await database.now(tx);
      const expiresAt = later(at, PASSWORD_RESET_MS);
      await tx.insert(PasswordReset, { digest: this.deps.digest(token), userId: person.id, expiresAt, usedAt: null, createdAt: at });
      await recordOfPerson(tx, person.id, {
        actor,
        ip,
        userAgent,
        action: 'password.reset-requested',
        subjectId: person.id,
        after: { expiresAt },
        at,
      });
    });
    return `${baseUrl()}/reset-password?token=${token}`;
  }

  /**
   * Sets a new password with the token of a link, which works once. Ends every session and every consent, because an attacker with the old
   * password may have given a consent. Removes the limit on tries for the owner. Returns the new device cookie. Throws NOT_FOUND if the
   * link is invalid or has expired.
   */
  async reset({ token, newPassword }: { token: string; newPassword: string }, whence: Whence, device: string | undefined): Promise<string> {
    const { database, passwords, proofs } = this.deps;
    const digest = this.deps.digest(token);
    const known = await this.findReset(database.reader, digest);
    const { email } = (await database.reader.findOneBy(Person, { id: known.userId })) ?? notFound();
    requireGoodPassword(newPassword, email, 'newPassword');
    const passwordHash = await passwords.hash(newPassword, known.userId);
    await database.transaction(async (tx) => {
      const { userId } = await this.findReset(tx, digest, true);
      await locked(tx, Person, { id: userId });
      const at = await this.set(tx, userId, passwordHash);
      await proofs.forgive(tx, email, whence);
      const ended = await this.deps.endConsents(tx, userId, at);
      const after = (workspaceId: string | null) => ({ consents: ended.get(workspaceId ?? '') ?? 0 });
      await recordOfPerson(tx, userId, { actor: actorOf(userId), ...whence, action: 'password.reset', subjectId: userId, after, at });
    });
    return proofs.remember(email, device);
  }

  /** Throws NOT_FOUND if the link is invalid or has expired. */
  async requireReset(token: string): Promise<void> {
    await this.findReset(this.deps.database.reader, this.deps.digest(token));
  }

  private async findReset(manager: EntityManager, digest: string, lock = false): Promise<PasswordReset> {
    const reset = await manager.findOne(PasswordReset, { where: { digest, usedAt: IsNull() }, ...(lock && forUpdate(manager)) });
    if (reset && reset.expiresAt > (await this.deps.database.now(manager))) return reset;
    throw deadLink();
  }

  /** Stores the new password. Ends all reset links and all sessions except the kept one. The caller must hold the person's lock. */
  private async set(tx: EntityManager, userId: string, passwordHash: string, keptSessionId?: string): Promise<Date> {
    const at = await this.deps.database.now(tx);
    await tx.update(Person, { id: userId }, { passwordHash, passwordChangedAt: at });
    await tx.update(PasswordReset, { userId, usedAt: IsNull() }, { usedAt: at });
    await this.deps.sessions.endQuietly(tx, userId, at, keptSessionId);
    return at;
  }
}
