import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { secretFrom } from '../access/credential';
import { may, requireAdministered, requirePermission } from '../access/policies';
import type { KeyPrincipal, OperatorPrincipal } from '../access/principal';
import type { TrailEntry, TrailRequest } from '../audit/trail';
import { isPlaceOf, trailPlace } from '../audit/trail.cursor';
import { TollgateError, invalid, validate } from '../errors';
import type { Gate } from '../gate/gate';
import { plainAddress } from '../lib/cidr';
import { lineOf } from './export.lines';
import { exportQuery } from './export.schema';
import { exportStream } from './export.stream';

/** Exports that one process sends at once; past it: 503. */
export const MAX_EXPORTS = 16;
/** Of these, for each principal, so that no tenant locks others out; all keys of a workspace are one, or minting more would get around it. */
export const MAX_EXPORTS_PER_PRINCIPAL = 4;
/** How long a reader may take for what it was sent when the process stops; then its connection is cut. */
const LAST_WORDS_MS = 1_000;

export interface ExportDeps {
  gate: Gate;
  /** What was sealed, in the order of the seals. */
  readTrail(request: TrailRequest): Promise<TrailEntry[]>;
  hasWorkspace(id: string): Promise<boolean>;
}

/** `GET /v1/audit/export`: the audit trail, line by line, for tools that collect such things. */
export function registerExport(rest: FastifyInstance, { gate, readTrail, hasWorkspace }: ExportDeps): void {
  const running = new Map<Readable, string>(); // and whose it is
  const stop = new AbortController();
  rest.addHook('preClose', async () => {
    stop.abort();
    setTimeout(() => [...running.keys()].forEach((stream) => stream.destroy()), LAST_WORDS_MS).unref();
  });

  rest.get('/v1/audit/export', async (request, reply) => {
    const principal = await principalOf(request, gate);
    const query = validate(exportQuery, request.query);
    const workspaceId = query.workspaceId ?? (principal.kind === 'OPERATOR' ? undefined : principal.workspaceId);
    if (query.workspaceId !== undefined) {
      const workspace = (await hasWorkspace(query.workspaceId)) ? { workspaceId: query.workspaceId } : null;
      requireAdministered(principal, workspace, 'read.audit');
    } else if (workspaceId !== undefined) {
      requirePermission(principal, 'read.audit', workspaceId);
    }
    const after = await positionOf(query.after, readTrail);
    void reply.header('content-type', 'application/x-ndjson; charset=utf-8').header('x-accel-buffering', 'no');
    if (request.method === 'HEAD') return reply.send('');
    const reader = principal.kind === 'OPERATOR' ? principal.id : principal.workspaceId;
    if (running.size >= MAX_EXPORTS) throw new TollgateError('SERVICE_UNAVAILABLE', 'Too many exports are running; try again later.');
    if ([...running.values()].filter((other) => other === reader).length >= MAX_EXPORTS_PER_PRINCIPAL) {
      throw new TollgateError('SERVICE_UNAVAILABLE', 'Too many exports of yours are running; end one, or try again later.');
    }

    const hungUp = new AbortController();
    const hangUp = () => hungUp.abort();
    if (reply.raw.destroyed) hangUp(); // while it waited for the above
    else reply.raw.once('close', hangUp);
    const stream = exportStream({
      read: readTrail,
      mayRead: () => mayStillRead(request, gate, workspaceId),
      lineOf: (entry) => lineOf(entry, query.format),
      chainId: workspaceId,
      after,
      follow: query.follow === 'true',
      stop: AbortSignal.any([stop.signal, hungUp.signal]),
    });
    running.set(stream, reader);
    stream.once('close', () => running.delete(stream));
    return reply.send(stream);
  });
}

/** Whoever asks, by the secret that they bring: a cookie counts at `/graphql` alone. UNAUTHORIZED where nobody does, or with a credential that does not work now. */
async function principalOf(request: FastifyRequest, gate: Gate): Promise<OperatorPrincipal | KeyPrincipal> {
  const secret = secretFrom(request.headers);
  if (secret === undefined) throw new TollgateError('MISSING_API_KEY', undefined, { header: 'Authorization' });
  const identity = await gate.identify(secret, plainAddress(request.ip));
  if (identity.kind === 'refused') throw new TollgateError(identity.code);
  return identity.principal;
}

/** The position to read on from. INVALID_REQUEST where something else stands there, or nothing: what was sealed since would be missed unseen. */
async function positionOf(cursor: string | undefined, readTrail: ExportDeps['readTrail']): Promise<number> {
  const place = cursor === undefined ? undefined : trailPlace(cursor);
  if (!place) return 0;
  const [entry] = await readTrail({ after: place.position - 1, limit: 1 });
  if (isPlaceOf(place, entry)) return place.position;
  throw invalid({ path: ['after'], message: 'is not a place in this trail; was a backup restored? Begin again without it' });
}

async function mayStillRead(request: FastifyRequest, gate: Gate, workspaceId: string | undefined): Promise<boolean> {
  try {
    const principal = await principalOf(request, gate);
    return workspaceId === undefined ? principal.kind === 'OPERATOR' : may(principal, 'read.audit', workspaceId);
  } catch (error) {
    if (error instanceof TollgateError && error.kind !== 'SERVICE_UNAVAILABLE') return false;
    throw error;
  }
}
