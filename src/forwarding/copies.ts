/** The memory that copies of answers may use. All calls of a process share it. */
export interface CopyBudget {
  /** Replaces the number of bytes that this call keeps. Returns false and changes nothing if there is no room. */
  keep(bytes: number): boolean;
  /** Gives all bytes back. */
  release(): void;
}

/** Adds up what the copies of one call keep. */
export class Copies {
  private bytes = 0;
  private isReleased = false;

  constructor(private readonly budget: CopyBudget) {}

  /** Keeps `bytes` more, or fewer if negative. Returns false and changes nothing if there is no room. */
  grow(bytes: number): boolean {
    if (this.isReleased || !this.budget.keep(this.bytes + bytes)) return false;
    this.bytes += bytes;
    return true;
  }

  release(): void {
    this.isReleased = true;
    this.budget.release();
  }
}

const SMALLEST_BYTES = 16_384;

/**
 * A copy of the bytes of a stream. One buffer that grows: many small chunks would use far more memory than their bytes. Undefined if the
 * stream was longer than `maxBytes`, or if there was no room.
 */
export class GrowingCopy {
  /** A first chunk is kept as it is, because most answers have only one. */
  private buffer: Buffer | undefined = Buffer.alloc(0);
  private length = 0;

  constructor(
    private readonly copies: Copies,
    private readonly maxBytes: number,
  ) {}

  add(chunk: Buffer): void {
    if (!this.buffer) return;
    const length = this.length + chunk.length;
    if (length > this.maxBytes || !this.hasRoom(length, chunk)) return this.drop();
    if (this.length > 0) chunk.copy(this.buffer, this.length);
    this.length = length;
  }

  bytes(): Buffer | undefined {
    return this.buffer?.subarray(0, this.length);
  }

  drop(): void {
    if (this.buffer) this.copies.grow(-this.buffer.length);
    this.buffer = undefined;
  }

  /** Makes the buffer large enough for `length` bytes. An empty copy takes over the chunk itself. */
  private hasRoom(length: number, chunk: Buffer): boolean {
    const { buffer } = this;
    if (!buffer || length <= buffer.length) return buffer !== undefined;
    const size = this.length === 0 ? chunk.length : Math.min(this.maxBytes, Math.max(SMALLEST_BYTES, 2 * length));
    if (!this.copies.grow(size - buffer.length)) return false;
    this.buffer = this.length === 0 ? chunk : Buffer.allocUnsafeSlow(size);
    if (this.length > 0) buffer.copy(this.buffer, 0, 0, this.length);
    return true;
  }
}
