import { hmacSha256 } from '../lib/hmac';
import { randomBase62 } from '../lib/id';
import type { Link } from './chain';

/** Encrypts texts with what the database does not have, the pepper. A text opens under the owner that it was sealed for, and no other. */
export interface Wrap {
  seal(text: string, owner: string): string;
  /** Throws where the text was not sealed with this pepper for this owner, or was changed. */
  open(sealed: string, owner: string): string;
}

/** The secret with which a chain's seals are authenticated. */
export interface ChainKey {
  secret: string;
  /** Every seal from this sequence on has a `mac`. Above 1 where the chain is older than its key. */
  from: number;
  /**
   * Of the installation's chain alone: until when seals of the version before get their `mac` later, in milliseconds since 1970.
   * 0 when that is over.
   */
  adoptsUntil?: number;
}

const SECRET_LENGTH = 43;

export const newChainKey = (from: number): ChainKey => ({ secret: randomBase62(SECRET_LENGTH), from });

/** The keys of chains as `audit_chains` has them: encrypted, so the database alone cannot authenticate a seal. */
export class ChainKeys {
  constructor(private readonly wrap: Wrap) {}

  wrapped(chainId: string, key: ChainKey): string {
    return this.wrap.seal(JSON.stringify(key), chainId);
  }

  /** The key of a chain; undefined where it has none, or what is stored was not made with this pepper for this chain. */
  open(chainId: string, wrapped: string | null): ChainKey | undefined {
    if (wrapped === null) return undefined;
    try {
      return JSON.parse(this.wrap.open(wrapped, chainId)) as ChainKey;
    } catch {
      return undefined;
    }
  }
}

/** What authenticates a seal: its hash carries all seals before it, so this one value proves them all. HMAC-SHA256, base64url. */
export function macOf({ secret }: ChainKey, chainId: string, { sequence, hash }: Link): string {
  return hmacSha256(secret)(JSON.stringify([chainId, sequence, hash]));
}
