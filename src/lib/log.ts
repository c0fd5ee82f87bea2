/** The part of pino's interface that the services use to log problems. */
export interface Log {
  error(properties: object, message: string): void;
  warn(properties: object, message: string): void;
}
