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

/** A code besides the password: from an authenticator, or one of those kept for when it is lost. */
export class SecondFactorService {
  constructor(private readonly deps: SecondFactorServiceDeps) {}

  /**
   * A secret for an authenticator, in force only once it is confirmed: until then one that is in force already stays, and takes a code of it
   * to begin.
   */
  async begin(personId: string, { password, code }: { password: string; code?: string | null | undefined }, whence: Whence): Promise<{ secret: string; uri: string }> {
    const { database, proofs, sealed } = this.deps;
    const secret = newTotpSecret();
    const stage = async (tx: EntityManager, passwordHash: string) => {
      const person = await locked(tx, Person, { id: personId });
      if (person.totpEnabledAt && !code) throw invalid({ path: ['input', 'code'], message: 'must be given: a second factor is in force' });
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
   * Puts the secret in force, proved by a code of it, in the place of the one before. Answers new recovery codes, and ends every other
   * session. CONFLICT where none was begun.
   */
  async confirm({ id: personId, sessionId }: Pick<UserPrincipal, 'id' | 'sessionId'>, code: string, whence: Whence): Promise<{ person: Person; recoveryCodes: string[] }> {
    const { database, proofs, recoveryCodes, sealed, sessions } = this.deps;
    const put = async (tx: EntityManager) => {
      const person = await locked(tx, Person, { id: personId });
      const { totpStagedSecret: staged, totpEnabledAt: before } = person;
      if (staged === null) throw conflict('Begin with beginSecondFactor.');
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
    return proofs.again(personId, whence, () => database.transaction(put));
  }

  /** Takes it away. CONFLICT where there is none, or where a workspace of theirs wants one. */
  async remove(personId: string, { password, code }: { password: string; code: string }, whence: Whence): Promise<Person> {
    const { database, proofs, recoveryCodes } = this.deps;
    const take = async (tx: EntityManager, passwordHash: string) => {
      const person = await locked(tx, Person, { id: personId });
      if (!person.totpEnabledAt) throw conflict('There is no second factor.');
      const memberships = await tx.findBy(Membership, { userId: personId });
      if ((await requiringSecondFactor(tx, memberships.map(({ workspaceId }) => workspaceId))).length > 0) throw conflict('A workspace of yours requires a second factor.');
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
      return (await database.transaction((tx) => take(tx, passwordHash))) ?? proofs.refuse(email, 'CODE', whence);
    });
  }

  /** Uses up a code of a person whose row is locked; false where it is none, or was used before. */
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
