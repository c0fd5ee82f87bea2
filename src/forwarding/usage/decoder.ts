import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';
import type { Transform } from 'node:stream';
import type { Copies } from '../copies';
import type { Usage } from './quantities';
import type { UsageReader } from './readers';

/** Estimated memory of one decoder. */
const DECODER_BYTES = 131_072;
/** Decoding stops at this many plain bytes for each encoded byte, but not before FREE_BYTES. A few bytes can unpack to gigabytes. */
const MAX_RATIO = 200;
const FREE_BYTES = 10 * 1024 * 1024;

/** The content codings of answers that can be read for usage. */
export const READABLE_CODINGS: ReadonlySet<string> = new Set(['gzip', 'x-gzip', 'br', 'deflate', 'identity']);

/** Decodes a copy of an answer with Content-Encoding, and gives the plain bytes to a reader. */
export class DecodingReader {
  private decoder: Transform | undefined;
  private hasFailed = false;
  private encodedBytes = 0;
  private plainBytes = 0;

  /** `onRoom` is called when `take` has returned false, and more may be taken. */
  constructor(
    private readonly encoding: string,
    private readonly reader: UsageReader,
    private readonly copies: Copies,
    private readonly onRoom: () => void,
  ) {}

  /** Takes encoded bytes. Returns false if the decoder has a backlog. Then wait for `onRoom`. */
  take(chunk: Buffer): boolean {
    if (this.hasFailed || this.decoder?.destroyed) return true;
    this.encodedBytes += chunk.length;
    this.decoder ??= this.start(chunk);
    return this.decoder?.write(chunk) ?? true;
  }

  /** Resolves when everything is decoded. Null if it could not be decoded. */
  async end(): Promise<Usage | null> {
    const { decoder } = this;
    if (decoder && !decoder.closed) await new Promise<void>((resolve) => decoder.once('close', resolve).end());
    return this.hasFailed ? null : this.reader.end();
  }

  /** Stops decoding, and gives memory back. */
  stop(): void {
    this.decoder?.destroy();
  }

  private start(first: Buffer): Transform | undefined {
    const decoder = this.copies.grow(DECODER_BYTES) ? decoderFor(this.encoding, first) : undefined;
    if (!decoder) {
      this.fail();
      return undefined;
    }
    decoder.on('data', (plain: Buffer) => this.passOn(plain));
    decoder.on('drain', this.onRoom);
    decoder.on('error', () => this.fail());
    // The decoder never takes bytes that follow the encoded ones, so it would neither drain nor close by itself
    decoder.on('end', () => decoder.destroy());
    decoder.on('close', this.onRoom);
    return decoder;
  }

  private passOn(plain: Buffer): void {
    this.plainBytes += plain.length;
    if (this.plainBytes > FREE_BYTES + MAX_RATIO * this.encodedBytes) this.fail();
    else this.reader.take(plain);
  }

  private fail(): void {
    this.hasFailed = true;
    this.decoder?.destroy();
  }
}

function decoderFor(encoding: string, first: Buffer): Transform | undefined {
  switch (encoding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'br':
      return createBrotliDecompress();
    case 'deflate':
      return ((first[0] as number) & 0x0f) === 8 ? createInflate() : createInflateRaw(); // many servers send it without the zlib header
    default:
      return undefined;
  }
}
