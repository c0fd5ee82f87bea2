import { parseBlock } from './cidr';

/** Buckets that a process remembers: those that were taken from last. */
const MAX_BUCKETS = 10_000;

export interface TokenBucketOptions {
  /** What a bucket holds, and what there is after a quiet spell. */
  most: number;
  /** What comes back in a second. */
  perSecond: number;
  /** In milliseconds, on a clock that goes forward alone. */
  now(): number;
}

/** An address as one customer: of IPv6 one has 2^64. */
export const customerAt = (ip: string | null): string => (ip?.includes(':') ? parseBlock(`${ip}/64`) : ip) ?? 'unknown';

/**
 * Token buckets by name, full at first. In memory, for they guard a process's own time and nothing else; forgetting one fills it, as taking
 * nothing for a while does.
 */
export class TokenBuckets {
  private readonly buckets = new Map<string, { tokens: number; atMs: number }>();

  constructor(private readonly options: TokenBucketOptions) {}

  /** Takes tokens out of a bucket, and answers 0; or takes none where they are more than it has, and answers for how many milliseconds they will be. */
  take(name: string, tokens: number): number {
    const { most, perSecond } = this.options;
    const bucket = this.bucketOf(name);
    if (tokens > bucket.tokens) return Math.ceil(((Math.min(tokens, most) - bucket.tokens) / perSecond) * 1000);
    bucket.tokens -= tokens;
    return 0;
  }

  /** Puts tokens back that were taken and not used. */
  giveBack(name: string, tokens: number): void {
    const bucket = this.bucketOf(name);
    bucket.tokens = Math.min(bucket.tokens + tokens, this.options.most);
  }

  /** The whole tokens that are there now. */
  left(name: string): number {
    return Math.floor(this.bucketOf(name).tokens);
  }

  private bucketOf(name: string): { tokens: number; atMs: number } {
    const { most, perSecond, now } = this.options;
    const atMs = now();
    const known = this.buckets.get(name);
    const tokens = known ? Math.min(known.tokens + ((atMs - known.atMs) * perSecond) / 1000, most) : most;
    const bucket = { tokens, atMs };
    this.buckets.delete(name); // and last again in the order of the map
    this.buckets.set(name, bucket);
    if (this.buckets.size > MAX_BUCKETS) this.buckets.delete(this.buckets.keys().next().value as string);
    return bucket;
  }
}
