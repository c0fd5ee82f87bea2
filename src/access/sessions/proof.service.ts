import type { EntityManager } from 'typeorm';
import type { Database } from '../../db/database';
import { TollgateError, notFound } from '../../errors';
import type { Background } from '../../lib/background';
import type { Log } from '../../lib/log';
import { normaliseEmail } from '../people/email';
import { Person } from '../people/person.entity';
import { NOBODY_YET, recordOfPerson, type Whence } from '../people/person.events';
import { Devices } from './devices';
import type { Passwords } from './passwords';
import { triesAt, triesFrom, triesOf, type Allowance, type Throttles } from './throttle';

/** How often the trail tells that an account's tries are used up. */
const TOLD_EVERY_MS = 60_000;

export type RefusalReason = 'PASSWORD' | 'CODE' | 'THROTTLED';

export interface ProofServiceDeps {
  database: Database;
  digest(text: string): string;
  passwords: Passwords;
  throttles: Throttles;
  background: Background;
  log: Log;
}

/** Somebody who has proved by a password who they are, and the tries that it took. */
export interface Proved {
  person: Person;
  tries: Allowance[];
}

/** A password that is tried, and by whom. */
interface Attempt {
  email: string;
  password: string;
  source: string;
  isStranger: boolean;
}

/** Proves by a password who somebody is, as slowly for accounts that there are not, and only so often. */
export class ProofService {
  private readonly devices: Devices;

  constructor(private readonly deps: ProofServiceDeps) {
    this.devices = new Devices((text) => deps.digest(text));
  }

  /**
   * Whose e-mail and password these are. SIGN_IN_FAILED where they are nobody's, RATE_LIMITED before that where too many were tried. A device
   * that signed in before has tries of its own, and those of everybody once they are used up.
   */
  async prove({ email, password }: { email: string; password: string }, whence: Whence, device: string | undefined): Promise<Proved> {
    const tries = await this.takeTries(email, whence, device);
    const person = await this.deps.database.reader.findOneBy(Person, { email: normaliseEmail(email) });
    const source = tries.at(-1)?.name ?? ''; // the device, or the address
    return { person: await this.check(person, { email, password, source, isStranger: tries.length > 1 }, whence), tries };
  }

  /** Gives back the tries of an owner who has proved who they are: many may sit behind one address. */
  async succeeded({ tries }: Proved): Promise<void> {
    await this.deps.throttles.giveBack(...tries);
  }

  /** What the device of an owner who has proved who they are is to keep. */
  remember(email: string, device: string | undefined): string {
    return this.devices.remember(email, device);
  }

  /**
   * What somebody who has signed in does by one more proof. Their try is given back once `act` has found all of it right. They have tries of
   * their own: those that others make at their account, or from their address, leave them alone.
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

  /** SIGN_IN_FAILED where this is not the password of a person whose try was counted. */
  requirePassword(person: Person, password: string, whence: Whence): Promise<Person> {
    return this.check(person, { email: person.email, password, source: person.id, isStranger: false }, whence);
  }

  /** Lets the owner of an account in from where they are, however many tries strangers have used up. */
  async forgive(tx: EntityManager, email: string, { ip }: Whence): Promise<void> {
    await this.deps.throttles.forgive(tx, ...this.triesAt(email, ip));
  }

  /** Throws SIGN_IN_FAILED, and has the trail tell why where the account is known. */
  refuse(email: string, reason: RefusalReason, whence: Whence): never {
    this.tell(email, reason, whence);
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
      if (error instanceof TollgateError && error.code === 'RATE_LIMITED') this.tell(email, 'THROTTLED', whence);
      throw error;
    }
  }

  private async check(person: Person | null, { email, password, source, isStranger }: Attempt, whence: Whence): Promise<Person> {
    const isRight = await this.deps.passwords.verify(person?.passwordHash, password, source, isStranger);
    return isRight && person ? person : this.refuse(email, 'PASSWORD', whence);
  }

  /** After the answer, or it would come later where there is an account. */
  private tell(email: string, reason: RefusalReason, whence: Whence): void {
    const { background, database, log, throttles } = this.deps;
    const record = async () => {
      const person = await database.reader.findOneBy(Person, { email: normaliseEmail(email) });
      if (!person) return;
      if (reason === 'THROTTLED') await throttles.take({ name: `told:${person.id}`, burst: 1, intervalMs: TOLD_EVERY_MS });
      await database.transaction(async (tx) => {
        const at = await database.now(tx);
        await recordOfPerson(tx, person.id, { actor: NOBODY_YET, ...whence, action: 'session.refused', subjectId: person.id, after: { reason }, at });
      });
    };
    background.run(record, (error) => {
      if (!(error instanceof TollgateError)) log.warn({ err: error }, 'sign-in: a refusal was not recorded'); // else it was told a moment ago
    });
  }

  private triesAt(email: string, ip: string | null): Allowance[] {
    return triesAt(normaliseEmail(email), ip, (text) => this.deps.digest(text));
  }
}
