import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

const compress = promisify(gzip);

/** A file that a server keeps in memory. */
export class Asset {
  /** Of the content: in the page's links, so that a new release is fetched anew and an old one never again. */
  readonly version: string;
  private compressed: Promise<Buffer> | undefined;

  constructor(
    /** Its media type. */
    readonly type: string,
    readonly body: Buffer,
  ) {
    this.version = createHash('sha256').update(body).digest('base64url').slice(0, 22);
  }

  /** The body under gzip, computed when it is first wanted and then kept. */
  gzipped(): Promise<Buffer> {
    this.compressed ??= compress(this.body, { level: 9 });
    return this.compressed;
  }
}

/** Whether an Accept-Encoding names gzip without giving it the weight 0, which means "not that". */
export function takesGzip(acceptEncoding: string | string[] | undefined): boolean {
  return String(acceptEncoding ?? '')
    .split(',')
    .some((coding) => /^\s*(x-)?gzip\s*(;|$)/i.test(coding) && !/;\s*q=0(\.0*)?\s*$/i.test(coding));
}
