import { IsNull, LessThan, MoreThan, Not, type EntityManager } from 'typeorm';
import { PEPPER_VERSION } from '../access/secret';
import { ServiceAccountSecret } from './service-account.entity';

// The rows of secrets, and of access tokens, which are secrets that end within the hour and are for some things alone. Times in milliseconds.

/** Keeps a secret by its digest. */
export async function insertSecret(tx: EntityManager, accountId: string, digest: string, at: Date): Promise<void> {
  await tx.insert(ServiceAccountSecret, { digest, pepperVersion: PEPPER_VERSION, accountId, scopes: null, graceUntil: null, endedAt: null, createdAt: at });
}

/** Keeps an access token by its digest, and none of the account's that have ended by themselves. */
export async function insertToken(tx: EntityManager, accountId: string, token: { digest: string; scopes: string[]; endsAt: number }, at: Date): Promise<void> {
  const { digest, scopes, endsAt } = token;
  await tx.delete(ServiceAccountSecret, { accountId, scopes: Not(IsNull()), graceUntil: LessThan(at.getTime()) });
  await tx.insert(ServiceAccountSecret, { digest, pepperVersion: PEPPER_VERSION, accountId, scopes, graceUntil: endsAt, endedAt: null, createdAt: at });
}

/** Ends all of an account's, tokens among them: when the grace is over, or as soon as they would anyway; without grace now. */
export async function endSecrets(tx: EntityManager, accountId: string, now: number, graceSeconds: number): Promise<void> {
  const living = { accountId, endedAt: IsNull() };
  if (graceSeconds === 0) {
    await tx.update(ServiceAccountSecret, living, { endedAt: now });
    return;
  }
  const graceUntil = now + graceSeconds * 1000;
  await tx.update(ServiceAccountSecret, { ...living, graceUntil: IsNull() }, { graceUntil });
  await tx.update(ServiceAccountSecret, { ...living, graceUntil: MoreThan(graceUntil) }, { graceUntil });
}

/** Until when a secret of an account works, Infinity where nothing is to end it; null for a token, and where it has ended or never was one. */
export async function secretEndsAt(reader: EntityManager, accountId: string, digest: string, now: number): Promise<number | null> {
  const secret = await reader.findOneBy(ServiceAccountSecret, { digest, accountId, scopes: IsNull(), endedAt: IsNull() });
  const endsAt = secret && (secret.graceUntil ?? Infinity);
  return endsAt !== null && endsAt > now ? endsAt : null;
}

export interface AccountToken {
  accountId: string;
  scopes: string[];
  createdAt: Date;
  endsAt: number;
}

/** An access token that has not ended; whether its account works is another question. */
export async function livingToken(reader: EntityManager, digest: string, now: number): Promise<AccountToken | null> {
  const token = await reader.findOneBy(ServiceAccountSecret, { digest, endedAt: IsNull(), graceUntil: MoreThan(now) });
  if (!token?.scopes) return null;
  const { accountId, scopes, createdAt, graceUntil } = token;
  return { accountId, scopes, createdAt, endsAt: graceUntil as number };
}

/** Ends an access token, and answers whose it was; null where it had ended, or never was one. */
export async function endToken(tx: EntityManager, digest: string, at: Date): Promise<string | null> {
  const { affected } = await tx.update(ServiceAccountSecret, { digest, scopes: Not(IsNull()), endedAt: IsNull() }, { endedAt: at.getTime() });
  return affected === 0 ? null : (await tx.findOneByOrFail(ServiceAccountSecret, { digest })).accountId;
}
