import { generateKeyPair, type JsonWebKey } from 'node:crypto';
import { promisify } from 'node:util';
import type { EntityManager } from 'typeorm';
import { systemAuthority } from '../access/authority';
import { Sealed } from '../access/sessions/sealed';
import { recordEvent } from '../audit/record-event';
import type { Database } from '../db/database';
import { isDuplicate } from '../db/failures';
import { DAY_MS } from '../lib/time';
import { ID_TOKEN_SECONDS } from './lifetimes';
import { SigningKey } from './signing-key.entity';

/** Age of the newest key at which the next one is made. */
const KEY_AGE_MS = 90 * DAY_MS;
/** Time for which a key is published before it signs, so that applications that cache the published keys have it by then. */
const PUBLISHED_BEFORE_MS = DAY_MS;
const RSA_BITS = 2_048;

/** Encrypts a new key under its number. */
type Seal = (number: number) => string;

/** Manages the keys that sign ID tokens. They are stored encrypted in the database, for all nodes, and rotate by age. */
export class SigningKeys {
  private readonly sealed: Sealed;

  constructor(private readonly deps: { database: Database; pepper: string }) {
    this.sealed = new Sealed(deps.pepper, 'oauth signing key');
  }

  /** Returns the keys to publish as private JWKs. The first one signs. Makes the first key, and each next one when it is due. */
  async current(): Promise<JsonWebKey[]> {
    const { database } = this.deps;
    const keys = await database.lookups.find(SigningKey, { order: { number: 'DESC' } });
    const nowMs = (await database.now()).getTime();
    const ageMs = ({ createdAt }: SigningKey) => nowMs - createdAt.getTime();
    const [newest] = keys;
    if (!newest || ageMs(newest) >= KEY_AGE_MS) {
      await this.make((newest?.number ?? 0) + 1);
      return this.current();
    }
    const signs = keys.find((key) => ageMs(key) >= PUBLISHED_BEFORE_MS) ?? (keys.at(-1) as SigningKey);
    const next = keys.filter(({ number }) => number > signs.number);
    // Publishes the previous key until the last ID token that it signed has expired
    const signsForMs = ageMs(signs) - PUBLISHED_BEFORE_MS;
    const oldest = signsForMs < 2 * ID_TOKEN_SECONDS * 1000 ? signs.number - 1 : signs.number;
    const before = keys.filter(({ number }) => number < signs.number && number >= oldest);
    return [signs, ...next, ...before].map(({ number, sealed }) => JSON.parse(this.sealed.open(sealed, String(number))) as JsonWebKey);
  }

  /**
   * For use after a leak: makes a key that signs at once, and deletes all others. Other nodes follow within one second. Some applications
   * cache the published keys. They refuse ID tokens of the new key until they fetch the keys again, which they do when they see an unknown
   * key.
   */
  async replaceAll(): Promise<void> {
    const seal = await this.newKey();
    await this.deps.database.transaction(async (tx) => {
      const keys = await tx.find(SigningKey, { select: { number: true } });
      const ended = keys.map(({ number }) => number).sort((one, other) => one - other);
      if (ended.length > 0) await tx.delete(SigningKey, ended);
      await this.add(tx, (ended.at(-1) ?? 0) + 1, seal, ended);
    });
  }

  /** Makes a key, unless another node has just made it. */
  private async make(number: number): Promise<void> {
    const seal = await this.newKey();
    try {
      await this.deps.database.transaction((tx) => this.add(tx, number, seal));
    } catch (error) {
      if (!isDuplicate(error)) throw error;
    }
  }

  private async newKey(): Promise<Seal> {
    const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: RSA_BITS });
    const jwk = JSON.stringify({ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256' });
    return (number) => this.sealed.seal(jwk, String(number));
  }

  private async add(tx: EntityManager, number: number, seal: Seal, ended?: number[]): Promise<void> {
    const at = await this.deps.database.now(tx);
    await tx.insert(SigningKey, { number, sealed: seal(number), createdAt: at });
    const subject = { id: `oauth-key-${number}`, workspaceId: null };
    const after = { number, ...(ended && { ended }) };
    await recordEvent(tx, { ...systemAuthority('oauth'), action: 'oauth-key.made', subject, after, at });
  }
}
