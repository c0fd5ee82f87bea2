export interface LoggableError {
  type: string;
  message: string;
  stack: string;
  [detail: string]: unknown;
}

/** The parts of an error that may be logged: message and stack. Leaves out the SQL and the values that drivers attach to their errors. */
export function loggableError(error: unknown): LoggableError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error), stack: '' };
  const { name, message, stack = '', cause } = error;
  const { code } = error as { code?: unknown };
  return { type: name, ...(code !== undefined && { code }), message, stack, ...(cause !== undefined && { cause: loggableError(cause) }) };
}
