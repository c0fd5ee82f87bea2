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
  1412, // a migration changed the table since the transaction began
  3101, // MySQL, Group Replication: another member was first
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

/**
 * What a server says to a connection that cannot do its work any more, although another one may. By number: mysql2 has no names of
 * MariaDB's own.
 */
const MYSQL_SPENT = new Set([
  1290, // an option prevents the statement: read_only
  1792, // the transaction can only read
  1836, // read-only mode
  1044, // access to the database is denied
  1045, // access is denied, such as while a password is changed
  1698, // the same, without a password
  1820, // the password has expired
  1862, // the same, as a connection is opened
  3118, // MySQL: the account is locked
  4151, // MariaDB: the same
  3032, // MySQL: the server is in offline mode
  1047, // a Galera node that is not ready
]);

/** The server itself says that this connection is of no more use: it has become read-only, or the account may not work now. */
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
  1129, // too many connections of this host were broken off
  1135, // no more threads
  1184, // a connection was broken off
  1203, // the user has too many connections
  1226, // the user is over a limit
  1317, // ended by somebody else
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

/** The database is out of reach, takes no writes for now, or took too long to read: nothing is wrong with the work itself. */
export function isUnavailable(error: unknown): boolean {
  const { code, errno, fatal } = root(error);
  if (isCutOff(error) || isSpent(error) || fatal === true || (errno !== undefined && MYSQL_UNAVAILABLE.has(errno))) return true;
  return code !== undefined && (CONNECTION_CODES.has(code) || code.startsWith('SQLITE_IOERR'));
}

/** Asked again in a moment, the database may well do the same work: it is out of reach, or undid it for a reason that passes. */
export const isOutage = (error: unknown): boolean => isUnavailable(error) || isRetryable(error);

const UNFIT = 'DATABASE_UNFIT';

/** A database that cannot keep the promises until an operator has changed what the message says. */
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

/** Why a database could not be opened, in a sentence for an operator; undefined where that is a bug, and its stack is wanted. */
export function whyNotOpened(error: unknown): string | undefined {
  if (error instanceof TollgateError) return error.message; // of a migration that cannot be applied yet
  const { code } = root(error);
  const reason = (error as Error).message || code; // an AggregateError has no message of its own
  const cannotOpen = code === '' && reason?.startsWith('ConnectionFailed'); // libsql's only word for SQLITE_CANTOPEN as it connects
  if (code !== undefined && UNUSABLE_CODES.has(code)) return `The database cannot be used: ${reason}`;
  return isUnavailable(error) || cannotOpen ? `The database cannot be reached: ${reason}` : undefined;
}
