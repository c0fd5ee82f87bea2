import { TollgateError } from '../errors';

// Classifies the failures of both database drivers.

interface DriverError {
  code?: string;
  errno?: number;
  /** Whether the connection cannot be used any more. */
  fatal?: boolean;
  driverError?: DriverError;
}

const root = (error: unknown): DriverError => {
  const outer = (error ?? {}) as DriverError;
  return outer.driverError ?? outer;
};

const MYSQL_RETRYABLE = new Set([
  1020, // record changed since last read
  1205, // lock wait timeout
  1213, // deadlock
  1412, // a migration changed the table since the transaction began
  3101, // MySQL, Group Replication: the commit conflicts with one of another member
]);

/** Whether the database rolled back because of a temporary conflict, so that the transaction can be retried. */
export function isRetryable(error: unknown): boolean {
  const { code, errno } = root(error);
  return (errno !== undefined && MYSQL_RETRYABLE.has(errno)) || (code?.startsWith('SQLITE_BUSY') ?? false);
}

/** Whether a unique value already exists. */
export function isDuplicate(error: unknown): boolean {
  const { code } = root(error);
  return code === 'ER_DUP_ENTRY' || code === 'SQLITE_CONSTRAINT_UNIQUE' || code === 'SQLITE_CONSTRAINT_PRIMARYKEY';
}

const MYSQL_CUT_OFF = new Set([
  1969, // MariaDB: max_statement_time
  3024, // MySQL: max_execution_time
]);

/** Whether a read was cut off because it took too long. */
export function isCutOff(error: unknown): boolean {
  const { code, errno } = root(error);
  return (errno !== undefined && MYSQL_CUT_OFF.has(errno)) || code === 'SQLITE_INTERRUPT';
}

/**
 * Errors after which this connection cannot work any more, although a new one may. By number, because mysql2 does not know the names that
 * only MariaDB has.
 */
const MYSQL_SPENT = new Set([
  1290, // an option prevents the statement: read_only
  1792, // the transaction can only read
  1836, // read-only mode
  1044, // access to the database is denied
  1045, // access is denied, such as while a password is changed
  1698, // access is denied, without a password
  1820, // the password has expired
  1862, // the password has expired, reported while a connection is opened
  3118, // MySQL: the account is locked
  4151, // MariaDB: the account is locked
  3032, // MySQL: the server is in offline mode
  1047, // a Galera node that is not ready
]);

/** Whether the server says that this connection cannot work any more: the server became read-only, or the account is blocked. */
export function isSpent(error: unknown): boolean {
  const { errno } = root(error);
  return errno !== undefined && MYSQL_SPENT.has(errno);
}

const MYSQL_UNAVAILABLE = new Set([
  1021, // disk full
  1037, // out of memory
  1040, // too many connections
  1041, // out of memory
  1053, // the server shuts down
  1114, // a table is full
  1129, // too many connections of this host were interrupted
  1135, // no more threads
  1184, // the connection was aborted
  1203, // the user has too many connections
  1226, // the user is over a limit
  1317, // the query was interrupted by another session
  1927, // MariaDB: the connection was killed
  3100, // MySQL: the replication group does not take the commit
  3168, // MySQL: the server is not available
  4031, // MySQL: the connection was idle
]);

const CONNECTION_CODES = new Set([
  'PROTOCOL_CONNECTION_LOST',
  'PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR',
  'PROTOCOL_PACKETS_OUT_OF_ORDER',
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'POOL_CLOSED',
  'POOL_ENQUEUELIMIT',
  'READS_BUSY', // of read-thread.ts
  'SQLITE_FULL',
  'SQLITE_CANTOPEN',
]);

/** Whether the database is unreachable, accepts no writes now, or cut off a read. The work itself is correct. */
export function isUnavailable(error: unknown): boolean {
  const { code, errno, fatal } = root(error);
  if (isCutOff(error) || isSpent(error) || fatal === true || (errno !== undefined && MYSQL_UNAVAILABLE.has(errno))) return true;
  return code !== undefined && (CONNECTION_CODES.has(code) || code.startsWith('SQLITE_IOERR'));
}

/** Whether the same work may succeed later: the database is unavailable, or there was a temporary conflict. */
export const isOutage = (error: unknown): boolean => isUnavailable(error) || isRetryable(error);

const UNFIT = 'DATABASE_UNFIT';

/** The error for a database with an unsuitable setting. The message must tell the operator what to change. */
export const unfit = (message: string): Error => Object.assign(new Error(message), { code: UNFIT });

const UNUSABLE_CODES = new Set([
  UNFIT,
  'ER_ACCESS_DENIED_ERROR',
  'ER_DBACCESS_DENIED_ERROR',
  'ER_BAD_DB_ERROR', // no database of this name
  'HANDSHAKE_NO_SSL_SUPPORT',
  'SQLITE_NOTADB',
  'SQLITE_CORRUPT',
  'SQLITE_READONLY',
  'EACCES',
  'EEXIST',
  'EISDIR',
  'ENOTDIR',
  'EROFS',
]);

/** Explains to an operator why the database could not be opened. Returns undefined for a bug, so that the caller logs its stack. */
export function whyNotOpened(error: unknown): string | undefined {
  if (error instanceof TollgateError) return error.message; // from a migration that cannot be applied yet
  const { code } = root(error);
  const reason = (error as Error).message || code; // an AggregateError has an empty message
  const cannotOpen = code === '' && reason?.startsWith('ConnectionFailed'); // libsql reports SQLITE_CANTOPEN this way while it connects
  if (code !== undefined && UNUSABLE_CODES.has(code)) return `The database cannot be used: ${reason}`;
  return isUnavailable(error) || cannotOpen ? `The database cannot be reached: ${reason}` : undefined;
}
