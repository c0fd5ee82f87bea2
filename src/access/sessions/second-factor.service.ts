import type { EntityManager } from 'typeorm';
import { locked, type Database } from '../../db/database';
import { conflict, invalid } from '../../errors';
import { Membership } from '../people/membership.entity';
import { Person } from '../people/person.entity';
import { actorOf, recordOfPerson, type Whence } from '../people/person.events';
import { requiringSecondFactor } from '../people/person.queries';
import type { UserPrincipal } from '../principal';
import type { ProofService } from './proof.service';
import type { RecoveryCodes } from './recovery-codes';
import type { Sealed } from './sealed';
import type { SessionService } from './session.service';
import { isUsedUp, newTotpSecret, stepOfCode, totpUri } from './totp';

export interface SecondFactorServiceDeps {
  database: Database;
  sealed: Sealed;
  recoveryCodes: RecoveryCodes;
  proofs: ProofService;
  sessions: SessionService;
}

/** The second factor: a code of an authenticator or a recovery code, in addition to the password. */
export class SecondFactorService {
  constructor(private readonly deps: SecondFactorServiceDeps) {}

  /**
   * Returns a new secret for an authenticator. It is used only after `confirm`; until then, an earlier second factor stays on. If one is
   * on, the caller must pass a code of it. Throws SIGN_IN_FAILED for a wrong password or code.
   */
  async begin(
    personId: string,
    { password, code }: { password: string; code?: string | null | undefined },
    whence: Whence,
  ): Promise<{ secret: string; uri: string }> {
    const { database, proofs, sealed } = this.deps;
    const secret = newTotpSecret();
    const stage = async (tx: EntityManager, passwordHash: string) => {
      const person = await locked(tx, Person, { id: personId });
      if (person.totpEnabledAt && !code)
        throw invalid({ path: ['input', 'code'], message: 'must be given, because a second factor is on' });
      if (person.passwordHash !== passwordHash) return false;
      if (person.totpEnabledAt && !(await this.use(tx, person, code ?? '', await database.now(tx)))) return false;
      await tx.update(Person, { id: personId }, { totpStagedSecret: sealed.seal(secret, personId) });
      return true;
    };
    return proofs.again(personId, whence, async (known) => {
      const { email, passwordHash } = await proofs.requirePassword(known, password, whence);
      if (!(await database.transaction((tx) => stage(tx, passwordHash)))) return proofs.refuse(email, 'CODE', whence);
      return { secret, uri: totpUri(secret, email) };
    });
  }

  /**
   * Turns the second factor on with a code of the new secret. It replaces an earlier one. Ends all other sessions and returns new recovery
   * codes. Throws CONFLICT if `begin` was not called before, INVALID_REQUEST for a wrong code.
   */
  async confirm(
    { id: personId, sessionId }: Pick<UserPrincipal, 'id' | 'sessionId'>,
    code: string,
    whence: Whence,
  ): Promise<{ person: Person; recoveryCodes: string[] }> {
    const { database, proofs, recoveryCodes, sealed, sessions } = this.deps;
    const enable = async (tx: EntityManager) => {
      const person = await locked(tx, Person, { id: personId });
      const { totpStagedSecret: staged, totpEnabledAt: before } = person;
      if (staged === null) throw conflict('No second factor is being set up. Call beginSecondFactor first.');
      const at = await database.now(tx);
      const step = stepOfCode(sealed.open(staged, personId), code, at);
      if (step === null) throw invalid({ path: ['input', 'code'], message: 'is not the code that the authenticator shows' });
      const enabled = { totpSecret: staged, totpEnabledAt: at, totpLastStep: step, totpStagedSecret: null };
      await tx.update(Person, { id: personId }, enabled);
      const codes = await recoveryCodes.replace(tx, personId);
      await sessions.endQuietly(tx, personId, at, sessionId);
      const event = before ? { action: 'second-factor.replaced' } : { action: 'second-factor.enabled' };
      await recordOfPerson(tx, personId, { actor: actorOf(personId), ...whence, ...event, subjectId: personId, at });
      return { person: Object.assign(person, enabled), recoveryCodes: codes };
    };
    return proofs.again(personId, whence, () => database.transaction(enable));
  }

  /**
   * Turns the second factor off. Throws CONFLICT if none is on or a workspace of the person requires one, SIGN_IN_FAILED for a wrong
   * password or code.
   */
  async remove(personId: string, { password, code }: { password: string; code: string }, whence: Whence): Promise<Person> {
    const { database, proofs, recoveryCodes } = this.deps;
    const disable = async (tx: EntityManager, passwordHash: string) => {
      const person = await locked(tx, Person, { id: personId });
      if (!person.totpEnabledAt) throw conflict('You have no second factor. There is nothing to remove.');
      const memberships = await tx.findBy(Membership, { userId: personId });
      if (
        (
          await requiringSecondFactor(
            tx,
            memberships.map(({ workspaceId }) => workspaceId),
          )
        ).length > 0
      )
        throw conflict('A workspace of yours requires a second factor. Replace it with beginSecondFactor, or leave the workspace first.');
      const at = await database.now(tx);
      if (person.passwordHash !== passwordHash || !(await this.use(tx, person, code, at))) return null;
      const cleared = { totpSecret: null, totpEnabledAt: null, totpLastStep: null, totpStagedSecret: null };
      await tx.update(Person, { id: personId }, cleared);
      await recoveryCodes.forget(tx, personId);
      await recordOfPerson(tx, personId, { actor: actorOf(personId), ...whence, action: 'second-factor.removed', subjectId: personId, at });
      return Object.assign(person, cleared);
    };
    return proofs.again(personId, whence, async (known) => {
      const { email, passwordHash } = await proofs.requirePassword(known, password, whence);
      return (await database.transaction((tx) => disable(tx, passwordHash))) ?? proofs.refuse(email, 'CODE', whence);
    });
  }

  /** Marks a code as used. Returns false if it is wrong or was used before. The caller must hold the person's lock. */
  async use(tx: EntityManager, person: Person, code: string, at: Date): Promise<boolean> {
    return (await this.useStep(tx, person, code, at)) || this.deps.recoveryCodes.use(tx, person.id, code, at);
  }

  private async useStep(tx: EntityManager, { id, totpSecret, totpLastStep }: Person, code: string, at: Date): Promise<boolean> {
    const step = totpSecret === null ? null : stepOfCode(this.deps.sealed.open(totpSecret, id), code, at);
    if (step === null || isUsedUp(step, totpLastStep)) return false;
    await tx.update(Person, { id }, { totpLastStep: step });
    return true;
  }
}
