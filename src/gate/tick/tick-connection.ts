import type { SqlRow } from './tick-reads';
import type { Dialect } from './tick-dialect';

/** A connection that one tick uses. */
export interface TickConnection {
  /** Begins the transaction and runs the SELECTs in their order. Returns the rows of each. */
  begin(selects: string[]): Promise<SqlRow[][]>;
  /** Runs more SELECTs in the transaction. */
  ask(selects: string[]): Promise<SqlRow[][]>;
  /** Runs the writes and commits them. */
  commit(writes: string): Promise<void>;
  /** Gives the connection back after its transaction has ended. */
  release(): void;
  /** Breaks off the transaction, which is rolled back unless its COMMIT already succeeded. */
  destroy(): void;
}

/** The source of connections for ticks: a pool on MySQL and MariaDB, a thread on SQLite. */
export interface TickConnections {
  readonly dialect: Dialect;
  /** The most bytes of SQL that one tick may send. */
  readonly maxBytes: number;
  open(): Promise<TickConnection>;
  /** Reads committed rows, without a lock. */
  read(select: string): Promise<SqlRow[]>;
  /** Returns true if the error is the database's answer, so nothing was committed. Otherwise the answer was lost or never came. */
  isAnswer(error: unknown): boolean;
  close(): Promise<void>;
}
