import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const IV_BYTES = 12;
const TAG_BYTES = 16;

/** Encrypts short texts: AES-256-GCM with a key that is derived from the pepper (HKDF-SHA256, RFC 5869). */
export class Sealed {
  private readonly key: Buffer;

  /** Each purpose has its key. A text that was sealed for one purpose cannot be opened for another. */
  constructor(pepper: string, purpose: 'second factor' | 'oauth signing key' | 'audit chain') {
    this.key = Buffer.from(hkdfSync('sha256', pepper, '', `tollgate ${purpose}`, 32));
  }

  /** Encrypts a text. It can be opened only with the same `owner`. */
  seal(text: string, owner: string): string {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.key, iv).setAAD(Buffer.from(owner));
    return Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64url');
  }

  /** Decrypts a text. Throws if it was changed, or was sealed with another pepper, purpose or owner. */
  open(sealed: string, owner: string): string {
    const bytes = Buffer.from(sealed, 'base64url');
    const decipher = createDecipheriv('aes-256-gcm', this.key, bytes.subarray(0, IV_BYTES)).setAAD(Buffer.from(owner));
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    return decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
  }
}
