/** Bodies and answers up to this are not counted: the connection that brings one has buffers as large. */
export const UNCOUNTED_BYTES = 16_384;

const countedOf = (bytes: number): number => (bytes > UNCOUNTED_BYTES ? bytes : 0);

/** How many bytes requests keep, in all and for each owner, with a bound on both. */
export class BytesInFlight {
  private total = 0;
  private readonly ofOwner = new Map<string, number>();

  constructor(private readonly limits: { maxBytes: number; maxBytesEach: number }) {}

  /** What keeps nothing is refused only where its owner has more than it may. */
  hasRoom(owner: string, bytes: number): boolean {
    return (bytes === 0 || this.total + bytes <= this.limits.maxBytes) && (this.ofOwner.get(owner) ?? 0) + bytes <= this.limits.maxBytesEach;
  }

  /** Fewer where `bytes` is negative. */
  add(owner: string, bytes: number): void {
    if (bytes === 0) return;
    this.total += bytes;
    const kept = (this.ofOwner.get(owner) ?? 0) + bytes;
    if (kept === 0) this.ofOwner.delete(owner);
    else this.ofOwner.set(owner, kept);
  }
}

/** The bytes that one request keeps, of its body and then of its answer, until nobody uses them any more. */
export class KeptBytes {
  private bytes = 0;
  private owner = '';
  private users = 0;

  constructor(private readonly inFlight: BytesInFlight) {}

  /** Whether any are counted. */
  get any(): boolean {
    return this.bytes > 0;
  }

  /** Keeps so many instead of those that it kept, for the same owner or another one; false, and nothing changes, where there is no room. */
  keep(bytes: number, owner = this.owner): boolean {
    const counted = countedOf(bytes);
    if (counted === this.bytes && owner === this.owner) return true;
    this.inFlight.add(this.owner, -this.bytes);
    const hasRoom = this.inFlight.hasRoom(owner, counted);
    if (hasRoom) [this.bytes, this.owner] = [counted, owner];
    this.inFlight.add(this.owner, this.bytes);
    return hasRoom;
  }

  /** Moves what it keeps to another owner; false, and nothing changes, where that one has no room. */
  moveTo(owner: string): boolean {
    return this.keep(this.bytes, owner);
  }

  /** Keeps so many where they are fewer than before, or it is too late to refuse them. */
  keepAnyway(bytes: number): void {
    const counted = countedOf(bytes);
    this.inFlight.add(this.owner, counted - this.bytes);
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
