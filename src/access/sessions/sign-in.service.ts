import { forUpdate, type Database } from '../../db/database';
import { Person } from '../people/person.entity';
import type { Whence } from '../people/person.events';
import type { ProofService } from './proof.service';
import type { SecondFactorService } from './second-factor.service';
import type { OpenedSession, SessionService } from './session.service';

export interface SignInServiceDeps {
  database: Database;
  proofs: ProofService;
  secondFactors: SecondFactorService;
  sessions: SessionService;
}

/** From a password, and a code where one is wanted, to a session. */
export class SignInService {
  constructor(private readonly deps: SignInServiceDeps) {}

  /** A new session; null where the password is right, a code is wanted and none came. One SIGN_IN_FAILED for all that is wrong. `earlier` is the token that the browser has. */
  async signIn({ email, password, code }: { email: string; password: string; code?: string | null | undefined }, whence: Whence, earlier?: string): Promise<OpenedSession | null> {
    const { database, proofs, secondFactors, sessions } = this.deps;
    const proved = await proofs.prove(email, password, whence);
    if (proved.totpEnabledAt && !code) {
      await proofs.succeeded(email, whence);
      return null;
    }
    const session = await database.transaction(async (tx) => {
      const person = await tx.findOne(Person, { where: { id: proved.id }, ...forUpdate(tx) });
      if (person?.passwordHash !== proved.passwordHash) return null; // it was changed in this moment
      const at = await database.now(tx);
      if (person.totpEnabledAt && !(await secondFactors.use(tx, person, code ?? '', at))) return null;
      return sessions.open(tx, person.id, whence, at, earlier);
    });
    if (!session) return proofs.refuse(email, 'CODE', whence);
    await proofs.succeeded(email, whence);
    return session;
  }
}
