import { In, LessThan, type EntityManager } from 'typeorm';
import { forUpdate, type Database } from '../../db/database';
import { isDuplicate } from '../../db/failures';
import { TollgateError } from '../../errors';
import { customerAt } from '../../lib/cidr';
import { settledArrival, waitFor } from '../../lib/gcra';
import { Throttle } from './throttle.entity';

/** How often something may be done: so many times at once, and then once in each interval. */
export interface Allowance {
  name: string;
  burst: number;
  intervalMs: number;
}

/** Passwords that one source may try at one account, or choose by one invitation, at once; and how often one more after that. */
const TRIES = 10;
const TRY_EVERY_MS = 60_000;

/** The tries of what has this name: of an address at an account, of a device, of a person who has signed in, of an invitation. */
export const triesOf = (name: string): Allowance => ({ name, burst: TRIES, intervalMs: TRY_EVERY_MS });

/** Passwords that all strangers together may try at one account at once, and how often one more after that: this bounds the guesses of a day. */
const ACCOUNT_TRIES = 100;
const ACCOUNT_TRY_EVERY_MS = 60_000;

/** The tries at an account from an address: those of the two together, and those of the account. `digest` keeps what somebody typed out of the database. */
export function triesAt(email: string, ip: string | null, digest: (text: string) => string): Allowance[] {
  return [
    triesOf(`account-address:${digest(`account ${email} ${customerAt(ip)}`)}`),
    { name: `account:${digest(`account ${email}`)}`, burst: ACCOUNT_TRIES, intervalMs: ACCOUNT_TRY_EVERY_MS },
  ];
}

/** Passwords that may be tried, and mails asked for, from one address at once, whatever the account; and how often one more after that. */
const ADDRESS_TRIES = 50;
const ADDRESS_TRY_EVERY_MS = 10_000;

/** The tries of an address. */
export function triesFrom(ip: string | null): Allowance {
  return { name: `address:${customerAt(ip)}`, burst: ADDRESS_TRIES, intervalMs: ADDRESS_TRY_EVERY_MS };
}

/** Mails that one sender may have sent at once to one address for one reason, that all senders may; and how often one more after that. */
const MAILS_TO_ONE = 3;
const MAILS_TO_ONE_OF_ALL = 12;
const MAIL_EVERY_MS = 600_000;

/** The mails that a sender, such as a workspace, has sent to an address; and those of all senders. `digest` keeps the address out of the database. */
export function mailsTo(email: string, reason: 'reset' | 'invitation', sender: string, digest: (text: string) => string): Allowance[] {
  return [
    { name: `${reason}-by:${digest(`${reason} ${email} ${sender}`)}`, burst: MAILS_TO_ONE, intervalMs: MAIL_EVERY_MS },
    { name: `${reason}:${digest(`${reason} ${email}`)}`, burst: MAILS_TO_ONE_OF_ALL, intervalMs: MAIL_EVERY_MS },
  ];
}

/** RATE_LIMITED, with the time to wait. */
export function tooMany(what: string, retryAfterMs: number): TollgateError {
  const seconds = Math.ceil(retryAfterMs / 1000);
  return new TollgateError('RATE_LIMITED', `Too many ${what}; wait ${seconds} second${seconds === 1 ? '' : 's'}.`, { retryAfterMs });
}

/** Rows that say nothing any more are forgotten after so many turns of a process. */
const TURNS_BETWEEN_CLEANINGS = 256;

/**
 * Counts what anybody may do only so often, by GCRA. In the database, so that it is exact
 * over all nodes and outlives them.
 */
export class Throttles {
  private turns = 0;

  constructor(private readonly database: Database) {}

  /** Takes one turn of each allowance, or of none where one is used up: then RATE_LIMITED, which says for how long. */
  async take(...allowances: Allowance[]): Promise<void> {
    const waitMs = await this.waitOrTake(...allowances);
    if (waitMs > 0) throw tooMany('tries', waitMs);
  }

  /** The same, and answers how many milliseconds there are to wait; 0 if all were taken. */
  async waitOrTake(...allowances: Allowance[]): Promise<number> {
    const waitMs = await this.tryTaking(allowances);
    this.turns += 1;
    if (this.turns % TURNS_BETWEEN_CLEANINGS === 0) await this.forget();
    return waitMs;
  }

  /** Gives back one turn of each that was taken. A row that owes nothing any more goes. */
  async giveBack(...allowances: Allowance[]): Promise<void> {
    await this.database.transaction(async (tx) => {
      const rows = await this.lock(tx, allowances);
      const nowMs = (await this.database.now(tx)).getTime();
      for (const { name, intervalMs } of allowances) {
        const row = rows.find((one) => one.name === name);
        if (!row) continue;
        const arrivalMs = row.theoreticalArrivalAt.getTime() - intervalMs;
        if (arrivalMs <= nowMs) await tx.delete(Throttle, { name });
        else await tx.update(Throttle, { name }, { theoreticalArrivalAt: new Date(arrivalMs) });
      }
    });
  }

  /** Gives back all turns of each, whoever took them. */
  async forgive(tx: EntityManager, ...allowances: Allowance[]): Promise<void> {
    await tx.delete(Throttle, { name: In(allowances.map(({ name }) => name)) });
  }

  /** Milliseconds to wait; 0 where all were taken. */
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
          const theoreticalArrivalAt = new Date(waitMs > 0 ? arrivalMs : nextMs); // or what a clock dated too far ahead would never come nearer
          if (rows.some((row) => row.name === name)) await tx.update(Throttle, { name }, { theoreticalArrivalAt });
          else await tx.insert(Throttle, { name, theoreticalArrivalAt });
        }
        return waitMs;
      });
    } catch (error) {
      if (!isDuplicate(error)) throw error;
      return this.tryTaking(allowances); // another one made the row meanwhile
    }
  }

  private lock(tx: EntityManager, allowances: Allowance[]): Promise<Throttle[]> {
    return tx.find(Throttle, { where: { name: In(allowances.map(({ name }) => name)) }, order: { name: 'ASC' }, ...forUpdate(tx) });
  }

  private async forget(): Promise<void> {
    await this.database.transaction(async (tx) => tx.delete(Throttle, { theoreticalArrivalAt: LessThan(await this.database.now(tx)) }));
  }
}
