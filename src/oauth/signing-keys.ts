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

/** So long a key is the newest before the next one is made. */
const KEY_AGE_MS = 90 * DAY_MS;
/** So long a key is published before it signs: whoever keeps the published keys has it by then. */
const PUBLISHED_BEFORE_MS = DAY_MS;
const RSA_BITS = 2_048;

/** A new key, encrypted as the one of that number. */
type Seal = (number: number) => string;

/** The keys that sign ID tokens: in the database, encrypted, the same for all nodes. They follow one another by age. */
export class SigningKeys {
  private readonly sealed: Sealed;

  constructor(private readonly deps: { database: Database; pepper: string }) {
    this.sealed = new Sealed(deps.pepper, 'oauth signing key');
  }

  /** The keys to publish, as private JWKs, that which signs first. Makes the first one, and the next when it is time. */
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
    // Those before it go once the last ID token that they signed has ended
    const signsForMs = ageMs(signs) - PUBLISHED_BEFORE_MS;
    const before = keys.filter(({ number }) => number < signs.number && number >= signs.number - (signsForMs < 2 * ID_TOKEN_SECONDS * 1000 ? 1 : 0));
    return [signs, ...next, ...before].map(({ number, sealed }) => JSON.parse(this.sealed.open(sealed, String(number))) as JsonWebKey);
  }

  /**
   * After a leak: makes a key that signs from now on, and ends all before it. Nodes follow within a second; applications that keep the
   * published keys take an ID token of the new one for forged until they fetch the keys again, as they do for a key they do not know.
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
    await recordEvent(tx, { ...systemAuthority('oauth'), action: 'oauth-key.made', subject, after: { number, ...(ended && { ended }) }, at });
  }
}
