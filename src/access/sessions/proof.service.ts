import type { EntityManager } from 'typeorm';
import type { Database } from '../../db/database';
import { TollgateError, notFound } from '../../errors';
import type { Background } from '../../lib/background';
import type { Log } from '../../lib/log';
import { normaliseEmail } from '../people/email';
import { Person } from '../people/person.entity';
import { NOBODY_YET, recordOfPerson, type Whence } from '../people/person.events';
import { Devices } from './devices';
import type { PasswordHasher } from './password-hasher';
import { triesAt, triesFrom, triesOf, type Allowance, type Throttles } from './throttle';

/** Interval of the audit events that say that an account is throttled. */
const THROTTLED_EVENT_EVERY_MS = 60_000;

export type RefusalReason = 'PASSWORD' | 'CODE' | 'THROTTLED';

export interface ProofServiceDeps {
  database: Database;
  digest(text: string): string;
  passwords: PasswordHasher;
  throttles: Throttles;
  background: Background;
  log: Log;
}

/** A person who gave the right password, and the tries that were counted for it. */
export interface Proved {
  person: Person;
  tries: Allowance[];
}

/** A password to check, and the source of the try. */
interface Attempt {
  email: string;
  password: string;
  source: string;
  isStranger: boolean;
}

/** Checks passwords of people. Limits the tries. Takes the same time for accounts that do not exist. */
export class ProofService {
  private readonly devices: Devices;

  constructor(private readonly deps: ProofServiceDeps) {
    this.devices = new Devices((text) => deps.digest(text));
  }

  /**
   * Returns the person with this e-mail address and password. Throws RATE_LIMITED before the password is checked if there were too many
   * tries, SIGN_IN_FAILED if the address or the password is wrong. A device that signed in before has separate tries. When these are used
   * up, the device uses the shared tries.
   */
  async prove({ email, password }: { email: string; password: string }, whence: Whence, device: string | undefined): Promise<Proved> {
    const tries = await this.takeTries(email, whence, device);
    const person = await this.deps.database.reader.findOneBy(Person, { email: normaliseEmail(email) });
    const source = tries.at(-1)?.name ?? ''; // the tries of the device, otherwise of the address
    return { person: await this.check(person, { email, password, source, isStranger: tries.length > 1 }, whence), tries };
  }

  /** Gives back the tries after a right password, because many people may share one address. */
  async succeeded({ tries }: Proved): Promise<void> {
    await this.deps.throttles.giveBack(...tries);
  }

  /** The new device cookie of a person who has signed in. */
  remember(email: string, device: string | undefined): string {
    return this.devices.remember(email, device);
  }

  /**
   * Runs `act`, which checks a signed-in person again, and gives the try back if it succeeds. A signed-in person has separate tries. Other
   * people cannot use them up, even at the same account or from the same address.
   */
  async again<T>(personId: string, whence: Whence, act: (person: Person) => Promise<T>): Promise<T> {
    const { database, throttles } = this.deps;
    const person = (await database.reader.findOneBy(Person, { id: personId })) ?? notFound();
    const tries = triesOf(`person:${personId}`);
    await this.take(person.email, whence, tries);
    const done = await act(person);
    await throttles.giveBack(tries);
    return done;
  }

  /** Throws SIGN_IN_FAILED if the password is wrong. Call it inside `again`, which counts the try. */
  requirePassword(person: Person, password: string, whence: Whence): Promise<Person> {
    return this.check(person, { email: person.email, password, source: person.id, isStranger: false }, whence);
  }

  /** Resets the tries of all strangers at an account, and of this address at the account, so that the owner can sign in at once. */
  async forgive(tx: EntityManager, email: string, { ip }: Whence): Promise<void> {
    await this.deps.throttles.forgive(tx, ...this.triesAt(email, ip));
  }

  /** Throws SIGN_IN_FAILED. If the account exists, an audit event says the reason. */
  refuse(email: string, reason: RefusalReason, whence: Whence): never {
    this.recordRefusal(email, reason, whence);
    throw new TollgateError('SIGN_IN_FAILED');
  }

  private async takeTries(email: string, whence: Whence, device: string | undefined): Promise<Allowance[]> {
    const own = this.devices.triesOf(email, device);
    if (own && (await this.deps.throttles.waitOrTake(own)) === 0) return [own];
    const tries = [...this.triesAt(email, whence.ip), triesFrom(whence.ip)];
    await this.take(email, whence, ...tries);
    return tries;
  }

  private async take(email: string, whence: Whence, ...tries: Allowance[]): Promise<void> {
    try {
      await this.deps.throttles.take(...tries);
    } catch (error) {
      if (error instanceof TollgateError && error.code === 'RATE_LIMITED') this.recordRefusal(email, 'THROTTLED', whence);
      throw error;
    }
  }

  private async check(person: Person | null, { email, password, source, isStranger }: Attempt, whence: Whence): Promise<Person> {
    const isRight = await this.deps.passwords.verify(person?.passwordHash, password, source, isStranger);
    return isRight && person ? person : this.refuse(email, 'PASSWORD', whence);
  }

  /** Records the refusal in the background. Otherwise the answer would take longer if the account exists. */
  private recordRefusal(email: string, reason: RefusalReason, whence: Whence): void {
    const { background, database, log, throttles } = this.deps;
    const record = async () => {
      const person = await database.reader.findOneBy(Person, { email: normaliseEmail(email) });
      if (!person) return;
      if (reason === 'THROTTLED') await throttles.take({ name: `told:${person.id}`, burst: 1, intervalMs: THROTTLED_EVENT_EVERY_MS });
      await database.transaction(async (tx) => {
        const at = await database.now(tx);
        await recordOfPerson(tx, person.id, {
          actor: NOBODY_YET,
          ...whence,
          action: 'session.refused',
          subjectId: person.id,
          after: { reason },
          at,
        });
      });
    };
    background.run(record, (error) => {
      // A TollgateError means that a refusal was recorded recently
      if (!(error instanceof TollgateError)) log.warn({ err: error }, 'sign-in: a refusal was not recorded');
    });
  }

  private triesAt(email: string, ip: string | null): Allowance[] {
    return triesAt(normaliseEmail(email), ip, (text) => this.deps.digest(text));
  }
}
