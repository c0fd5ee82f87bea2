import { In, LessThan, type EntityManager } from 'typeorm';
import { forUpdate, type Database } from '../../db/database';
import { isDuplicate } from '../../db/failures';
import { TollgateError } from '../../errors';
import { customerAt } from '../../lib/cidr';
import { settledArrival, waitFor } from '../../lib/gcra';
import { Throttle } from './throttle.entity';

/** How often something may be done: `burst` times at once, then once in each interval. */
export interface Allowance {
  name: string;
  burst: number;
  intervalMs: number;
}

/** Limit for password tries from one source at one account, or for one invitation: TRIES at once, then one more in each interval. */
const TRIES = 10;
const TRY_EVERY_MS = 60_000;

/** An allowance of TRIES tries. `name` stands for a network address at an account, a device, a signed-in person or an invitation. */
export const triesOf = (name: string): Allowance => ({ name, burst: TRIES, intervalMs: TRY_EVERY_MS });

/**
 * Limit for password tries of all strangers together at one account: ACCOUNT_TRIES at once, then one more in each interval. So it limits
 * the guesses in a day.
 */
const ACCOUNT_TRIES = 100;
const ACCOUNT_TRY_EVERY_MS = 60_000;

/**
 * Allowances for tries from a network address at an account: one for the pair, one for the account. `digest` hides the typed e-mail
 * address in the database.
 */
export function triesAt(email: string, ip: string | null, digest: (text: string) => string): Allowance[] {
  return [
    triesOf(`account-address:${digest(`account ${email} ${customerAt(ip)}`)}`),
    { name: `account:${digest(`account ${email}`)}`, burst: ACCOUNT_TRIES, intervalMs: ACCOUNT_TRY_EVERY_MS },
  ];
}

/**
 * Limit for password tries and requested mails from one network address, for all accounts: ADDRESS_TRIES at once, then one more in each
 * interval.
 */
const ADDRESS_TRIES = 50;
const ADDRESS_TRY_EVERY_MS = 10_000;

/** The allowance of a network address. */
export function triesFrom(ip: string | null): Allowance {
  return { name: `address:${customerAt(ip)}`, burst: ADDRESS_TRIES, intervalMs: ADDRESS_TRY_EVERY_MS };
}

/**
 * Limits for mails to one e-mail address for one reason: from one sender, and from all senders. That many at once, then one more in each
 * interval.
 */
const MAILS_TO_ONE = 3;
const MAILS_TO_ONE_OF_ALL = 12;
const MAIL_EVERY_MS = 600_000;

/**
 * Allowances for mails to an e-mail address: one for the sender, such as a workspace, and one for all senders. `digest` hides the address
 * in the database.
 */
export function mailsTo(email: string, reason: 'reset' | 'invitation', sender: string, digest: (text: string) => string): Allowance[] {
  return [
    { name: `${reason}-by:${digest(`${reason} ${email} ${sender}`)}`, burst: MAILS_TO_ONE, intervalMs: MAIL_EVERY_MS },
    { name: `${reason}:${digest(`${reason} ${email}`)}`, burst: MAILS_TO_ONE_OF_ALL, intervalMs: MAIL_EVERY_MS },
  ];
}

/** The error RATE_LIMITED with the time to wait. */
export function tooMany(what: string, retryAfterMs: number): TollgateError {
  const seconds = Math.ceil(retryAfterMs / 1000);
  return new TollgateError('RATE_LIMITED', `Too many ${what}; wait ${seconds} second${seconds === 1 ? '' : 's'}.`, { retryAfterMs });
}

/** Turns after which a process deletes the rows of allowances that are full again. */
const TURNS_BETWEEN_CLEANINGS = 256;

/** Counts uses of allowances by GCRA. The counts are in the database, so that they hold for all nodes and survive restarts. */
export class Throttles {
  private turns = 0;

  constructor(private readonly database: Database) {}

  /** Takes one turn of each allowance. If one allowance is used up, takes none and throws RATE_LIMITED with the time to wait. */
  async take(...allowances: Allowance[]): Promise<void> {
    const waitMs = await this.waitOrTake(...allowances);
    if (waitMs > 0) throw tooMany('tries', waitMs);
  }

  /** Takes one turn of each allowance and returns 0. If one allowance is used up, takes none and returns the milliseconds to wait. */
  async waitOrTake(...allowances: Allowance[]): Promise<number> {
    const waitMs = await this.tryTaking(allowances);
    this.turns += 1;
    if (this.turns % TURNS_BETWEEN_CLEANINGS === 0) await this.forget();
    return waitMs;
  }

  /** Gives back one turn of each allowance. Deletes the rows of allowances that are full again. */
  async giveBack(...allowances: Allowance[]): Promise<void> {
    await this.database.transaction(async (tx) => {
      const rows = await this.lock(tx, allowances);
      const nowMs = (await this.database.now(tx)).getTime();
      for (const { name, intervalMs } of allowances) {
        const row = rows.find((candidate) => candidate.name === name);
        if (!row) continue;
        const arrivalMs = row.theoreticalArrivalAt.getTime() - intervalMs;
        if (arrivalMs <= nowMs) await tx.delete(Throttle, { name });
        else await tx.update(Throttle, { name }, { theoreticalArrivalAt: new Date(arrivalMs) });
      }
    });
  }

  /** Gives back all turns of each allowance. */
  async forgive(tx: EntityManager, ...allowances: Allowance[]): Promise<void> {
    await tx.delete(Throttle, { name: In(allowances.map(({ name }) => name)) });
  }

  /** Does the same as `waitOrTake`, but deletes no rows. */
  private async tryTaking(allowances: Allowance[]): Promise<number> {
    try {
      return await this.database.transaction(async (tx) => {
        const rows = await this.lock(tx, allowances);
        const nowMs = (await this.database.now(tx)).getTime();
        const standings = allowances.map(({ name, burst, intervalMs }) => {
          const pace = { burst, interval: intervalMs };
          const kept = rows.find((row) => row.name === name)?.theoreticalArrivalAt.getTime() ?? nowMs;
          const arrivalMs = settledArrival(kept, pace, nowMs);
          return { name, kept, arrivalMs, waitMs: waitFor(1, arrivalMs, pace, nowMs), nextMs: arrivalMs + intervalMs };
        });
        const waitMs = Math.max(0, ...standings.map((standing) => standing.waitMs));
        for (const { name, kept, arrivalMs, nextMs } of standings) {
          if (waitMs > 0 && kept <= arrivalMs) continue;
          // A refused turn stores a corrected time too: otherwise a time from a clock that was ahead would block for too long
          const theoreticalArrivalAt = new Date(waitMs > 0 ? arrivalMs : nextMs);
          if (rows.some((row) => row.name === name)) await tx.update(Throttle, { name }, { theoreticalArrivalAt });
          else await tx.insert(Throttle, { name, theoreticalArrivalAt });
        }
        return waitMs;
      });
    } catch (error) {
      if (!isDuplicate(error)) throw error;
      return this.tryTaking(allowances); // another transaction inserted the row meanwhile
    }
  }

  private lock(tx: EntityManager, allowances: Allowance[]): Promise<Throttle[]> {
    return tx.find(Throttle, { where: { name: In(allowances.map(({ name }) => name)) }, order: { name: 'ASC' }, ...forUpdate(tx) });
  }

  private async forget(): Promise<void> {
    await this.database.transaction(async (tx) => tx.delete(Throttle, { theoreticalArrivalAt: LessThan(await this.database.now(tx)) }));
  }
}
