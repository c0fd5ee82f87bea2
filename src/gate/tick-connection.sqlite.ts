import type { Database } from '../db/database';
import { ThreadConnection } from '../db/thread-connection';
import type { TickConnection, TickConnections } from './tick-connection';
import type { SqlRow } from './tick-reads';
import { SQLITE } from './tick-sql';

/** Ticks on SQLite: one connection in a thread of its own, between the transactions of administrators. */
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
      destroy: () => void thread.run('ROLLBACK').catch(() => undefined).then(release), // it fails where all is rolled back already
    };
  }

  /** Not by the thread, which may be in the middle of a transaction. */
  async read(select: string): Promise<SqlRow[]> {
    return this.database.readConnection.prepare(select).all() as SqlRow[];
  }

  /** It has no way to be lost: the thread lives as long as the process. */
  isAnswer(): boolean {
    return true;
  }

  close(): Promise<void> {
    return this.thread.close();
  }
}
