import { setMaxListeners } from 'node:events';
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { secretFrom } from '../access/credential';
import { may, requireAdministered, requirePermission } from '../access/policies';
import type { KeyPrincipal, OperatorPrincipal } from '../access/principal';
import type { TrailEntry, TrailRequest } from '../audit/trail';
import { TollgateError, validate } from '../errors';
import type { Gate } from '../gate/gate';
import { plainAddress } from '../lib/cidr';
import { lineOf } from './export.lines';
import { exportQuery, trailPosition } from './export.schema';
import { exportLines } from './export.stream';

/** Exports that one process sends at once; past it: 503. */
export const MAX_EXPORTS = 16;
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
  const running = new Set<Readable>();
  const stop = new AbortController();
  setMaxListeners(MAX_EXPORTS, stop.signal);
  rest.addHook('preClose', async () => {
    stop.abort();
    setTimeout(() => running.forEach((stream) => stream.destroy()), LAST_WORDS_MS).unref();
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
    void reply.header('content-type', 'application/x-ndjson; charset=utf-8').header('x-accel-buffering', 'no');
    if (request.method === 'HEAD') return reply.send('');
    if (running.size >= MAX_EXPORTS) throw new TollgateError('SERVICE_UNAVAILABLE', 'Too many exports are running; try again later.');

    const hungUp = new AbortController();
    reply.raw.once('close', () => hungUp.abort());
    const lines = exportLines({
      read: readTrail,
      mayRead: () => mayStillRead(request, gate, workspaceId),
      lineOf: (entry) => lineOf(entry, query.format),
      chainId: workspaceId,
      after: query.after === undefined ? 0 : (trailPosition(query.after) as number),
      follow: query.follow === 'true',
      stop: AbortSignal.any([stop.signal, hungUp.signal]),
    });
    const stream = Readable.from(lines);
    running.add(stream);
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

async function mayStillRead(request: FastifyRequest, gate: Gate, workspaceId: string | undefined): Promise<boolean> {
  try {
    const principal = await principalOf(request, gate);
    return workspaceId === undefined ? principal.kind === 'OPERATOR' : may(principal, 'read.audit', workspaceId);
  } catch (error) {
    if (error instanceof TollgateError && error.kind !== 'SERVICE_UNAVAILABLE') return false;
    throw error;
  }
}
