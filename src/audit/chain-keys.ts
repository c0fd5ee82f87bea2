import { hmacSha256 } from '../lib/hmac';
import { randomBase62 } from '../lib/id';
import type { Link } from './event-hash';

/** Encrypts texts with the pepper, which is not in the database. A text opens only for the owner that it was sealed for. */
export interface Wrap {
  seal(text: string, owner: string): string;
  /** Throws if the text was changed, or was not sealed with this pepper for this owner. */
  open(sealed: string, owner: string): string;
}

/** The key that authenticates the seals of a chain. */
export interface ChainKey {
  secret: string;
  /** The first sequence with a `mac`; all later seals have one too. Above 1 if the chain is older than its key. */
  from: number;
  /**
   * Only for the chain of the installation: until this time seals of the previous version get their `mac` later. In milliseconds since
   * 1970; 0 when this is over.
   */
  adoptsUntil?: number;
}

const SECRET_LENGTH = 43;

export const newChainKey = (from: number): ChainKey => ({ secret: randomBase62(SECRET_LENGTH), from });

/** Encrypts and decrypts the keys of chains for the table `audit_chains`. So the database alone is not enough to authenticate a seal. */
export class ChainKeys {
  constructor(private readonly wrap: Wrap) {}

  wrapped(chainId: string, key: ChainKey): string {
    return this.wrap.seal(JSON.stringify(key), chainId);
  }

  /** Returns the key of a chain. Returns undefined if there is none, or if it was not made with this pepper for this chain. */
  open(chainId: string, wrapped: string | null): ChainKey | undefined {
    if (wrapped === null) return undefined;
    try {
      return JSON.parse(this.wrap.open(wrapped, chainId)) as ChainKey;
    } catch {
      return undefined;
    }
  }
}

/** Computes the `mac` of a seal: HMAC-SHA256, base64url. Its hash depends on all earlier seals, so one `mac` proves all of them. */
export function macOf({ secret }: ChainKey, chainId: string, { sequence, hash }: Link): string {
  return hmacSha256(secret)(JSON.stringify([chainId, sequence, hash]));
}
