import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

const compress = promisify(gzip);

/** A file that the server keeps in memory. */
export class Asset {
  /** Hash of the content. It is part of the page's links, so that browsers fetch each version exactly once. */
  readonly version: string;
  private compressed: Promise<Buffer> | undefined;

  constructor(
    /** Media type. */
    readonly type: string,
    readonly body: Buffer,
  ) {
    this.version = createHash('sha256').update(body).digest('base64url').slice(0, 22);
  }

  /** The body compressed with gzip. Computed at the first call and then kept. */
  gzipped(): Promise<Buffer> {
    this.compressed ??= compress(this.body, { level: 9 });
    return this.compressed;
  }
}

/** Whether an Accept-Encoding accepts gzip. The weight 0 means that it does not. */
export function takesGzip(acceptEncoding: string | string[] | undefined): boolean {
  return String(acceptEncoding ?? '')
    .split(',')
    .some((coding) => /^\s*(x-)?gzip\s*(;|$)/i.test(coding) && !/;\s*q=0(\.0*)?\s*$/i.test(coding));
}
