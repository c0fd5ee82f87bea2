import type { EntityManager } from 'typeorm';
import type { Database } from '../db/database';
import { Background } from '../lib/background';
import type { Log } from '../lib/log';
import type { Actor } from './principal';
import { InvitationService } from './people/invitation.service';
import { Mailer } from './people/mailer';
import { PasswordService, type PasswordServiceDeps } from './sessions/password.service';
import { PasswordHasher } from './sessions/password-hasher';
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
  /** Undefined if this server sends no mail. */
  mail: { smtpUrl: string; from: string } | undefined;
  /** The public URL of this server, without a slash at the end. */
  baseUrl(): string;
  /** Returns the actor with this id, and its current permissions. */
  actorById(tx: EntityManager, id: string): Promise<Actor>;
  log: Log;
}

export interface PeopleServices {
  invitations: InvitationService;
  passwords: PasswordService;
  secondFactors: SecondFactorService;
  sessions: SessionService;
  signIns: SignInService;
  /** Work that goes on after its answer was sent. Wait for it before the database is closed. */
  background: Background;
}

/** Creates all services for people, sessions and invitations. */
export function createPeopleServices({ mail, ...deps }: PeopleDeps): PeopleServices {
  const { database, pepper, digest, log } = deps;
  const background = new Background();
  const mailer = mail && new Mailer({ ...mail, background, log });
  const passwords = new PasswordHasher(pepper);
  const throttles = new Throttles(database);
  const sessions = new SessionService({ database, digest });
  const proofs = new ProofService({ database, digest, passwords, throttles, background, log });
  const secondFactors = new SecondFactorService({
    database,
    sealed: new Sealed(pepper, 'second factor'),
    recoveryCodes: new RecoveryCodes(digest),
    proofs,
    sessions,
  });
  return {
    invitations: new InvitationService({ ...deps, passwords, proofs, sessions, throttles, mailer }),
    passwords: new PasswordService({ ...deps, passwords, proofs, sessions, throttles, mailer, background }),
    secondFactors,
    sessions,
    signIns: new SignInService({ database, proofs, secondFactors, sessions }),
    background,
  };
}
