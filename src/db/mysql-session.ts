import { createConnection, type Connection } from 'mysql2/promise';
import type { MysqlSettings } from '../config';
import { isUnavailable, unfit } from './failures';

// Sets every session variable that a result depends on, so that the defaults of the server do not matter.

export type MysqlProduct = 'mysql' | 'mariadb';

/** The time limits of a session. */
export interface SessionTimes {
  /** How long to wait for a row that another transaction has locked. */
  lockWaitSeconds: number;
  /** How long a session may be idle. After that the server ends it and releases its locks. */
  idleSeconds: number;
  /** The longest time for a SELECT; 0 for no limit. MariaDB applies it to writes too. */
  readTimeoutMs: number;
}

/** For migrations and commands, which may take long. */
export const PATIENT: SessionTimes = { lockWaitSeconds: 50, idleSeconds: 28_800, readTimeoutMs: 0 };

/** How long to wait for a table. Longer than any other limit, because ALTER TABLE waits for all statements that use the table. */
const TABLE_LOCK_WAIT_SECONDS = 60;

const ON_EVERY_PRODUCT = [
  'autocommit = 1',
  "completion_type = 'NO_CHAIN'",
  // Set completely: NO_BACKSLASH_ESCAPES would let a value end its string; PIPES_AS_CONCAT and ANSI_QUOTES change what SQL means
  "sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
  "time_zone = '+00:00'",
  'timestamp = DEFAULT',
  // Set again because a server can ignore the character set of the handshake
  "character_set_client = 'utf8mb4'",
  "character_set_connection = 'utf8mb4'",
  "character_set_results = 'utf8mb4'",
  "collation_connection = 'utf8mb4_bin'",
  // No limit. DEFAULT would take the limit of the server
  'sql_select_limit = 18446744073709551615',
  'sql_big_selects = 1',
  'sql_safe_updates = 0',
  'sql_auto_is_null = 0',
  // The number of bytes that an ORDER BY compares. No value that orders a list is longer
  'max_sort_length = 1024',
  'foreign_key_checks = 1',
  'unique_checks = 1',
  "default_storage_engine = 'InnoDB'",
  `lock_wait_timeout = ${TABLE_LOCK_WAIT_SECONDS}`,
];

const ON_MARIADB = [
  'check_constraint_checks = 1', // the CHECKs guard the balances
  "old_mode = ''",
  'in_predicate_conversion_threshold = 0', // otherwise a long IN list becomes a join, which locks other rows too
];

/** The statements that set up every connection, in this order. */
export function sessionStatements(product: MysqlProduct, { lockWaitSeconds, idleSeconds, readTimeoutMs }: SessionTimes): string[] {
  const times = [
    `innodb_lock_wait_timeout = ${lockWaitSeconds}`,
    `wait_timeout = ${idleSeconds}`,
    product === 'mariadb' ? `max_statement_time = ${readTimeoutMs / 1000}` : `max_execution_time = ${readTimeoutMs}`,
  ];
  return [
    `SET SESSION ${[...ON_EVERY_PRODUCT, ...(product === 'mariadb' ? ON_MARIADB : []), ...times].join(', ')}`,
    'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE',
  ];
}

/** Makes the error for a failed set-up statement: a reason not to start, unless the database is only unavailable. */
export function sessionFault(error: Error): Error {
  return isUnavailable(error) ? error : unfit(`The server refuses a session setting that correctness depends on: ${error.message}`);
}

/** Detects the product of a server, which TypeORM must know. Rejects if the server has unsuitable settings. */
export async function mysqlProduct(settings: MysqlSettings): Promise<MysqlProduct> {
  const connection = await createConnection(mysqlConnectionOptions(settings));
  try {
    // Must come first, because with the settings of the server a SELECT may return no rows
    await setUp(connection, [`SET SESSION ${ON_EVERY_PRODUCT.join(', ')}`]);
    const [rows] = await connection.query('SELECT VERSION() AS version');
    const [{ version }] = rows as [{ version: string }];
    const product = version.includes('MariaDB') ? 'mariadb' : 'mysql';
    await setUp(connection, sessionStatements(product, PATIENT));
    await refuseUnfit(connection);
    return product;
  } finally {
    await connection.end().catch(() => undefined); // it may already be lost
  }
}

async function setUp(connection: Connection, statements: string[]): Promise<void> {
  for (const statement of statements) {
    await connection.query(statement).catch((error: Error) => {
      throw sessionFault(error);
    });
  }
}

/** Rejects unsuitable settings that a session cannot change. */
async function refuseUnfit(connection: Connection): Promise<void> {
  const [rows] = await connection.query("SHOW VARIABLES WHERE Variable_name IN ('enforce_storage_engine', 'log_bin', 'binlog_format')");
  const values = new Map((rows as { Variable_name: string; Value: string }[]).map((row) => [row.Variable_name, row.Value]));
  const engine = values.get('enforce_storage_engine') ?? '';
  if (engine !== '' && engine.toLowerCase() !== 'innodb') {
    throw unfit(`Unset enforce_storage_engine, which is ${engine}: only InnoDB tables have transactions.`);
  }
  if (values.get('log_bin') === 'ON' && values.get('binlog_format') === 'STATEMENT') {
    throw unfit('Set binlog_format to ROW or MIXED: with STATEMENT the server refuses the writes of READ COMMITTED.');
  }
}

/** Rejects a database with a table of an engine other than InnoDB, because such a table has no transactions. */
export async function refuseOtherEngines(query: (sql: string) => Promise<{ name: string; engine: string }[]>): Promise<void> {
  const [table] = await query(
    `SELECT table_name AS name, engine AS engine FROM information_schema.tables
      WHERE table_schema = DATABASE() AND engine <> 'InnoDB' LIMIT 1`,
  );
  if (table) throw unfit(`The table ${table.name} has the engine ${table.engine}: alter it to InnoDB, which has transactions.`);
}

/**
 * Returns one row that says whether the server accepts writes. A privileged user could write to a read-only server, so a write is no test.
 */
export const READ_ONLY_SQL = 'SELECT @@global.read_only AS readOnly, @@global.innodb_read_only AS innodbReadOnly';

/** The error for the answer to READ_ONLY_SQL. Returns undefined if the server accepts writes. */
export function readOnlyFault(row: Record<string, unknown> | undefined): Error | undefined {
  const isWritable = row !== undefined && Object.values(row).every((value) => value === 0 || value === '0' || value === 'OFF');
  if (isWritable) return undefined;
  const fault = { code: 'ER_OPTION_PREVENTS_STATEMENT', errno: 1290 };
  return Object.assign(new Error('The server is read-only: connect to the primary.'), fault);
}

/** The driver options of all connections. */
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
    gracefulEnd: true,
  };
}
