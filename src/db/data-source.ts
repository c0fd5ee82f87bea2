import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import libsql from 'libsql';
import mysql2, { type PoolOptions } from 'mysql2';
import { createConnection } from 'mysql2/promise';
import { DataSource, type MigrationInterface } from 'typeorm';
import { SnakeCaseNaming } from './naming';

export interface MysqlSettings {
  type: 'mysql';
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  /** Encrypted, the server's certificate checked against the authorities that Node trusts. */
  ssl: boolean;
}

export interface SqliteSettings {
  type: 'sqlite';
  path: string;
}

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
  };
}

const POOL_SIZE = 10;

/** The two products report a column differently, and TypeORM wants to be told which of them it meets. */
export async function mysqlProduct(settings: MysqlSettings): Promise<MysqlProduct> {
  const connection = await createConnection(mysqlConnectionOptions(settings));
  const [rows] = await connection.query('SELECT VERSION() AS version').finally(() => connection.end());
  const [{ version }] = rows as [{ version: string }];
  return version.includes('MariaDB') ? 'mariadb' : 'mysql';
}

type MysqlProduct = 'mysql' | 'mariadb';

/** With a time-out, a SELECT that takes longer is cut off by the server. On MariaDB so is a write: it is for a source that reads. */
export function mysqlDataSource(settings: MysqlSettings, parts: DatabaseParts, type: MysqlProduct, timeoutMs = 0): DataSource {
  const { user, ...connection } = mysqlConnectionOptions(settings);
  const driver = timeoutMs > 0 ? withTimeout(type, timeoutMs) : undefined;
  return new DataSource({ ...connection, type, username: user, poolSize: POOL_SIZE, ...(driver && { driver }), ...common(parts, 'mysql') });
}

/** The driver, whose every connection begins by setting the time-out; what is asked of it comes after that. */
function withTimeout(type: MysqlProduct, timeoutMs: number): object {
  const statement = type === 'mariadb' ? `SET SESSION max_statement_time = ${timeoutMs / 1000}` : `SET SESSION max_execution_time = ${timeoutMs}`;
  return {
    ...mysql2,
    createPool: (options: PoolOptions) => {
      const pool = mysql2.createPool(options);
      pool.on('connection', (connection) => connection.query(statement, (error) => error && connection.destroy()));
      return pool;
    },
  };
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
