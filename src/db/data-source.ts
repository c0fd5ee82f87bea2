import type { EventEmitter } from 'node:events';
import { mkdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { dirname } from 'node:path';
import libsql from 'libsql';
import mysql2, { type PoolConnection, type PoolOptions } from 'mysql2';
import { createConnection } from 'mysql2/promise';
import { DataSource, type MigrationInterface } from 'typeorm';
import type { MysqlSettings, SqliteSettings } from '../config';
import { SnakeCaseNaming } from './naming';

type Class<T> = new () => T;

/** What the composition root hands in, so that db knows no feature. */
export interface DatabaseParts {
  entities: Class<object>[];
  migrations: Record<'mysql' | 'sqlite', Class<MigrationInterface>[]>;
}

/** Driver options that the DataSource's pool and the gate's own pool share. */
export function mysqlConnectionOptions({ host, port, user, password, database, ssl }: MysqlSettings) {
  return {
    host,
    port,
    user,
    password,
    database,
    ...(ssl && { ssl: {} }),
    charset: 'utf8mb4_bin',
    timezone: 'Z' as const,
    supportBigNumbers: true,
    connectTimeout: 5_000,
    enableKeepAlive: true,
    keepAliveInitialDelay: 10_000,
  };
}

export const POOL_SIZE = 10;

/**
 * How long a statement may take until its connection is given up, answer or none: one that has gone silent would keep its place in the pool
 * for as long as TCP believes in it.
 */
export const STATEMENT_DEADLINE_MS = 15_000;

// A process that is frozen or cut off in the middle of a transaction frees what it has locked within seconds; idle connections are closed
// here before the server does it. What waits for a lock is tried again.
const WAIT_TIMEOUT_SECONDS = 10;
const IDLE_TIMEOUT_MS = 5_000;
const LOCK_WAIT_SECONDS = 5;

/** The two products report a column differently, and TypeORM wants to be told which of them it meets. */
export async function mysqlProduct(settings: MysqlSettings): Promise<MysqlProduct> {
  const connection = await createConnection(mysqlConnectionOptions(settings));
  const [rows] = await connection.query('SELECT VERSION() AS version').finally(() => connection.end());
  const [{ version }] = rows as [{ version: string }];
  return version.includes('MariaDB') ? 'mariadb' : 'mysql';
}

type MysqlProduct = 'mysql' | 'mariadb';

/** Its statements take as long as they take: for migrations and commands. */
export function mysqlDataSource(settings: MysqlSettings, parts: DatabaseParts, type: MysqlProduct, forServer: object = {}): DataSource {
  const { user, ...connection } = mysqlConnectionOptions(settings);
  return new DataSource({ ...connection, type, username: user, poolSize: POOL_SIZE, ...forServer, ...common(parts, 'mysql') });
}

/** The same for a server. With a time-out, a SELECT that takes longer is cut off by the database. On MariaDB so is a write: it is for a source that reads. */
export function impatientDataSource(settings: MysqlSettings, parts: DatabaseParts, type: MysqlProduct, readTimeoutMs = 0): DataSource {
  const session = [`wait_timeout = ${WAIT_TIMEOUT_SECONDS}`, `innodb_lock_wait_timeout = ${LOCK_WAIT_SECONDS}`];
  if (readTimeoutMs > 0) session.push(type === 'mariadb' ? `max_statement_time = ${readTimeoutMs / 1000}` : `max_execution_time = ${readTimeoutMs}`);
  const extra = { maxIdle: POOL_SIZE - 1, idleTimeout: IDLE_TIMEOUT_MS }; // below the limit, or mysql2 closes no idle one
  return mysqlDataSource(settings, parts, type, { extra, driver: preparing(`SET SESSION ${session.join(', ')}`) });
}

/** The driver, whose every connection begins with a statement; what is asked of it comes after that, and has to be answered in time. */
function preparing(statement: string): object {
  return {
    ...mysql2,
    createPool: (options: PoolOptions) => {
      const pool = mysql2.createPool(options);
      pool.on('connection', (connection) => {
        giveUpLate(connection);
        connection.query(statement, (error) => error && connection.destroy());
      });
      return pool;
    },
  };
}

/** Breaks a connection whose statement is not answered by its deadline: whoever asked is told ETIMEDOUT, and the pool opens another one. */
function giveUpLate(connection: PoolConnection): void {
  const { stream } = connection as unknown as { stream: Socket };
  const query = connection.query.bind(connection) as (...given: unknown[]) => EventEmitter;
  const inTime = (...given: unknown[]): EventEmitter => {
    const late = () => stream.destroy(Object.assign(new Error('The database did not answer in time.'), { code: 'ETIMEDOUT' }));
    const timer = setTimeout(late, STATEMENT_DEADLINE_MS).unref();
    return query(...given).once('end', () => clearTimeout(timer));
  };
  Object.assign(connection, { query: inTime });
}

export function sqliteDataSource(settings: SqliteSettings, parts: DatabaseParts, role: 'writer' | 'reader'): DataSource {
  mkdirSync(dirname(settings.path), { recursive: true, mode: 0o700 });
  const source = new DataSource({
    type: 'better-sqlite3',
    database: settings.path,
    driver: libsql, // better-sqlite3's interface, and no compiler to install it
    timeout: 0, // a busy wait would block every call; who meets a lock tries again by a timer
    enableWAL: role === 'writer',
    prepareDatabase: (connection: { exec(sql: string): void }) => {
      connection.exec('PRAGMA synchronous = FULL');
      if (role === 'reader') connection.exec('PRAGMA query_only = ON');
    },
    ...common(parts, 'sqlite'),
  });
  source.driver.supportedDataTypes.push('mediumtext'); // SQLite takes any name of a type; TypeORM keeps a list
  return source;
}

function common(parts: DatabaseParts, dialect: 'mysql' | 'sqlite') {
  return {
    entities: parts.entities,
    migrations: parts.migrations[dialect],
    migrationsTableName: 'migrations',
    namingStrategy: new SnakeCaseNaming(),
    synchronize: false,
    logging: false as const,
  };
}
