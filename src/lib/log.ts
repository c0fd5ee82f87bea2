/** Where a part tells what went wrong; pino's interface. */
export interface Log {
  error(properties: object, message: string): void;
  warn(properties: object, message: string): void;
}
