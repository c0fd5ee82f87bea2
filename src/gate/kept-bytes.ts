import { Shares, type Sharer } from './shares';

/** Bodies and answers up to this are not counted: the connection that brings one has buffers as large. */
export const UNCOUNTED_BYTES = 16_384;

const countedOf = (bytes: number): number => (bytes > UNCOUNTED_BYTES ? bytes : 0);

/** How many bytes requests keep, in all, and for each project, workspace and address, each with its bound. */
export class BytesInFlight {
  private total = 0;
  private readonly shares: Shares;

  /** A workspace may have three quarters of all. */
  constructor(private readonly limits: { maxBytes: number; maxBytesEach: number }) {
    this.shares = new Shares({ each: limits.maxBytesEach, together: Math.max(limits.maxBytesEach, (limits.maxBytes * 3) / 4) });
  }

  /** What keeps nothing is refused only where its sharers have more than they may. */
  hasRoom(sharer: Sharer, bytes: number): boolean {
    return (bytes === 0 || this.total + bytes <= this.limits.maxBytes) && this.shares.hasRoom(sharer, bytes);
  }

  /** Fewer where `bytes` is negative. */
  add(sharer: Sharer, bytes: number): void {
    if (bytes === 0) return;
    this.total += bytes;
    this.shares.add(sharer, bytes);
  }
}

/** The bytes that one request keeps, of its body and then of its answer, until nobody uses them any more. */
export class KeptBytes {
  private bytes = 0;
  private sharer: Sharer = { id: '' };
  private users = 0;

  constructor(private readonly inFlight: BytesInFlight) {}

  /** Whether any are counted. */
  get any(): boolean {
    return this.bytes > 0;
  }

  /** Keeps so many instead of those that it kept, for the same sharer or another one; false, and nothing changes, where there is no room. */
  keep(bytes: number, sharer = this.sharer): boolean {
    const counted = countedOf(bytes);
    if (counted === this.bytes && sharer.id === this.sharer.id) return true;
    this.inFlight.add(this.sharer, -this.bytes);
    const hasRoom = this.inFlight.hasRoom(sharer, counted);
    if (hasRoom) [this.bytes, this.sharer] = [counted, sharer];
    this.inFlight.add(this.sharer, this.bytes);
    return hasRoom;
  }

  /** Moves what it keeps to another sharer; false, and nothing changes, where that one has no room. */
  moveTo(sharer: Sharer): boolean {
    return this.keep(this.bytes, sharer);
  }

  /** Keeps so many where they are fewer than before, or it is too late to refuse them. */
  keepAnyway(bytes: number): void {
    const counted = countedOf(bytes);
    this.inFlight.add(this.sharer, counted - this.bytes);
    this.bytes = counted;
  }

  /** One more needs them, until it calls `release`. */
  use(): void {
    this.users += 1;
  }

  release(): void {
    this.users -= 1;
    if (this.users === 0) this.keepAnyway(0);
  }
}
