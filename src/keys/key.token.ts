import { crc32 } from 'node:zlib';
import { hmacSha256 } from '../lib/hmac';
import { randomBase62, toBase62 } from '../lib/id';

const RANDOM_LENGTH = 32; // 190 bits
const CHECKSUM_LENGTH = 6;
const SECRET = /^[a-z][a-z0-9]{1,11}_(?:live|test)_[0-9A-Za-z]{38}$/;

/** The pepper that digests are made with now; kept beside each digest, so that it can be changed one day. */
export const PEPPER_VERSION = 1;

/** A new secret: `acme_live_`, 32 random characters, and 6 that are the CRC-32 of all before them. */
export function mintSecret(prefix: string, environment: 'LIVE' | 'TEST'): string {
  const body = `${prefix}_${environment.toLowerCase()}_${randomBase62(RANDOM_LENGTH)}`;
  return body + checksum(body);
}

/** Whether `text` has the form and the checksum of a secret. Asks nobody: noise is told apart offline. */
export function isSecret(text: string): boolean {
  return SECRET.test(text) && checksum(text.slice(0, -CHECKSUM_LENGTH)) === text.slice(-CHECKSUM_LENGTH);
}

/** What is stored of a secret: HMAC-SHA256 with the pepper, base64url, 43 characters. Looked up, so never compared byte by byte. */
export function digestSecret(secret: string, pepper: string): string {
  return hmacSha256(pepper)(secret);
}

/** Enough to recognise a secret by: `acme_live_...x7Qp`. */
export function hintOf(secret: string): string {
  return `${secret.slice(0, secret.lastIndexOf('_') + 1)}...${secret.slice(-4)}`;
}

function checksum(text: string): string {
  return toBase62(crc32(text), CHECKSUM_LENGTH);
}
