import { IsNull, type EntityManager } from 'typeorm';
import { z } from 'zod';
import { recordEvent, type Origin } from '../../audit/record-event';
import { forUpdate, locked, type Database } from '../../db/database';
import { isDuplicate } from '../../db/failures';
import { TollgateError, conflict, notFound, validate } from '../../errors';
import { newId, randomBase62 } from '../../lib/id';
import { idRule, nameRule } from '../../lib/rules';
import { DAY_MS, later } from '../../lib/time';
import { Workspace } from '../../tenancy/workspace.entity';
import { currentActor, type Authority } from '../authority';
import { requireGrantsOfRole, roleToGrant } from '../granting';
import { may, mayGrant, mayOperate } from '../policies';
import type { Actor } from '../principal';
import type { Held } from '../sessions/cookie';
import { requireGoodPassword, type PasswordHasher } from '../sessions/password-hasher';
import type { ProofService } from '../sessions/proof.service';
import type { SessionService, SignedIn } from '../sessions/session.service';
import { mailsTo, triesFrom, triesOf, type Throttles } from '../sessions/throttle';
import { emailRule } from './email';
import { Invitation } from './invitation.entity';
import type { Mailer } from './mailer';
import { deadLink, invitationMail } from './mails';
import { Membership } from './membership.entity';
import { Person } from './person.entity';
import { actorOf, type Whence } from './person.events';

const INVITATION_DAYS = 7;

const NOTHING_HELD: Held = { session: undefined, device: undefined };

/** Limit for invitations to one workspace: INVITATIONS at once, then one more in each interval. */
const INVITATIONS = 100;
const INVITATION_EVERY_MS = 60_000;

const inviteRule = z.object({ workspaceId: idRule, email: emailRule, roleId: idRule });

export interface InvitationServiceDeps {
  database: Database;
  digest(text: string): string;
  passwords: PasswordHasher;
  proofs: ProofService;
  sessions: SessionService;
  throttles: Throttles;
  mailer: Mailer | undefined;
  /** The public URL of this server, without a slash at the end. */
  baseUrl(): string;
  /** Returns the actor with this id, and its current permissions. */
  actorById(tx: EntityManager, id: string): Promise<Actor>;
}

/** What a person sends to accept an invitation. A new account needs a name and a new password, an existing one its password. */
export interface Acceptance {
  token: string;
  name?: string | null | undefined;
  password?: string | null | undefined;
}

/** The facts that the page of an invitation shows. */
export interface Invited {
  workspaceName: string;
  email: string;
  /** Null if this address has no account. */
  accountId: string | null;
}

export interface Accepted {
  personId: string;
  /** The new session. Null if the person is signed in already, or must sign in with their second factor. */
  session: SignedIn | null;
}

/** Invites people to a workspace, and lets them accept. */
export class InvitationService {
  constructor(private readonly deps: InvitationServiceDeps) {}

