import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import libsql from 'libsql';
import mysql2, { type PoolOptions } from 'mysql2';
import { DataSource, type MigrationInterface } from 'typeorm';
import type { MysqlSettings, SqliteSettings } from '../config';
import { openPool, type PoolRules } from './mysql-pool';
import { PATIENT, mysqlConnectionOptions, sessionStatements, type MysqlProduct } from './mysql-session';
import { SnakeCaseNaming } from './naming';

type Class<T> = new () => T;

/** What the composition root hands in, so that db knows no feature. */
export interface DatabaseParts {
  entities: Class<object>[];
  migrations: Record<'mysql' | 'sqlite', Class<MigrationInterface>[]>;
}

export const POOL_SIZE = 10;

/**
 * How long a statement may take until its connection is given up, answer or none: one that has gone silent would keep its place in the pool
 * for as long as TCP believes in it.
 */
export const STATEMENT_DEADLINE_MS = 15_000;

// A process that is frozen or cut off in the middle of a transaction frees what it has locked within seconds; idle connections are closed
// here before the server does it. What waits for a lock is tried again.
const IDLE_TIMEOUT_MS = 5_000;
const IMPATIENT = { lockWaitSeconds: 5, idleSeconds: 10 };

/** Its statements take as long as they take: for migrations and commands. */
export function mysqlDataSource(settings: MysqlSettings, parts: DatabaseParts, product: MysqlProduct): DataSource {
  return dataSourceOn(settings, parts, product, { session: sessionStatements(product, PATIENT), forServer: false });
}

/** The same for a server. With a time-out, a SELECT that takes longer is cut off by the database. On MariaDB so is a write: it is for a source that reads. */
export function impatientDataSource(settings: MysqlSettings, parts: DatabaseParts, product: MysqlProduct, readTimeoutMs = 0): DataSource {
  const session = sessionStatements(product, { ...IMPATIENT, readTimeoutMs });
  return dataSourceOn(settings, parts, product, { session, forServer: true, deadlineMs: STATEMENT_DEADLINE_MS });
}

function dataSourceOn(settings: MysqlSettings, parts: DatabaseParts, product: MysqlProduct, rules: PoolRules): DataSource {
  const { user, ...connection } = mysqlConnectionOptions(settings);
  return new DataSource({
    ...connection,
    type: product,
    username: user,
    poolSize: POOL_SIZE,
    extra: { maxIdle: POOL_SIZE - 1, idleTimeout: IDLE_TIMEOUT_MS, gracefulEnd: true }, // below the limit, or mysql2 closes no idle one
    driver: { ...mysql2, createPool: (options: PoolOptions) => openPool(options, rules) },
    ...common(parts, 'mysql'),
  });
}

export function sqliteDataSource(settings: SqliteSettings, parts: DatabaseParts, role: 'writer' | 'reader'): DataSource {
  createPrivately(settings.path);
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

/** Makes the file where there is none, for its owner alone: SQLite gives the same mode to the files that it writes beside it. */
function createPrivately(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    closeSync(openSync(path, 'ax', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
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
