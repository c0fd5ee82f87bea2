import type { FastifyInstance } from 'fastify';
import type { Log } from '../lib/log';
import { withTimeout } from '../lib/time';
import { sendError } from './answer';
import { registerExecute } from './execute.route';
import { registerAuditExport, type AuditExportDeps } from './exports/audit.route';
import { ExportPlaces } from './exports/export-places';
import { registerTableExports, type TableExportDeps } from './exports/tables.route';
import { Turns } from './exports/turns';
import { registerHolds } from './holds.route';
import { registerSelf } from './self.route';
import { registerVerify, type VerifyDeps } from './verify.route';

export interface RestDeps extends AuditExportDeps, TableExportDeps, VerifyDeps {
  log: Log;
  /** Rejects if the database cannot be reached or takes no writes. */
  ping(): Promise<void>;
  openApi: object;
  /** The public keys of the tokens that name callers to upstreams. */
  principalKeys: object;
}

const READY_TIMEOUT_MS = 2_000;

/** Registers the REST routes. */
export function registerRest(app: FastifyInstance, { ping, openApi, principalKeys, ...deps }: RestDeps): void {
  app.get('/healthz', async () => ({ ok: true }));
  app.get('/readyz', async (request, reply) => {
    try {
      await withTimeout(ping(), READY_TIMEOUT_MS);
      return { ok: true };
    } catch {
      return sendError(reply, request.requestId, { code: 'SERVICE_UNAVAILABLE', message: 'The database cannot be reached.', details: {} });
    }
  });
  app.get('/openapi.json', async () => openApi);
  app.get('/.well-known/tollgate/jwks.json', async () => principalKeys);
  void app.register(async (rest) => registerExecute(rest, deps.gate, deps.gate.bodyOwners(() => deps.database.now())));
  void app.register(async (rest) => registerVerify(rest, deps));
  void app.register(async (rest) => registerHolds(rest, deps));
  registerSelf(app, deps.gate);
  void app.register(async (rest) => {
    const places = new ExportPlaces(rest, deps.log);
    registerAuditExport(rest, places, deps);
    registerTableExports(rest, places, new Turns(), deps);
  });
}
