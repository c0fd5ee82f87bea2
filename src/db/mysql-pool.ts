import { randomInt } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { createPool, type Pool, type PoolConnection, type PoolOptions, type QueryError } from 'mysql2';
import { isSpent } from './failures';
import { READ_ONLY_SQL, readOnlyFault, sessionFault } from './mysql-session';

/**
 * The longest time that a connection is used. After a failover the old primary may still answer. This limit ends the connections to it, so
 * that a secret that was revoked on the new primary is refused within 15 seconds.
 */
export const CONNECTION_AGE_MS = 10_000;
/** The age limit varies by this much, so that connections that were opened together do not all end at once. */
const AGE_JITTER_MS = 2_500;

export interface PoolRules {
  /** Statements that set up each connection. If one fails, the connection is closed and its queries fail. */
  session: string[];
  /** For a server: limits the age of connections, and rejects connections to a read-only server. */
  forServer: boolean;
  /** The longest time for a statement. After that its connection is closed. Default: no limit. */
  deadlineMs?: number;
}

/**
 * Opens a pool that sets up all its connections in the same way. If the server reports that a connection cannot be used any more, for
 * example because the server became read-only or the account was locked, the pool replaces all its connections.
 */
export function openPool(options: PoolOptions, { session, forServer, deadlineMs }: PoolRules): Pool {
  const pool = createPool(options);
  let usableUntil = new WeakMap<PoolConnection, number>();
  const discard = () => (usableUntil = new WeakMap());
  pool.on('connection', (connection) => {
    watch(connection, deadlineMs, discard);
    const age = forServer ? CONNECTION_AGE_MS - randomInt(AGE_JITTER_MS) : Infinity;
    usableUntil.set(connection, performance.now() + age);
    // These run first: the query that needs the connection is queued after them
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
        connection.end(); // removes it from the pool and, with `gracefulEnd`, tells the server
        pool.getConnection(done);
      }
    });
  return pool;
}

type Query = (...given: unknown[]) => EventEmitter;
type Done = (error: QueryError | null, ...results: unknown[]) => void;

/**
 * Calls `discard` if an error says that the connection cannot be used any more. Destroys the connection with ETIMEDOUT if a statement is
 * not answered in time.
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

/** Destroys a connection. All its queries without an answer fail with this error. */
function breakOff(connection: PoolConnection, error: Error): void {
  (connection as unknown as { stream: Socket }).stream.destroy(error);
}
