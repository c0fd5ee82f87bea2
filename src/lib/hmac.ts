import { createHmac, createSecretKey } from 'node:crypto';

/** Returns a function that computes the HMAC-SHA256 of a text under one key, as base64url. */
export function hmacSha256(key: string): (text: string) => string {
  const secretKey = createSecretKey(Buffer.from(key)); // prepared once: createHmac would encode a string key at each call
  return (text) => createHmac('sha256', secretKey).update(text).digest('base64url');
}
