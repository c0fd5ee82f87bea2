import { setTimeout as wait } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { may } from '../../access/policies';
import type { TrailEntry, TrailRequest } from '../../audit/trail';
import { positionOf } from '../../audit/trail.cursor';
import { validate } from '../../errors';
import type { Principals } from '../../gate/principals';
import { lineOf } from './audit.lines';
import { auditQuery } from './audit.schema';
import type { ExportPlaces } from './places';
import { readerOf, stillMay, workspaceFor } from './reader';
import { EXPORT_POLL_MS, HEARTBEAT_MS } from './stream';

/** Events read at a time. The next ones are read when the reader has taken these. */
const PAGE = 500;

export interface AuditExportDeps {
  principals: Pick<Principals, 'bySecret'>;
  /** What was sealed, in the order of the seals. */
  readTrail(request: TrailRequest): Promise<TrailEntry[]>;
  hasWorkspace(id: string): Promise<boolean>;
}

/** `GET /v1/audit/export`: the audit trail, line by line, for tools that collect such things. */
export function registerAuditExport(rest: FastifyInstance, places: ExportPlaces, { principals, readTrail, hasWorkspace }: AuditExportDeps): void {
  rest.get('/v1/audit/export', async (request, reply) => {
    const reader = await readerOf(request, principals);
    const query = validate(auditQuery, request.query);
    const workspaceId = await workspaceFor(reader, query.workspaceId, 'read.audit', hasWorkspace);
    const after = query.after === undefined ? 0 : await positionOf(query.after, readTrail);
    void reply.header('content-type', 'application/x-ndjson; charset=utf-8');
    return places.send(request, reply, reader, {
      chunks: (stop) => trailLines({ read: readTrail, lineOf: (entry) => lineOf(entry, query.format), chainId: workspaceId, after, follow: query.follow === 'true' }, stop),
      mayRead: () => stillMay(request, principals, (now) => (workspaceId === undefined ? now.kind === 'OPERATOR' : may(now, 'read.audit', workspaceId))),
    });
  });
}

export interface TrailLines {
  read(request: TrailRequest): Promise<TrailEntry[]>;
  lineOf(entry: TrailEntry): string;
  chainId: string | undefined;
  after: number;
  follow: boolean;
}

/**
 * The lines of the trail, in the order of the seals. They end when all are told. When stopped, lines that follow end between two of them:
 * they are never complete, and each has the cursor to go on from. Lines that do not follow throw: their end says that they are complete.
 */
export async function* trailLines({ read, lineOf, chainId, after, follow }: TrailLines, stop: AbortSignal): AsyncGenerator<string> {
  let position = after;
  let spokeAt = -Infinity; // the first silence is broken at once, so that the reader has its headers
  while (!stop.aborted) {
    const page = await read({ chainId, after: position, limit: PAGE });
    for (const entry of page) {
      if (stop.aborted) return follow ? undefined : stop.throwIfAborted();
      yield lineOf(entry);
      position = entry.position;
    }
    if (page.length > 0) spokeAt = performance.now();
    if (page.length === PAGE) continue;
    if (!follow) return;
    if (performance.now() - spokeAt >= HEARTBEAT_MS) {
      yield '\n';
      spokeAt = performance.now();
    }
    await wait(EXPORT_POLL_MS, undefined, { signal: stop }).catch(() => undefined);
  }
  if (!follow) stop.throwIfAborted();
}
