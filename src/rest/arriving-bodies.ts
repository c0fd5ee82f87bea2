import { Transform, type Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ownerOf } from '../access/places';
import type { Principal } from '../access/principal';
import { TollgateError } from '../errors';
import { BytesInFlight, KeptBytes, UNCOUNTED_BYTES } from '../gate/kept-bytes';
import type { Sharer } from '../gate/shares';
import { whenAnswered } from '../lib/answered';
import { customerAt } from '../lib/cidr';

/** The largest body of a caller without a credential. */
const MAX_UNKNOWN_BODY_BYTES = 131_072;
/** What a process keeps of such bodies over 16 KiB. */
const MAX_UNKNOWN_BYTES = 4_194_304;
/** Of these, for one address (IPv6: one /64). */
const MAX_UNKNOWN_BYTES_EACH = 524_288;
/** How long such a body may take to arrive. */
const UNKNOWN_BODY_MS = 5_000;
/** What a process keeps of bodies over 16 KiB that administer. */
const MAX_ADMIN_BYTES = 67_108_864;
/** Of these, for one person, for the operator, and for all credentials of a workspace together. */
const MAX_ADMIN_BYTES_EACH = 8_388_608;

/** Whether a body is large, or its length unknown before it is there. */
export function isLarge({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  const length = headers['content-length'];
  return length === undefined ? headers['transfer-encoding'] !== undefined : !(Number(length) <= UNCOUNTED_BYTES);
}

export const PLAIN_BODY = 'Send the body without Content-Encoding.';

/** Whether a body says that it is compressed, which no route takes. */
export function isEncoded({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  const encoding = headers['content-encoding'];
  return encoding !== undefined && !/^(identity)?$/i.test(encoding);
}

/** UNSUPPORTED_MEDIA_TYPE for a body that says that it is compressed, with the status for error handlers that have their own. */
export function requirePlainBody(request: FastifyRequest): void {
  if (request.method === 'POST' && isEncoded(request)) throw Object.assign(new TollgateError('UNSUPPORTED_MEDIA_TYPE', PLAIN_BODY, { issues: [{ path: [], message: PLAIN_BODY }] }), { statusCode: 415 });
}

/** Keeps memory for large bodies of all routes but execute, before they are read. Callers without a credential share a small part of their own. */
export class ArrivingBodies {
  private readonly unknown = new BytesInFlight({ maxBytes: MAX_UNKNOWN_BYTES, maxBytesEach: MAX_UNKNOWN_BYTES_EACH });
  private readonly admin = new BytesInFlight({ maxBytes: MAX_ADMIN_BYTES, maxBytesEach: MAX_ADMIN_BYTES_EACH });

  /**
   * For a hook before parsing: keeps memory for a body until its request is answered, and gives what to read it from. Without a principal,
   * UNAUTHENTICATED for a body over 128 KiB, and the body ends in INVALID_REQUEST if it takes too long. SERVICE_UNAVAILABLE if there is no room.
   */
  async admit(request: FastifyRequest, reply: FastifyReply, payload: Readable, principalOf: () => Promise<Principal | null>): Promise<Readable> {
    requirePlainBody(request);
    if (!isLarge(request)) return payload;
    const { bodyLimit } = request.routeOptions;
    const bytes = Number(request.headers['content-length'] ?? bodyLimit);
    if (bytes > bodyLimit) return payload; // which Fastify refuses
    const principal = await principalOf();
    if (!principal) {
      this.keepUnknown(request, reply);
      return bounded(payload);
    }
    this.keep(this.admin, bytes, sharerOf(principal), request, reply);
    return payload;
  }

  /** For a route that reads a body itself, at most 128 KiB: keeps memory for that until its request is answered. A body that takes too long is cut off. */
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
    if (!kept.keep(bytes, sharer)) throw new TollgateError('SERVICE_UNAVAILABLE', 'Too many large requests are on their way; try again later.');
    kept.use();
    whenAnswered(request.raw, reply.raw, () => kept.release());
  }
}

const TOO_LARGE = `Without a credential a request has at most ${MAX_UNKNOWN_BODY_BYTES} bytes; send a credential.`;

/** People of one workspace share, too: inviting more gives no more room. */
function sharerOf(principal: Principal): Sharer {
  const id = ownerOf(principal);
  if (principal.kind !== 'USER') return { id };
  const [workspaceId] = principal.permissionsByWorkspace.keys();
  return workspaceId === undefined ? { id } : { id, group: `people of ${workspaceId}` };
}

/** A body that fails where it is too large or takes too long. */
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
