import { Transform, type Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ownerOf } from '../access/places';
import type { Principal } from '../access/principal';
import { TollgateError } from '../errors';
import { BytesInFlight, KeptBytes, UNCOUNTED_BYTES } from '../gate/load/kept-bytes';
import type { Sharer } from '../gate/load/shares';
import { whenAnswered } from '../lib/answered';
import { customerAt } from '../lib/cidr';

/** Largest body of a caller without a credential. */
const MAX_UNKNOWN_BODY_BYTES = 131_072;
/** Memory of a process for bodies over 16 KiB of such callers. */
const MAX_UNKNOWN_BYTES = 4_194_304;
/** Share of one address in that memory (IPv6: one /64). */
const MAX_UNKNOWN_BYTES_EACH = 524_288;
/** Time for such a body to arrive. */
const UNKNOWN_BODY_MS = 5_000;
/** Memory of a process for bodies over 16 KiB of callers with a credential, on all routes except execute. */
const MAX_ADMIN_BYTES = 67_108_864;
/** Share of one owner in that memory: one person, the operator, or all credentials of a workspace together. */
const MAX_ADMIN_BYTES_EACH = 8_388_608;

/** Whether a body is over 16 KiB, or has no Content-Length. */
export function isLarge({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  const length = headers['content-length'];
  return length === undefined ? headers['transfer-encoding'] !== undefined : !(Number(length) <= UNCOUNTED_BYTES);
}

export const PLAIN_BODY = 'Send the body without Content-Encoding.';

/** Whether Content-Encoding says that the body is compressed. Every route refuses such a body. */
export function isEncoded({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  const encoding = headers['content-encoding'];
  return encoding !== undefined && !/^(identity)?$/i.test(encoding);
}

/** Throws UNSUPPORTED_MEDIA_TYPE for a compressed body. The error has a `statusCode`, because some error handlers read only that. */
export function requirePlainBody(request: FastifyRequest): void {
  if (request.method !== 'POST' || !isEncoded(request)) return;
  const error = new TollgateError('UNSUPPORTED_MEDIA_TYPE', PLAIN_BODY, { issues: [{ path: [], message: PLAIN_BODY }] });
  throw Object.assign(error, { statusCode: 415 });
}

/** Reserves memory for large bodies of all routes except execute, before they are read. Callers without a credential have a small part. */
export class ArrivingBodies {
  private readonly unknown = new BytesInFlight({ maxBytes: MAX_UNKNOWN_BYTES, maxBytesEach: MAX_UNKNOWN_BYTES_EACH });
  private readonly admin = new BytesInFlight({ maxBytes: MAX_ADMIN_BYTES, maxBytesEach: MAX_ADMIN_BYTES_EACH });

  /**
   * Reserves memory for a body until its request is answered. Returns the stream to read the body from. For a `preParsing` hook. Throws
   * UNSUPPORTED_MEDIA_TYPE for a compressed body, and SERVICE_UNAVAILABLE if no memory is free. Without a principal, a body over 128 KiB is
   * refused with MISSING_API_KEY. A body that takes over 5 s fails with INVALID_REQUEST.
   */
  async admit(
    request: FastifyRequest,
    reply: FastifyReply,
    payload: Readable,
    principalOf: () => Promise<Principal | null>,
  ): Promise<Readable> {
    requirePlainBody(request);
    if (!isLarge(request)) return payload;
    const { bodyLimit } = request.routeOptions;
    const bytes = Number(request.headers['content-length'] ?? bodyLimit);
    if (bytes > bodyLimit) return payload; // Fastify refuses it
    const principal = await principalOf();
    if (!principal) {
      this.keepUnknown(request, reply);
      return bounded(payload);
    }
    this.keep(this.admin, bytes, sharerOf(principal), request, reply);
    return payload;
  }

  /**
   * Does the same for a route that reads its body itself and has no principal. Throws the same errors as `admit` without a principal.
   * A body that takes over 5 s is cut off, because such a route cannot answer it.
   */
  admitUnknown(request: FastifyRequest, reply: FastifyReply): void {
    requirePlainBody(request);
    if (!isLarge(request)) return;
    this.keepUnknown(request, reply);
    const timer = setTimeout(() => request.raw.complete || request.raw.destroy(), UNKNOWN_BODY_MS).unref();
    whenAnswered(request.raw, reply.raw, () => clearTimeout(timer));
  }

  private keepUnknown(request: FastifyRequest, reply: FastifyReply): void {
    const bytes = Number(request.headers['content-length'] ?? MAX_UNKNOWN_BODY_BYTES);
    if (bytes > MAX_UNKNOWN_BODY_BYTES) throw new TollgateError('MISSING_API_KEY', TOO_LARGE);
    this.keep(this.unknown, bytes, { id: customerAt(request.address) }, request, reply);
  }

  private keep(inFlight: BytesInFlight, bytes: number, sharer: Sharer, request: FastifyRequest, reply: FastifyReply): void {
    const kept = new KeptBytes(inFlight);
    if (!kept.keep(bytes, sharer)) throw new TollgateError('SERVICE_UNAVAILABLE', NO_ROOM);
    kept.use();
    whenAnswered(request.raw, reply.raw, () => kept.release());
  }
}

const NO_ROOM = 'This process is receiving too many large requests. Try again later.';
const TOO_LARGE = `A request without a credential may have at most ${MAX_UNKNOWN_BODY_BYTES} bytes. Send a credential.`;

/** The people of a workspace share a group limit. Otherwise inviting people would get a tenant more memory. */
function sharerOf(principal: Principal): Sharer {
  const id = ownerOf(principal);
  if (principal.kind !== 'USER') return { id };
  const [workspaceId] = principal.permissionsByWorkspace.keys();
  return workspaceId === undefined ? { id } : { id, group: `people of ${workspaceId}` };
}

/** Returns the body as a stream that fails if the body is too large or takes too long. */
function bounded(payload: Readable): Readable {
  let bytes = 0;
  const body = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes > MAX_UNKNOWN_BODY_BYTES) done(new TollgateError('MISSING_API_KEY', TOO_LARGE));
      else done(null, chunk);
    },
  });
  const tooLate = new TollgateError('INVALID_REQUEST', `The body did not arrive within ${UNKNOWN_BODY_MS} ms.`, {
    issues: [{ path: [], message: `did not arrive within ${UNKNOWN_BODY_MS} ms` }],
  });
  const timer = setTimeout(() => body.destroy(tooLate), UNKNOWN_BODY_MS).unref();
  body.once('close', () => clearTimeout(timer)).once('end', () => clearTimeout(timer));
  body.on('error', () => payload.unpipe(body));
  payload.once('error', (error) => body.destroy(error));
  return payload.pipe(body);
}
