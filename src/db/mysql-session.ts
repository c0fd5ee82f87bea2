import { createConnection, type Connection } from 'mysql2/promise';
import type { MysqlSettings } from '../config';
import { isUnavailable, unfit } from './failures';

// Everything in a session that a result depends on, in one place. A server's own defaults decide none of it.

export type MysqlProduct = 'mysql' | 'mariadb';

/** How long a session waits; what it is used for decides. */
export interface SessionTimes {
  /** For a row that another transaction has locked. */
  lockWaitSeconds: number;
  /** Until the server ends a session that asks nothing, and so frees what it has locked. */
  idleSeconds: number;
  /** For the rows of a SELECT; 0 for no limit. MariaDB limits writes by it too. */
  readTimeoutMs: number;
}

/** For migrations and commands, which take the time that they need. */
export const PATIENT: SessionTimes = { lockWaitSeconds: 50, idleSeconds: 28_800, readTimeoutMs: 0 };

/** Longer than any other limit: statements that change a table's definition wait for those that use the table. */
const TABLE_LOCK_WAIT_SECONDS = 60;

const ON_EVERY_PRODUCT = [
  'autocommit = 1',
  "completion_type = 'NO_CHAIN'",
  // Whole: NO_BACKSLASH_ESCAPES would let a value end its string, PIPES_AS_CONCAT or ANSI_QUOTES would give statements another meaning
  "sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
  "time_zone = '+00:00'",
  'timestamp = DEFAULT',
  // A server can ignore what the handshake names
  "character_set_client = 'utf8mb4'",
  "character_set_connection = 'utf8mb4'",
  "character_set_results = 'utf8mb4'",
  "collation_connection = 'utf8mb4_bin'",
  // DEFAULT would be the server's own limit
  'sql_select_limit = 18446744073709551615',
  'sql_big_selects = 1',
  'sql_safe_updates = 0',
  'sql_auto_is_null = 0',
  // An ORDER BY compares so many bytes of a value: no value that orders a list is longer
  'max_sort_length = 1024',
  'foreign_key_checks = 1',
  'unique_checks = 1',
  "default_storage_engine = 'InnoDB'",
  `lock_wait_timeout = ${TABLE_LOCK_WAIT_SECONDS}`,
];

const ON_MARIADB = [
  'check_constraint_checks = 1', // the CHECKs guard the balances
  "old_mode = ''",
  'in_predicate_conversion_threshold = 0', // or a long IN list becomes a join, which locks rows that were not asked for
];

/** The statements that every connection begins with, in this order. */
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

/** What the server says to a statement that sets up a session, as a reason not to start. An outage stays an outage. */
export function sessionFault(error: Error): Error {
  return isUnavailable(error) ? error : unfit(`A session cannot be set up as correctness needs it: ${error.message}`);
}

/** Tells which of two products a server is: TypeORM needs to know. Rejects where the server cannot keep the promises. */
export async function mysqlProduct(settings: MysqlSettings): Promise<MysqlProduct> {
  const connection = await createConnection(mysqlConnectionOptions(settings));
  try {
    await setUp(connection, [`SET SESSION ${ON_EVERY_PRODUCT.join(', ')}`]); // first: the server may answer no row at all without it
    const [rows] = await connection.query('SELECT VERSION() AS version');
    const [{ version }] = rows as [{ version: string }];
    const product = version.includes('MariaDB') ? 'mariadb' : 'mysql';
    await setUp(connection, sessionStatements(product, PATIENT));
    await refuseUnfit(connection);
    return product;
  } finally {
    await connection.end().catch(() => undefined); // it may be lost
  }
}

async function setUp(connection: Connection, statements: string[]): Promise<void> {
  for (const statement of statements) {
    await connection.query(statement).catch((error: Error) => {
      throw sessionFault(error);
    });
  }
}

/** Refuses what no session can change. */
async function refuseUnfit(connection: Connection): Promise<void> {
  const [rows] = await connection.query("SHOW VARIABLES WHERE Variable_name IN ('enforce_storage_engine', 'log_bin', 'binlog_format')");
  const values = new Map((rows as { Variable_name: string; Value: string }[]).map((row) => [row.Variable_name, row.Value]));
  const engine = values.get('enforce_storage_engine') ?? '';
  if (engine !== '' && engine.toLowerCase() !== 'innodb') {
    throw unfit(`Unset enforce_storage_engine, which is ${engine}: only tables of InnoDB have transactions.`);
  }
  if (values.get('log_bin') === 'ON' && values.get('binlog_format') === 'STATEMENT') {
    throw unfit('Set binlog_format to ROW or MIXED: with STATEMENT the server refuses the writes of READ COMMITTED.');
  }
}

/** The tables of a database that are not of InnoDB have no transactions, so a start refuses them. */
export async function refuseOtherEngines(query: (sql: string) => Promise<{ name: string; engine: string }[]>): Promise<void> {
  const [table] = await query(
    `SELECT table_name AS name, engine AS engine FROM information_schema.tables
      WHERE table_schema = DATABASE() AND engine <> 'InnoDB' LIMIT 1`,
  );
  if (table) throw unfit(`The table ${table.name} is of the engine ${table.engine}: alter it to InnoDB, which has transactions.`);
}

/** One row that tells whether the server takes writes, whatever the user may do on a server that takes none. */
export const READ_ONLY_SQL = 'SELECT @@global.read_only AS readOnly, @@global.innodb_read_only AS innodbReadOnly';

/** The failure of a server that answered this to READ_ONLY_SQL; undefined where it takes writes. */
export function readOnlyFault(row: Record<string, unknown> | undefined): Error | undefined {
  const isWritable = row !== undefined && Object.values(row).every((value) => value === 0 || value === '0' || value === 'OFF');
  if (isWritable) return undefined;
  const fault = { code: 'ER_OPTION_PREVENTS_STATEMENT', errno: 1290 };
  return Object.assign(new Error('The server is read-only: connect to the primary.'), fault);
}

/** Driver options that all connections share. */
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
