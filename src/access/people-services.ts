import type { EntityManager } from 'typeorm';
import type { Database } from '../db/database';
import { Background } from '../lib/background';
import type { Log } from '../lib/log';
import type { Actor } from './principal';
import { InvitationService } from './people/invitation.service';
import { Mailer } from './people/mailer';
import { PasswordService, type PasswordServiceDeps } from './sessions/password.service';
import { Passwords } from './sessions/passwords';
import { ProofService } from './sessions/proof.service';
import { RecoveryCodes } from './sessions/recovery-codes';
import { Sealed } from './sessions/sealed';
import { SecondFactorService } from './sessions/second-factor.service';
import { SessionService } from './sessions/session.service';
import { SignInService } from './sessions/sign-in.service';
import { Throttles } from './sessions/throttle';

export interface PeopleDeps extends Pick<PasswordServiceDeps, 'endConsents'> {
  database: Database;
  pepper: string;
  digest(text: string): string;
  /** Undefined where this server sends no mail. */
  mail: { smtpUrl: string; from: string } | undefined;
  /** How the world reaches this server, without a slash at the end. */
  baseUrl(): string;
  /** Who once acted by an id, with what they may do now. */
  actorById(tx: EntityManager, id: string): Promise<Actor>;
  log: Log;
}

export interface PeopleServices {
  invitations: InvitationService;
  passwords: PasswordService;
  secondFactors: SecondFactorService;
  sessions: SessionService;
  signIns: SignInService;
  /** What is still being done after its answer; to be waited for before the database is closed. */
  background: Background;
}

/** Everything about people, made by plain constructor calls. */
export function createPeopleServices({ mail, ...deps }: PeopleDeps): PeopleServices {
  const { database, pepper, digest, log } = deps;
  const background = new Background();
  const mailer = mail && new Mailer({ ...mail, background, log });
  const passwords = new Passwords(pepper);
  const throttles = new Throttles(database);
  const sessions = new SessionService({ database, digest });
  const proofs = new ProofService({ database, digest, passwords, throttles, background, log });
  const secondFactors = new SecondFactorService({ database, sealed: new Sealed(pepper, 'second factor'), recoveryCodes: new RecoveryCodes(digest), proofs, sessions });
  return {
    invitations: new InvitationService({ ...deps, passwords, proofs, sessions, throttles, mailer }),
    passwords: new PasswordService({ ...deps, passwords, proofs, sessions, throttles, mailer, background }),
    secondFactors,
    sessions,
    signIns: new SignInService({ database, proofs, secondFactors, sessions }),
    background,
  };
}
