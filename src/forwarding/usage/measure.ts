import type { Copies } from '../copies';
import type { AnswerHead } from '../answer-headers';
import { DecodingReader } from './decoder';
import { readUsageField, type Usage } from './quantities';
import { readerFor, type UsageReader, type UsageSource } from './readers';

/**
 * Finds out how much a call used: from `Tollgate-Usage` in the trailers or in the head, otherwise from the body. The body is only read, the
 * caller gets it as it came.
 */
export class Measure {
  private readonly fromHead: Usage | null;
  private readonly plain: UsageReader | undefined;
  private readonly encoded: DecodingReader | undefined;

  /** `onRoom` is called when `take` has returned false, and more may be taken. */
  constructor(head: AnswerHead, sources: readonly UsageSource[], copies: Copies, onRoom: () => void) {
    this.fromHead = head.usage === undefined ? null : readUsageField(head.usage);
    if (this.fromHead !== null || sources.length === 0) return;
    const reader = readerFor(head.contentType, sources, copies);
    const encoding = head.contentEncoding.trim().toLowerCase();
    if (!reader || encoding === '' || encoding === 'identity') this.plain = reader;
    else this.encoded = new DecodingReader(encoding, reader, copies, onRoom);
  }

  /** Takes a part of the body. Returns false if the caller must wait for `onRoom`. */
  take(chunk: Buffer): boolean {
    if (this.encoded) return this.encoded.take(chunk);
    this.plain?.take(chunk);
    return true;
  }

  /** Null if the answer has no quantity. `usageField` is `Tollgate-Usage` of the trailers. */
  async end(usageField: string | undefined): Promise<Usage | null> {
    const fromTrailers = usageField === undefined ? null : readUsageField(usageField);
    return fromTrailers ?? this.fromHead ?? (this.encoded ? this.encoded.end() : (this.plain?.end() ?? null));
  }

  /** Stops reading and gives memory back. */
  stop(): void {
    this.encoded?.stop();
  }
}
