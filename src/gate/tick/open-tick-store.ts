import type { Database } from '../../db/database';
import type { Log } from '../../lib/log';
import { MysqlTickConnections } from './tick-connection.mysql';
import { SqliteTickConnections } from './tick-connection.sqlite';
import type { TickStore } from './tick-store';
import { SqlTickStore } from './tick-store.sql';

/** Makes the tick store of this database. Logs a warning if the server does not flush each commit to disk. */
export async function openTickStore(database: Database, log: Log): Promise<TickStore> {
  const { settings, product = 'mysql' } = database;
  if (settings.type === 'sqlite') return new SqlTickStore(new SqliteTickConnections(database, settings.path), database.clock);
  const [row] = await database.reader.query<{ packet: unknown; flush: unknown }[]>(
    'SELECT @@max_allowed_packet AS packet, @@innodb_flush_log_at_trx_commit AS flush',
  );
  if (Number(row?.flush) !== 1) {
    log.warn({}, 'innodb_flush_log_at_trx_commit is not 1: a crash of the database server can lose calls that were answered and billed');
  }
  return new SqlTickStore(new MysqlTickConnections(settings, product, Number(row?.packet)), database.clock);
}
