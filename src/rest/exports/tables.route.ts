import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { may } from '../../access/policies';
import type { Database } from '../../db/database';
import { isOutage } from '../../db/failures';
import { TollgateError, invalid, validate } from '../../errors';
import type { Authenticator } from '../../gate/authenticator';
import { keysTable } from './keys.table';
import { ledgerTable } from './ledger.table';
import { csvHeader, csvLines, jsonLine } from './lines';
import type { ExportPlaces } from './export-places';
import { readerOf, stillMay, workspaceFor } from './reader';
import { requestLogsTable } from './request-logs.table';
import { HEARTBEAT_MS } from './stream';
import { withLists, type ExportedTable, type formats } from './table';
import type { Turns } from './turns';

/** All exported tables. */
export const EXPORTED_TABLES = [ledgerTable, requestLogsTable, keysTable] as unknown as readonly ExportedTable[];

export interface TableExportDeps {
  authenticator: Pick<Authenticator, 'bySecret'>;
  database: Database;
  hasWorkspace(id: string): Promise<boolean>;
}

type Format = (typeof formats)[number];
type CommonQuery = { format: Format; workspaceId?: string };

const MEDIA_TYPES: Record<Format, string> = {
  csv: 'text/csv; charset=utf-8; header=present',
  ndjson: 'application/x-ndjson; charset=utf-8',
};

/** Registers `GET /v1/export/{ledger|request-logs|keys}`: each streams a complete list of the admin API. */
export function registerTableExports(rest: FastifyInstance, places: ExportPlaces, turns: Turns, deps: TableExportDeps): void {
  const { authenticator, database, hasWorkspace } = deps;
  for (const table of EXPORTED_TABLES) {
    rest.get(`/v1/export/${table.name}`, async (request, reply) => {
      const reader = await readerOf(request, authenticator);
      const query = validate(table.query, withLists(table.query, request.query as object)) as z.output<typeof table.query> & CommonQuery;
      const workspaceId = await workspaceFor(reader, query.workspaceId, table.permission, hasWorkspace);
      if (workspaceId === undefined) throw invalid({ path: ['workspaceId'], message: 'is required of the operator' });
      // All of these are checked again during the export, so that losing one ends it
      const permissions = [table.permission, ...table.besides.filter((permission) => may(reader, permission, workspaceId))];
      const sees = permissions.includes.bind(permissions);
      const { rows, startedAt } = await orUnavailable(async () => {
        const startedAt = await database.now();
        return { startedAt, rows: await table.rows({ reader: database.reader, workspaceId, query, startedAt, sees }) };
      });
      const name = `${table.name}-${startedAt.toISOString().replace(/[-:]|\.\d+/g, '')}.${query.format}`;
      void reply.header('content-type', MEDIA_TYPES[query.format]).header('content-disposition', `attachment; filename="${name}"`);
      return places.send(request, reply, reader, {
        chunks: (stop) => turns.each(chunksOf(rows, Object.keys(table.line.shape), query.format, stop)),
        mayRead: () => stillMay(request, authenticator, (now) => permissions.every((permission) => may(now, permission, workspaceId))),
      });
    });
  }
}

/**
 * Yields a chunk for each window, empty if the window has no wanted rows. Throws if stopped, because the broken connection tells the client
 * that the export is incomplete.
 */
async function* chunksOf(
  windows: AsyncIterable<object[]>,
  columns: readonly string[],
  format: Format,
  stop: AbortSignal,
): AsyncGenerator<string> {
  let sentAt = performance.now();
  if (format === 'csv') yield csvHeader(columns);
  for await (const rows of windows) {
    stop.throwIfAborted();
    const isSilent = rows.length === 0 && performance.now() - sentAt < HEARTBEAT_MS;
    if (!isSilent) sentAt = performance.now();
    if (rows.length > 0) yield format === 'csv' ? csvLines(columns, rows) : rows.map(jsonLine).join('');
    else yield isSilent || format === 'csv' ? '' : '\n'; // an empty line is a heartbeat, which CSV cannot have
  }
}

async function orUnavailable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw isOutage(error) ? new TollgateError('SERVICE_UNAVAILABLE', undefined, {}, { cause: error }) : error;
  }
}
