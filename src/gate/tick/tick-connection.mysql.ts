import type { Pool, PoolConnection, QueryError } from 'mysql2';
import type { MysqlSettings } from '../../config';
import { openPool } from '../../db/mysql-pool';
import { mysqlConnectionOptions, sessionStatements, type MysqlProduct } from '../../db/mysql-session';
import type { TickConnection, TickConnections } from './tick-connection';
import type { SqlRow } from './tick-reads';
import { MYSQL } from './tick-dialect';

/** Connections of the gate's pool: for the main lane, look-ups, and projects that wait for a lock. */
export const TICK_CONNECTIONS = 10;

/** Time limit of each step of a tick: getting a connection, the reads, and the writes with the COMMIT. */
export const TICK_DEADLINE_MS = 5_000;

// The server's wait_timeout is short (`idleSeconds`), so that a node that is cut off in a transaction frees its locks within seconds.
// The pool closes idle connections before the server does it.
const IDLE_TIMEOUT_MS = 5_000;
const SESSION = { lockWaitSeconds: 2, idleSeconds: 10, readTimeoutMs: 0 };

/** Connections of ticks on MySQL and MariaDB. A packet has several statements, and a tick mostly needs two packets. */
export class MysqlTickConnections implements TickConnections {
  readonly dialect = MYSQL;
  readonly maxBytes: number;
  private readonly pool: Pool;

  constructor(settings: MysqlSettings, product: MysqlProduct, maxAllowedPacketBytes: number) {
    this.maxBytes = Math.floor(maxAllowedPacketBytes / 4);
    const options = {
      ...mysqlConnectionOptions(settings),
      multipleStatements: true,
      queryFormat: (sql: string) => sql, // the SQL has no placeholders, so nothing is to be replaced
      connectionLimit: TICK_CONNECTIONS,
      maxIdle: TICK_CONNECTIONS - 1, // must be below the limit, otherwise mysql2 closes no idle connection
      idleTimeout: IDLE_TIMEOUT_MS,
    };
    this.pool = openPool(options, { session: sessionStatements(product, SESSION), forServer: true });
  }

  async open(): Promise<TickConnection> {
    const connection = await inTime<PoolConnection>(
      (done) => this.pool.getConnection((error, opened) => done(error, opened)),
      (late) => late.release(),
    );
    const query = (statements: string[]) =>
      inTime<SqlRow[][]>((done) =>
        connection.query(statements.join('; '), (error: QueryError | null, results: unknown) => done(error, results as SqlRow[][])),
      );
    return {
      begin: async (selects) => (await query(['START TRANSACTION', ...selects])).slice(1),
      ask: (selects) => query([...selects, 'DO 0']), // at least two statements, so that the driver returns a list of results
      commit: async (writes) => void (await query([`${writes}COMMIT`])),
      release: () => connection.release(),
      // Not given back to the pool: a failed statement leaves the transaction open, and the next START TRANSACTION would commit half of it
      destroy: () => connection.destroy(),
    };
  }

  async read(select: string): Promise<SqlRow[]> {
    const connection = await this.open();
    try {
      const [rows] = await connection.ask([select]);
      connection.release();
      return rows as SqlRow[];
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  isAnswer(error: unknown): boolean {
    return isServersAnswer(error);
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) => this.pool.end((error) => (error ? reject(error) : resolve())));
  }
}

/** Returns true if the error is the server's answer, so nothing was committed. Otherwise the connection broke or timed out. */
function isServersAnswer(error: unknown): boolean {
  const { errno, fatal, sqlState } = error as { errno?: number; fatal?: boolean; sqlState?: string };
  // 08S01 and 70100 mean that the server ended the connection. The COMMIT may have succeeded before that.
  return typeof errno === 'number' && errno > 0 && fatal !== true && sqlState !== '08S01' && sqlState !== '70100';
}

/** Returns the result of `work`. Rejects after TICK_DEADLINE_MS; a result that comes later is passed to `late`. */
function inTime<T>(work: (done: (error: Error | null, value: T) => void) => void, late?: (value: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      reject(Object.assign(new Error('The database did not answer in time.'), { code: 'ETIMEDOUT', fatal: true }));
    }, TICK_DEADLINE_MS);
    work((error, value) => {
      clearTimeout(timer);
      if (error) reject(error);
      else if (isLate) late?.(value);
      else resolve(value);
    });
  });
}
