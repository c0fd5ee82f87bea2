import { setTimeout as wait } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { may } from '../../access/policies';
import type { TrailEntry, TrailRequest } from '../../audit/trail';
import { positionOf } from '../../audit/trail.cursor';
import { validate } from '../../errors';
import type { Authenticator } from '../../gate/authenticator';
import { lineOf } from './audit.lines';
import { auditQuery } from './audit.schema';
import type { ExportPlaces } from './export-places';
import { readerOf, stillMay, workspaceFor, type Reader } from './reader';
import { EXPORT_POLL_MS, HEARTBEAT_MS } from './stream';

/** Events read at once. The next ones are read after the client has taken these. */
const PAGE = 500;

export interface AuditExportDeps {
  authenticator: Pick<Authenticator, 'bySecret'>;
  /** Returns sealed events in the order in which they were sealed. */
  readTrail(request: TrailRequest): Promise<TrailEntry[]>;
  hasWorkspace(id: string): Promise<boolean>;
}

/** Registers `GET /v1/audit/export`: streams the audit trail line by line, for example to a SIEM. */
export function registerAuditExport(rest: FastifyInstance, places: ExportPlaces, deps: AuditExportDeps): void {
  const { authenticator, readTrail, hasWorkspace } = deps;
  rest.get('/v1/audit/export', async (request, reply) => {
    const reader = await readerOf(request, authenticator);
    const query = validate(auditQuery, request.query);
    const workspaceId = await workspaceFor(reader, query.workspaceId, 'read.audit', hasWorkspace);
    const after = query.after === undefined ? 0 : await positionOf(query.after, readTrail);
    const lines: TrailLines = {
      read: readTrail,
      lineOf: (entry) => lineOf(entry, query.format),
      chainId: workspaceId,
      after,
      follow: query.follow === 'true',
    };
    const mayReadNow = (now: Reader) => (workspaceId === undefined ? now.kind === 'OPERATOR' : may(now, 'read.audit', workspaceId));
    void reply.header('content-type', 'application/x-ndjson; charset=utf-8');
    return places.send(request, reply, reader, {
      chunks: (stop) => trailLines(lines, stop),
      mayRead: () => stillMay(request, authenticator, mayReadNow),
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
 * Yields the lines of the trail in the order in which events were sealed. Without `follow`, ends after the last event, and throws if
 * stopped, because an end without an error means that the export is complete. With `follow`, waits for new events, and ends between two
 * lines if stopped. Such an export is never complete. Each line has the cursor to continue from.
 */
export async function* trailLines({ read, lineOf, chainId, after, follow }: TrailLines, stop: AbortSignal): AsyncGenerator<string> {
  let position = after;
  let sentAt = -Infinity; // sends the first heartbeat at once, so that the client gets the headers
  while (!stop.aborted) {
    const page = await read({ chainId, after: position, limit: PAGE });
    for (const entry of page) {
      if (stop.aborted) return follow ? undefined : stop.throwIfAborted();
      yield lineOf(entry);
      position = entry.position;
    }
    if (page.length > 0) sentAt = performance.now();
    if (page.length === PAGE) continue;
    if (!follow) return;
    if (performance.now() - sentAt >= HEARTBEAT_MS) {
      yield '\n';
      sentAt = performance.now();
    }
    await wait(EXPORT_POLL_MS, undefined, { signal: stop }).catch(() => undefined);
  }
  if (!follow) stop.throwIfAborted();
}
