/** SQL for the database's time at the start of the statement, in microseconds since 1970. */
export const NOW_MICROS_SQL = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))";

/** The clock that all decisions use. A test sets `offsetMs` to travel in time. */
export class Clock {
  offsetMs = 0;

  /** Adds the offset to a time read from the database. Both are in microseconds since 1970. */
  fromDatabase(databaseUs: number): number {
    return databaseUs + this.offsetMs * 1000;
  }

  /** The time of this process's clock, in microseconds since 1970. For SQLite only: it runs inside the process. */
  fromProcess(): number {
    return (Date.now() + this.offsetMs) * 1000;
  }
}