  /**
   * Creates an invitation and withdraws earlier ones of the same address. Returns its link, or null if the link was sent by mail. If the
   * address has no account, the link lets any reader create that account. So without mail only the operator gets such a link. Throws
   * FORBIDDEN if the inviter may not grant the role, CONFLICT for a member or for an address without an account that cannot get mail,
   * RATE_LIMITED for too many invitations to one workspace or too many mails to one address.
   */
  async invite(authority: Authority, raw: z.input<typeof inviteRule>): Promise<{ invitation: Invitation; link: string | null }> {
    const { workspaceId, email, roleId } = validate(inviteRule, raw, 'input');
    const { actor, ...whence } = authority;
    const { database, mailer, baseUrl, throttles } = this.deps;
    const invitations = { name: `invitations:${workspaceId}`, burst: INVITATIONS, intervalMs: INVITATION_EVERY_MS };
    const mails = mailer ? mailsTo(email, 'invitation', workspaceId, (text) => this.deps.digest(text)) : [];
    await throttles.take(invitations, ...mails);
    const token = `invite_${randomBase62(43)}`;
    const invite = database.transaction(async (tx) => {
      const workspace = await locked(tx, Workspace, { id: workspaceId });
      const inviter = await currentActor(tx, authority, 'admin.members', { workspaceId });
      await requireGrantsOfRole(tx, inviter, roleId, workspaceId);
      const person = await tx.findOneBy(Person, { email });
      if (person && (await tx.existsBy(Membership, { userId: person.id, workspaceId })))
        throw conflict('This person is a member already. Use setMemberRole to change the role.');
      if (!person && !mailer && !mayOperate(actor))
        throw conflict('This address has no account, and this server sends no mail. Ask the operator to invite it, or to set SMTP_URL.');
      const at = await database.now(tx);
      for (const earlier of await tx.findBy(Invitation, { workspaceId, email, acceptedAt: IsNull(), withdrawnAt: IsNull() }))
        await this.end(tx, authority, earlier, at);
      const expiresAt = later(at, INVITATION_DAYS * DAY_MS);
      const values = {
        id: newId('inv', at.getTime()),
        workspaceId,
        email,
        roleId,
        digest: this.deps.digest(token),
        invitedBy: actor.id,
        expiresAt,
      };
      const invitation = Object.assign(new Invitation(), values, { acceptedAt: null, withdrawnAt: null, createdAt: at });
      await tx.insert(Invitation, invitation);
      await recordEvent(tx, { actor, ...whence, action: 'member.invited', subject: invitation, after: { email, roleId, expiresAt }, at });
      return { invitation, workspace };
    });
    const { invitation, workspace } = await invite.catch(async (error: unknown) => {
      if (mails.length > 0) await throttles.giveBack(...mails); // because no mail is sent
      throw error;
    });
    const link = `${baseUrl()}/invitation?token=${token}`;
    mailer?.send(invitationMail(email, workspace.name, link, INVITATION_DAYS));
    return { invitation, link: mailer ? null : link };
  }

  /** Withdraws an invitation. Idempotent. Throws CONFLICT if it was accepted. */
  withdraw(origin: Origin, id: string): Promise<Invitation> {
    return this.deps.database.transaction(async (tx) => {
      const invitation = await locked(tx, Invitation, { id });
      if (invitation.acceptedAt) throw conflict('This invitation was accepted. Remove the member instead.');
      if (invitation.withdrawnAt) return invitation;
      return this.end(tx, origin, invitation, await this.deps.database.now(tx));
    });
  }

  /** Reads the invitation of a link without using it. Throws NOT_FOUND if the link is invalid or has expired. */
  async describe(token: string): Promise<Invited> {
    const { reader } = this.deps.database;
    const { workspaceId, email } = await this.find(reader, token);
    const { name } = (await reader.findOneBy(Workspace, { id: workspaceId })) ?? notFound();
    return { workspaceName: name, email, accountId: (await reader.findOneBy(Person, { email }))?.id ?? null };
  }

  /**
   * Accepts an invitation: the person becomes a member and signs in. `signedInId` is the person who is signed in already, `held` the
   * cookies of their browser. Throws NOT_FOUND if the link is invalid or has expired, before any password is checked. Throws
   * SIGN_IN_FAILED for a wrong password of an existing account, RATE_LIMITED after too many tries.
   */
  async accept(signedInId: string | undefined, acceptance: Acceptance, whence: Whence, held: Held = NOTHING_HELD): Promise<Accepted> {
    const { database, proofs } = this.deps;
    const found = await this.find(database.reader, acceptance.token);
    await database.transaction((tx) => this.requireLivingRight(tx, found));
    const { email } = found;
    const known = await database.reader.findOneBy(Person, { email });
    if (!known) return this.acceptAsNew(found, acceptance, whence, held);
    const proved =
      known.id === signedInId ? undefined : await proofs.prove({ email, password: acceptance.password ?? '' }, whence, held.device);
    if (proved) await proofs.succeeded(proved);
    return database.transaction(async (tx) => {
      const invitation = await this.find(tx, acceptance.token, true);
      const person = await locked(tx, Person, { id: known.id });
      if (proved && proved.person.passwordHash !== person.passwordHash) throw new TollgateError('SIGN_IN_FAILED'); // it changed meanwhile
      const at = await this.join(tx, invitation, person.id, whence);
      const session = proved && !person.totpEnabledAt ? await this.open(tx, person, whence, at, held) : null;
      return { personId: person.id, session };
    });
  }

