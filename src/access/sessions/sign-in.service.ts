import { forUpdate, type Database } from '../../db/database';
import { Person } from '../people/person.entity';
import type { Whence } from '../people/person.events';
import type { Held } from './cookie';
import type { ProofService } from './proof.service';
import type { SecondFactorService } from './second-factor.service';
import type { SessionService, SignedIn } from './session.service';

export interface SignInServiceDeps {
  database: Database;
  proofs: ProofService;
  secondFactors: SecondFactorService;
  sessions: SessionService;
}

/** Signs a person in with a password, and a code if they have a second factor. */
export class SignInService {
  constructor(private readonly deps: SignInServiceDeps) {}

  /**
   * Begins a session. Returns null if the password is right and a code is missing. Throws the same SIGN_IN_FAILED for a wrong address,
   * password or code, RATE_LIMITED after too many tries.
   */
  async signIn(
    { email, password, code }: { email: string; password: string; code?: string | null | undefined },
    whence: Whence,
    held: Held,
  ): Promise<SignedIn | null> {
    const { database, proofs, secondFactors, sessions } = this.deps;
    const proved = await proofs.prove({ email, password }, whence, held.device);
    if (proved.person.totpEnabledAt && !code) {
      await proofs.succeeded(proved);
      return null;
    }
    const session = await database.transaction(async (tx) => {
      const person = await tx.findOne(Person, { where: { id: proved.person.id }, ...forUpdate(tx) });
      if (person?.passwordHash !== proved.person.passwordHash) return null; // it changed meanwhile
      const at = await database.now(tx);
      if (person.totpEnabledAt && !(await secondFactors.use(tx, person, code ?? '', at))) return null;
      return sessions.open(tx, person.id, whence, at, held.session);
    });
    if (!session) return proofs.refuse(email, 'CODE', whence);
    await proofs.succeeded(proved);
    return { ...session, device: proofs.remember(email, held.device) };
  }
}
