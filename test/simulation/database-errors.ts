/** A driver's error with the fields that src/db/failures.ts and the stores read. */
export class DatabaseError extends Error {
  constructor(
    readonly code: string,
    readonly errno: number | undefined,
    /** True if the server sent this error, so that nothing was committed. */
    readonly isServersAnswer: boolean,
  ) {
    super(code);
  }
}

const SERVER_CODES: Record<number, string> = {
  1020: 'ER_CHECKREAD',
  1105: 'ER_UNKNOWN_ERROR',
  1205: 'ER_LOCK_WAIT_TIMEOUT',
  1213: 'ER_LOCK_DEADLOCK',
  1290: 'ER_OPTION_PREVENTS_STATEMENT',
  1366: 'ER_TRUNCATED_WRONG_VALUE_FOR_FIELD',
  3819: 'ER_CHECK_CONSTRAINT_VIOLATED',
};

export const serverSays = (errno: number): DatabaseError => new DatabaseError(SERVER_CODES[errno] ?? 'ER_UNKNOWN_ERROR', errno, true);
export const connectionLost = (): DatabaseError => new DatabaseError('ECONNRESET', undefined, false);
export const connectionRefused = (): DatabaseError => new DatabaseError('ECONNREFUSED', undefined, false);
export const noAnswer = (): DatabaseError => new DatabaseError('ETIMEDOUT', undefined, false);
