export interface LoggableError {
  type: string;
  message: string;
  stack: string;
  [detail: string]: unknown;
}

/** An error as it may be logged: what went wrong and where, without the SQL and the values that drivers hang on their errors. */
export function loggableError(error: unknown): LoggableError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error), stack: '' };
  const { name, message, stack = '', cause } = error;
  const { code } = error as { code?: unknown };
  return { type: name, ...(code !== undefined && { code }), message, stack, ...(cause !== undefined && { cause: loggableError(cause) }) };
}
