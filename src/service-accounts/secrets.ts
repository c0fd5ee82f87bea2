import { IsNull, LessThan, MoreThan, Not, type EntityManager } from 'typeorm';
import { startGrace, storeSecret } from '../access/stored-secret';
import { ServiceAccountSecret } from './service-account.entity';

// The rows of secrets and of access tokens. An access token is a secret that ends within the hour and has scopes. Times are in
// milliseconds since 1970.

/** Stores the digest of a new access token, and deletes the account's expired access tokens. */
export async function insertToken(
  tx: EntityManager,
  accountId: string,
  token: { digest: string; scopes: string[]; endsAt: number },
  at: Date,
): Promise<void> {
  const { digest, scopes, endsAt } = token;
  await tx.delete(ServiceAccountSecret, { accountId, scopes: Not(IsNull()), graceUntil: LessThan(at.getTime()) });
  await storeSecret(tx, ServiceAccountSecret, { digest, accountId, scopes, graceUntil: endsAt }, at);
}

/**
 * Ends all secrets and access tokens of an account: at the end of the grace period, or at their own end if that is sooner. Without
 * grace they end now.
 */
export async function endAccountSecrets(tx: EntityManager, accountId: string, at: Date, graceSeconds: number): Promise<void> {
  const graceUntil = at.getTime() + graceSeconds * 1000;
  await startGrace(tx, ServiceAccountSecret, { accountId }, { at, graceUntil });
  await tx.update(ServiceAccountSecret, { accountId, endedAt: IsNull(), graceUntil: MoreThan(graceUntil) }, { graceUntil });
}

/** Time until which a secret works, or Infinity for the current secret. Returns null for a token, an ended secret or an unknown one. */
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

/** Finds an access token that has not ended; null if there is none. Does not check whether its account is enabled. */
export async function livingToken(reader: EntityManager, digest: string, now: number): Promise<AccountToken | null> {
  const token = await reader.findOneBy(ServiceAccountSecret, { digest, endedAt: IsNull(), graceUntil: MoreThan(now) });
  if (!token?.scopes) return null;
  const { accountId, scopes, createdAt, graceUntil } = token;
  return { accountId, scopes, createdAt, endsAt: graceUntil as number };
}

/** Ends an access token and returns the id of its account. Returns null if the token had ended or does not exist. */
export async function endToken(tx: EntityManager, digest: string, at: Date): Promise<string | null> {
  const { affected } = await tx.update(
    ServiceAccountSecret,
    { digest, scopes: Not(IsNull()), endedAt: IsNull() },
    { endedAt: at.getTime() },
  );
  return affected === 0 ? null : (await tx.findOneByOrFail(ServiceAccountSecret, { digest })).accountId;
}
