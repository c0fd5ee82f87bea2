import { Shares, type Sharer } from './shares';

/** Bodies and answers up to this size are not counted, because the buffers of their connection are as large. */
export const UNCOUNTED_BYTES = 16_384;

const countedOf = (bytes: number): number => (bytes > UNCOUNTED_BYTES ? bytes : 0);

/** Counts the bytes that requests keep in memory: in total, and for each project, workspace and address. Each count has a limit. */
export class BytesInFlight {
  private total = 0;
  private readonly shares: Shares;

  /** The projects of a workspace together get three quarters of the total. */
  constructor(private readonly limits: { maxBytes: number; maxBytesEach: number }) {
    this.shares = new Shares({ each: limits.maxBytesEach, together: Math.max(limits.maxBytesEach, (limits.maxBytes * 3) / 4) });
  }

  /** Returns true if `bytes` fit into every limit. Zero bytes are refused only if the sharer exceeds its own limits. */
  hasRoom(sharer: Sharer, bytes: number): boolean {
    const free = this.limits.maxBytes - this.total - bytes;
    return (bytes === 0 || free >= 0) && this.shares.hasRoom(sharer, bytes, free);
  }

  /** Adds bytes. A negative number removes them. */
  add(sharer: Sharer, bytes: number): void {
    if (bytes === 0) return;
    this.total += bytes;
    this.shares.add(sharer, bytes);
  }
}

/** The bytes that one request keeps in memory: of its body, then of its answer. They are freed when the last user releases them. */
export class KeptBytes {
  private bytes = 0;
  private sharer: Sharer = { id: '' };
  private users = 0;

  constructor(private readonly inFlight: BytesInFlight) {}

  /** True if any bytes are counted. */
  get any(): boolean {
    return this.bytes > 0;
  }

  /** Replaces the kept bytes, and the sharer if one is given. Returns false and changes nothing if there is no room. */
  keep(bytes: number, sharer = this.sharer): boolean {
    const counted = countedOf(bytes);
    if (counted === this.bytes && sharer.id === this.sharer.id) return true;
    this.inFlight.add(this.sharer, -this.bytes);
    const hasRoom = this.inFlight.hasRoom(sharer, counted);
    if (hasRoom) [this.bytes, this.sharer] = [counted, sharer];
    this.inFlight.add(this.sharer, this.bytes);
    return hasRoom;
  }

  /** Moves the kept bytes to another sharer. Returns false and changes nothing if that sharer has no room. */
  moveTo(sharer: Sharer): boolean {
    return this.keep(this.bytes, sharer);
  }

  /** Replaces the kept bytes without a check: for fewer bytes, or if it is too late to refuse. */
  keepAnyway(bytes: number): void {
    const counted = countedOf(bytes);
    this.inFlight.add(this.sharer, counted - this.bytes);
    this.bytes = counted;
  }

  /** Adds a user of the bytes. Each user must call `release` once. */
  use(): void {
    this.users += 1;
  }

  /** Removes a user. The last one frees the bytes. */
  release(): void {
    this.users -= 1;
    if (this.users === 0) this.keepAnyway(0);
  }
}
