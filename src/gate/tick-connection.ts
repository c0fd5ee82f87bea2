import type { SqlRow } from './tick-reads';
import type { Dialect } from './tick-sql';

/** A connection while one tick has it. */
export interface TickConnection {
  /** Begins the transaction, then asks each of the SELECTs, in their order. */
  begin(selects: string[]): Promise<SqlRow[][]>;
  /** Asks more within the transaction. */
  ask(selects: string[]): Promise<SqlRow[][]>;
  /** Runs the writes and commits them. */
  commit(writes: string): Promise<void>;
  /** Gives it back after a transaction that has ended. */
  release(): void;
  /** Ends it in the middle of whatever it is: nothing of its transaction stays. */
  destroy(): void;
}

/** Where ticks have their connections from: a pool on MySQL and MariaDB, a thread on SQLite. */
export interface TickConnections {
  readonly dialect: Dialect;
  /** The most bytes of SQL that one tick may make. */
  readonly maxBytes: number;
  open(): Promise<TickConnection>;
  /** A plain read of what is committed. */
  read(select: string): Promise<SqlRow[]>;
  /** Whether it was the database that said no, so that nothing was committed; else its answer was lost, or never came. */
  isAnswer(error: unknown): boolean;
  close(): Promise<void>;
}
