/** SQL for microseconds since 1970 by the database's clock, as the statement that holds it begins. */
export const NOW_MICROS_SQL = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))";

/** What a test moves to travel in time; added to every time that decides. */
export class Clock {
  offsetMs = 0;

  /** The time that `databaseUs`, read from the database, stands for; microseconds since 1970. */
  fromDatabase(databaseUs: number): number {
    return databaseUs + this.offsetMs * 1000;
  }

  /** The time by this process's clock, which decides only where the database is embedded in the process. */
  fromProcess(): number {
    return (Date.now() + this.offsetMs) * 1000;
  }
}