  private async acceptAsNew(
    { id: invitationId, email }: Invitation,
    { token, ...given }: Acceptance,
    whence: Whence,
    held: Held = NOTHING_HELD,
  ): Promise<Accepted> {
    const { database, passwords, throttles } = this.deps;
    const { name } = validate(z.object({ name: nameRule }), { name: given.name ?? '' }, 'input');
    const password = given.password ?? '';
    requireGoodPassword(password, email, 'password');
    await throttles.take(triesOf(`invitation:${invitationId}`), triesFrom(whence.ip));
    const passwordHash = await passwords.hash(password, email);
    try {
      const accepted = await database.transaction(async (tx) => {
        const invitation = await this.find(tx, token, true);
        const at = await database.now(tx);
        const id = newId('usr', at.getTime());
        const person = {
          id,
          email,
          name,
          passwordHash,
          passwordChangedAt: at,
          totpSecret: null,
          totpEnabledAt: null,
          totpLastStep: null,
          totpStagedSecret: null,
          createdAt: at,
        };
        await tx.insert(Person, person);
        await this.join(tx, invitation, id, whence);
        return { personId: id, session: await this.open(tx, person, whence, at, held) };
      });
      await throttles.giveBack(triesFrom(whence.ip)); // many people may share one address
      return accepted;
    } catch (error) {
      throw isDuplicate(error) ? conflict('This address just got an account. Accept again with its password.') : error;
    }
  }

  private async open(
    tx: EntityManager,
    { id, email }: Pick<Person, 'id' | 'email'>,
    whence: Whence,
    at: Date,
    held: Held,
  ): Promise<SignedIn> {
    const session = await this.deps.sessions.open(tx, id, whence, at, held.session);
    return { ...session, device: this.deps.proofs.remember(email, held.device) };
  }

  private async join(tx: EntityManager, invitation: Invitation, userId: string, whence: Whence): Promise<Date> {
    const { id, workspaceId, roleId } = invitation;
    await this.requireLivingRight(tx, invitation);
    const at = await this.deps.database.now(tx);
    if (await tx.existsBy(Membership, { userId, workspaceId }))
      throw conflict('You are a member already. You do not need this invitation.');
    await tx.update(Invitation, { id, acceptedAt: IsNull(), withdrawnAt: IsNull() }, { acceptedAt: at });
    await tx.insert(Membership, { userId, workspaceId, roleId, createdAt: at });
    const after = { email: invitation.email, roleId, invitationId: id };
    await recordEvent(tx, { actor: actorOf(userId), ...whence, action: 'member.joined', subject: { id: userId, workspaceId }, after, at });
    return at;
  }

  /** Throws the error of an invalid link if the inviter may no longer invite with this role. */
  private async requireLivingRight(tx: EntityManager, { invitedBy, workspaceId, roleId }: Invitation): Promise<void> {
    const inviter = await this.deps.actorById(tx, invitedBy);
    const { permissions } = await roleToGrant(tx, roleId, workspaceId);
    if (!may(inviter, 'admin.members', workspaceId) || !permissions.every((permission) => mayGrant(inviter, permission, workspaceId)))
      throw deadLink();
  }

  private async end(tx: EntityManager, origin: Origin, invitation: Invitation, at: Date): Promise<Invitation> {
    await tx.update(Invitation, { id: invitation.id, acceptedAt: IsNull(), withdrawnAt: IsNull() }, { withdrawnAt: at });
    await recordEvent(tx, {
      ...origin,
      action: 'invitation.withdrawn',
      subject: invitation,
      before: { withdrawnAt: null },
      after: { withdrawnAt: at },
      at,
    });
    return Object.assign(invitation, { withdrawnAt: at });
  }

  private async find(manager: EntityManager, token: string, lock = false): Promise<Invitation> {
    const where = { digest: this.deps.digest(token), acceptedAt: IsNull(), withdrawnAt: IsNull() };
    const invitation = await manager.findOne(Invitation, { where, ...(lock && forUpdate(manager)) });
    if (invitation && invitation.expiresAt > (await this.deps.database.now(manager))) return invitation;
    throw deadLink();
  }
}
