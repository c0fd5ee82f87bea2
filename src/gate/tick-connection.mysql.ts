import type { Pool, PoolConnection, QueryError } from 'mysql2';
import type { MysqlSettings } from '../config';
import { openPool } from '../db/mysql-pool';
import { mysqlConnectionOptions, sessionStatements, type MysqlProduct } from '../db/mysql-session';
import type { TickConnection, TickConnections } from './tick-connection';
import type { SqlRow } from './tick-reads';
import { MYSQL } from './tick-sql';

/** Connections of the gate's own pool: for the main lane, look-ups, and projects that wait for a lock. */
export const TICK_CONNECTIONS = 10;

/** How long each exchange of a tick may take: a connection, its reads, its writes with the COMMIT. */
export const TICK_DEADLINE_MS = 5_000;

// Idle connections are closed here before the server does it: its wait_timeout is short, so that a node which is cut off in the
// middle of a transaction frees the project that it has locked within seconds.
const IDLE_TIMEOUT_MS = 5_000;
const SESSION = { lockWaitSeconds: 2, idleSeconds: 10, readTimeoutMs: 0 };

/** Ticks on MySQL and MariaDB: several statements a packet, two packets a tick. */
export class MysqlTickConnections implements TickConnections {
  readonly dialect = MYSQL;
  readonly maxBytes: number;
  private readonly pool: Pool;

  constructor(settings: MysqlSettings, product: MysqlProduct, maxAllowedPacketBytes: number) {
    this.maxBytes = Math.floor(maxAllowedPacketBytes / 4);
    const options = {
      ...mysqlConnectionOptions(settings),
      multipleStatements: true,
      queryFormat: (sql: string) => sql, // the SQL is whole: there are no placeholders to look for in it
      connectionLimit: TICK_CONNECTIONS,
      maxIdle: TICK_CONNECTIONS - 1, // below the limit, or mysql2 closes no idle one
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
      inTime<SqlRow[][]>((done) => connection.query(statements.join('; '), (error: QueryError | null, results: unknown) => done(error, results as SqlRow[][])));
    return {
      begin: async (selects) => (await query(['START TRANSACTION', ...selects])).slice(1),
      ask: (selects) => query([...selects, 'DO 0']), // of two statements at least, so that the driver answers a list of results
      commit: async (writes) => void (await query([`${writes}COMMIT`])),
      release: () => connection.release(),
      // Never given back: a failed statement leaves the transaction open, and the next START TRANSACTION would commit its half.
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

/** Whether the server itself said no, so that nothing was committed; else the connection broke or was given up on. */
function isServersAnswer(error: unknown): boolean {
  const { errno, fatal, sqlState } = error as { errno?: number; fatal?: boolean; sqlState?: string };
  // 08S01 and 70100 are said of connections that the server is ending, whatever it did before
  return typeof errno === 'number' && errno > 0 && fatal !== true && sqlState !== '08S01' && sqlState !== '70100';
}

/** What `work` gives, or a failure once TICK_DEADLINE_MS have passed; what comes later is handed to `late`. */
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
