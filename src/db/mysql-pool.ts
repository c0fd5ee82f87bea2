import { randomInt } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { createPool, type Pool, type PoolConnection, type PoolOptions, type QueryError } from 'mysql2';
import { isSpent } from './failures';
import { READ_ONLY_SQL, readOnlyFault, sessionFault } from './mysql-session';

/**
 * How long a connection is used. After a failover the old primary may live on: nothing read from it is older than this,
 * so what has ended on the new primary is refused in less than 15 seconds.
 */
export const CONNECTION_AGE_MS = 10_000;
/** Connections that were opened together do not end together. */
const AGE_JITTER_MS = 2_500;

export interface PoolRules {
  /** What each connection begins with. Where one of these fails, so does everything that waits for the connection. */
  session: string[];
  /** For a server: connections have a greatest age and lead to a server that takes writes. */
  forServer: boolean;
  /** How long a statement may take until its connection is given up; no limit where absent. */
  deadlineMs?: number;
}

/**
 * A pool whose connections are all set up alike. Once the server says that a connection can no longer do its work, because it has become
 * read-only or the account was locked, the pool uses none of the connections that it has, and opens others.
 */
export function openPool(options: PoolOptions, { session, forServer, deadlineMs }: PoolRules): Pool {
  const pool = createPool(options);
  let usableUntil = new WeakMap<PoolConnection, number>();
  const discard = () => (usableUntil = new WeakMap());
  pool.on('connection', (connection) => {
    watch(connection, deadlineMs, discard);
    const age = forServer ? CONNECTION_AGE_MS - randomInt(AGE_JITTER_MS) : Infinity;
    usableUntil.set(connection, performance.now() + age);
    // Queued before whatever asked for the connection
    for (const statement of session) connection.query(statement, (error) => error && breakOff(connection, sessionFault(error)));
    if (forServer) {
      connection.query(READ_ONLY_SQL, (error, rows) => {
        const fault = error ?? readOnlyFault((rows as Record<string, unknown>[])[0]);
        if (fault) breakOff(connection, fault);
      });
    }
  });
  const take = pool.getConnection.bind(pool);
  pool.getConnection = (done) =>
    take((error, connection) => {
      if (error || performance.now() < (usableUntil.get(connection) ?? 0)) {
        done(error, connection);
      } else {
        connection.end(); // `gracefulEnd`: it leaves the pool, and the server is told
        pool.getConnection(done);
      }
    });
  return pool;
}

type Query = (...given: unknown[]) => EventEmitter;
type Done = (error: QueryError | null, ...results: unknown[]) => void;

/**
 * Calls `discard` where the server says that its connections are spent. Breaks a connection whose statement is not answered in time:
 * ETIMEDOUT.
 */
function watch(connection: PoolConnection, deadlineMs: number | undefined, discard: () => void): void {
  const query = connection.query.bind(connection) as Query;
  const late = () => breakOff(connection, Object.assign(new Error('The database did not answer in time.'), { code: 'ETIMEDOUT' }));
  const watched: Query = (...given) => {
    const done = given.pop() as Done;
    const timer = deadlineMs === undefined ? undefined : setTimeout(late, deadlineMs).unref();
    return query(...given, (error: QueryError | null, ...results: unknown[]) => {
      clearTimeout(timer);
      if (error && isSpent(error)) discard();
      done(error, ...results);
    });
  };
  Object.assign(connection, { query: watched });
}

/** Ends a connection at once; everything that waits for its answers is told this failure. */
function breakOff(connection: PoolConnection, error: Error): void {
  (connection as unknown as { stream: Socket }).stream.destroy(error);
}
