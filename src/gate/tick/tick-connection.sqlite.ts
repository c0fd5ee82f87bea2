import type { Database } from '../../db/database';
import { ThreadConnection } from '../../db/thread-connection';
import type { TickConnection, TickConnections } from './tick-connection';
import type { SqlRow } from './tick-reads';
import { SQLITE } from './tick-dialect';

/** The connection of ticks on SQLite. It runs in a separate thread and takes turns with the transactions of administrators. */
export class SqliteTickConnections implements TickConnections {
  readonly dialect = SQLITE;
  readonly maxBytes = 16 * 1024 * 1024;
  private readonly thread: ThreadConnection;

  constructor(
    private readonly database: Database,
    path: string,
  ) {
    this.thread = new ThreadConnection(path);
  }

  async open(): Promise<TickConnection> {
    const { thread } = this;
    const release = await this.database.writeTurn();
    return {
      begin: (selects) => thread.run('BEGIN IMMEDIATE', selects),
      ask: (selects) => thread.run('', selects),
      commit: async (writes) => void (await thread.run(`${writes}COMMIT`)),
      release,
      // ROLLBACK fails if SQLite has already rolled back
      destroy: () => void thread.run('ROLLBACK').catch(() => undefined).then(release),
    };
  }

  /** Does not use the thread, because a transaction may be open there. */
  async read(select: string): Promise<SqlRow[]> {
    return this.database.readConnection.prepare(select).all() as SqlRow[];
  }

  /** Always true: the thread lives as long as the process, so no answer can be lost. */
  isAnswer(): boolean {
    return true;
  }

  close(): Promise<void> {
    return this.thread.close();
  }
}
