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

/** The composition root passes these in, so that this folder does not depend on any feature. */
export interface DatabaseParts {
  entities: Class<object>[];
  migrations: Record<'mysql' | 'sqlite', Class<MigrationInterface>[]>;
}

export const POOL_SIZE = 10;

/**
 * The longest time that a statement may take. After that its connection is closed. Otherwise a connection without answers would keep its
 * place in the pool until TCP reports a time-out.
 */
export const STATEMENT_DEADLINE_MS = 15_000;

// The server ends an idle session after 10 seconds. So a process that freezes in the middle of a transaction does not hold its locks
// longer. The pool closes idle connections earlier, after 5 seconds. A transaction that waited too long for a lock is retried.
const IDLE_TIMEOUT_MS = 5_000;
const IMPATIENT = { lockWaitSeconds: 5, idleSeconds: 10 };

/** A source without time limits, for migrations and commands. */
export function mysqlDataSource(settings: MysqlSettings, parts: DatabaseParts, product: MysqlProduct): DataSource {
  return dataSourceOn(settings, parts, product, { session: sessionStatements(product, PATIENT), forServer: false });
}

/**
 * A source with time limits, for a server. With `readTimeoutMs` the database cuts off a SELECT that takes longer. MariaDB then also cuts
 * off writes, so use the time-out only for a source that only reads.
 */
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
    extra: { maxIdle: POOL_SIZE - 1, idleTimeout: IDLE_TIMEOUT_MS, gracefulEnd: true }, // mysql2 closes idle ones only below the limit
    driver: { ...mysql2, createPool: (options: PoolOptions) => openPool(options, rules) },
    ...common(parts, 'mysql'),
  });
}

export function sqliteDataSource(settings: SqliteSettings, parts: DatabaseParts, role: 'writer' | 'reader'): DataSource {
  createPrivately(settings.path);
  const source = new DataSource({
    type: 'better-sqlite3',
    database: settings.path,
    driver: libsql, // has better-sqlite3's interface, and needs no compiler to install
    timeout: 0, // a busy wait would block the event loop; a locked transaction is retried by a timer
    enableWAL: role === 'writer',
    prepareDatabase: (connection: { exec(sql: string): void }) => {
      connection.exec('PRAGMA synchronous = FULL');
      if (role === 'reader') connection.exec('PRAGMA query_only = ON');
    },
    ...common(parts, 'sqlite'),
  });
  source.driver.supportedDataTypes.push('mediumtext'); // SQLite accepts any type name, but TypeORM checks a list
  return source;
}

/** Creates the file if it does not exist, readable by its owner only. SQLite gives the same mode to the files beside it. */
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
