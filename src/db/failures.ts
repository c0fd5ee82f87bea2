import { TollgateError } from '../errors';

// What a database's failure means, for both drivers, in one place.

interface DriverError {
  code?: string;
  errno?: number;
  /** The connection is of no more use. */
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
]);

/** The database undid the transaction for a reason that passes; the same work may be tried again. */
export function isRetryable(error: unknown): boolean {
  const { code, errno } = root(error);
  return (errno !== undefined && MYSQL_RETRYABLE.has(errno)) || (code?.startsWith('SQLITE_BUSY') ?? false);
}

/** A unique value was taken. */
export function isDuplicate(error: unknown): boolean {
  const { code } = root(error);
  return code === 'ER_DUP_ENTRY' || code === 'SQLITE_CONSTRAINT_UNIQUE' || code === 'SQLITE_CONSTRAINT_PRIMARYKEY';
}

const MYSQL_CUT_OFF = new Set([
  1969, // MariaDB: max_statement_time
  3024, // MySQL: max_execution_time
]);

/** A read took longer than reads may. */
export function isCutOff(error: unknown): boolean {
  const { code, errno } = root(error);
  return (errno !== undefined && MYSQL_CUT_OFF.has(errno)) || code === 'SQLITE_INTERRUPT';
}

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
  'ER_CON_COUNT_ERROR',
  'ER_TOO_MANY_USER_CONNECTIONS',
  'ER_SERVER_SHUTDOWN',
  'ER_CONNECTION_KILLED',
  'ER_NEW_ABORTING_CONNECTION',
  'ER_CLIENT_INTERACTION_TIMEOUT',
  'ER_DISK_FULL',
  'ER_RECORD_FILE_FULL',
  'ER_OPTION_PREVENTS_STATEMENT', // a server gone read-only
  'ER_READ_ONLY_MODE',
  'ER_ACCESS_DENIED_ERROR', // while its password is changed
  'ER_USER_LIMIT_REACHED',
  'ER_QUERY_INTERRUPTED', // ended by somebody else
  'ER_UNKNOWN_COM_ERROR', // a Galera node that is not ready
  'SQLITE_FULL',
  'SQLITE_CANTOPEN',
]);

/** The database is out of reach, takes no writes for now, or took too long to read: nothing is wrong with the work itself. */
export function isUnavailable(error: unknown): boolean {
  const { code, fatal } = root(error);
  return isCutOff(error) || fatal === true || (code !== undefined && (CONNECTION_CODES.has(code) || code.startsWith('SQLITE_IOERR')));
}

/** Asked again in a moment, the database may well do the same work: it is out of reach, or undid it for a reason that passes. */
export const isOutage = (error: unknown): boolean => isUnavailable(error) || isRetryable(error);

const UNUSABLE_CODES = new Set([
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

/** Why a database could not be opened, in a sentence for an operator; undefined where that is a bug, and its stack is wanted. */
export function whyNotOpened(error: unknown): string | undefined {
  if (error instanceof TollgateError) return error.message; // of a migration that cannot be applied yet
  const { code } = root(error);
  const reason = (error as Error).message || code; // an AggregateError has no message of its own
  const cannotOpen = code === '' && reason?.startsWith('ConnectionFailed'); // libsql's only word for SQLITE_CANTOPEN as it connects
  if (code !== undefined && UNUSABLE_CODES.has(code)) return `The database cannot be used: ${reason}`;
  return isUnavailable(error) || cannotOpen ? `The database cannot be reached: ${reason}` : undefined;
}
