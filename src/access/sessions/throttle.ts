import { In, LessThan, type EntityManager } from 'typeorm';
import { forUpdate, type Database } from '../../db/database';
import { isDuplicate } from '../../db/failures';
import { TollgateError } from '../../errors';
import { customerAt } from '../../lib/token-buckets';
import { Throttle } from './throttle.entity';

/** How often something may be done: so many times at once, and then once in each interval. */
export interface Allowance {
  name: string;
  burst: number;
  intervalMs: number;
}

/** Passwords that may be tried of one account, or chosen by one invitation, at once; and how often one more after that. */
const ACCOUNT_TRIES = 10;
const ACCOUNT_TRY_EVERY_MS = 60_000;

/** The tries of whatever has this name: of an account, of a person who has signed in, of an invitation. */
export const triesOf = (name: string): Allowance => ({ name, burst: ACCOUNT_TRIES, intervalMs: ACCOUNT_TRY_EVERY_MS });

/** Passwords that may be tried, and mails asked for, from one address at once, whatever the account; and how often one more after that. */
const ADDRESS_TRIES = 50;
const ADDRESS_TRY_EVERY_MS = 10_000;

/** The tries of an address. */
export function triesFrom(ip: string | null): Allowance {
  return { name: `address:${customerAt(ip)}`, burst: ADDRESS_TRIES, intervalMs: ADDRESS_TRY_EVERY_MS };
}

/** Mails that may be sent at once to one address for one reason, and how often one more after that. */
const MAILS_TO_ONE = 3;
const MAIL_EVERY_MS = 600_000;

/** The mails to whatever address `digest` is of: it is nothing to keep. */
export const mailsOf = (reason: 'reset' | 'invitation', digest: string): Allowance => ({ name: `${reason}:${digest}`, burst: MAILS_TO_ONE, intervalMs: MAIL_EVERY_MS });

/** RATE_LIMITED, with the time to wait. */
export function tooMany(what: string, retryAfterMs: number): TollgateError {
  const seconds = Math.ceil(retryAfterMs / 1000);
  return new TollgateError('RATE_LIMITED', `Too many ${what}; wait ${seconds} second${seconds === 1 ? '' : 's'}.`, { retryAfterMs });
}

/** Rows that say nothing any more are forgotten after so many turns of a process. */
const TURNS_BETWEEN_CLEANINGS = 256;

/**
 * Counts what anybody may do only so often, by GCRA (see gate/rate-limit.ts, which has it for calls). In the database, so that it is exact
 * over all nodes and outlives them.
 */
export class Throttles {
  private turns = 0;

  constructor(private readonly database: Database) {}

  /** Takes one turn of each allowance, or of none where one is used up: then RATE_LIMITED, which says for how long. */
  async take(...allowances: Allowance[]): Promise<void> {
    const waitMs = await this.tryTaking(allowances);
    this.turns += 1;
    if (this.turns % TURNS_BETWEEN_CLEANINGS === 0) await this.forget();
    if (waitMs === 0) return;
    throw tooMany('tries', waitMs);
  }

  /** Gives back one turn of each that was taken. */
  async giveBack(...allowances: Allowance[]): Promise<void> {
    await this.database.transaction(async (tx) => {
      for (const { name, theoreticalArrivalAt } of await this.lock(tx, allowances)) {
        const intervalMs = allowances.find((allowance) => allowance.name === name)?.intervalMs ?? 0;
        await tx.update(Throttle, { name }, { theoreticalArrivalAt: new Date(theoreticalArrivalAt.getTime() - intervalMs) });
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
        const next = allowances.map(({ name, intervalMs }) => {
          const known = rows.find((row) => row.name === name)?.theoreticalArrivalAt.getTime() ?? 0;
          return Math.max(known, nowMs) + intervalMs;
        });
        const waits = allowances.map(({ burst, intervalMs }, index) => (next[index] as number) - nowMs - burst * intervalMs);
        const waitMs = Math.max(0, ...waits);
        if (waitMs > 0) return waitMs;
        for (const [index, { name }] of allowances.entries()) {
          const theoreticalArrivalAt = new Date(next[index] as number);
          if (rows.some((row) => row.name === name)) await tx.update(Throttle, { name }, { theoreticalArrivalAt });
          else await tx.insert(Throttle, { name, theoreticalArrivalAt });
        }
        return 0;
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
