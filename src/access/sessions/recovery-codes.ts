import { randomInt } from 'node:crypto';
import { IsNull, type EntityManager } from 'typeorm';
import { RecoveryCode } from './recovery-code.entity';

export const RECOVERY_CODES = 10;
/** Letters and digits without those that look alike. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789';
const HALF_LENGTH = 5; // 49 bits in both halves

const half = (): string => Array.from({ length: HALF_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');

/** Codes that work once each instead of a code of the authenticator. */
export class RecoveryCodes {
  constructor(private readonly hmac: (text: string) => string) {}

  /** Returns new codes such as `k7wqm-x2hfd` and stores their digests. Earlier codes stop working. */
  async replace(tx: EntityManager, userId: string): Promise<string[]> {
    await this.forget(tx, userId);
    const codes = Array.from({ length: RECOVERY_CODES }, () => `${half()}-${half()}`);
    for (const code of codes) await tx.insert(RecoveryCode, { userId, digest: this.digest(userId, code), usedAt: null });
    return codes;
  }

  /** Marks a code as used. Returns false if it is wrong or was used before. */
  async use(tx: EntityManager, userId: string, code: string, at: Date): Promise<boolean> {
    const { affected } = await tx.update(RecoveryCode, { userId, digest: this.digest(userId, code), usedAt: IsNull() }, { usedAt: at });
    return affected === 1;
  }

  async forget(tx: EntityManager, userId: string): Promise<void> {
    await tx.delete(RecoveryCode, { userId });
  }

  /** The digest of a code. Case, spaces and hyphens do not matter. */
  private digest(userId: string, code: string): string {
    return this.hmac(`recovery code of ${userId}: ${code.toLowerCase().replace(/[\s-]/g, '')}`);
  }
}
