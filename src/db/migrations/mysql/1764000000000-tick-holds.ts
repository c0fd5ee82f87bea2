import type { MigrationInterface, QueryRunner } from 'typeorm';
import { conflict } from '../../../errors';

// Calls in flight. A row has all calls that one tick admitted. There are few rows, so the sweep reads all rows and needs no index.
const TICK_HOLDS = `CREATE TABLE IF NOT EXISTS tick_holds (
  id varchar(64) NOT NULL,
  process varchar(16) NOT NULL,
  expires_at bigint NOT NULL,
  marks varchar(500) NOT NULL,
  holds mediumtext NOT NULL,
  PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`;

const STILL_IN_FLIGHT =
  'The previous version left calls in flight. ' +
  'Start it again for a minute, so that it ends them. Then stop all its processes and start this version.';

/**
 * Stores holds in one row per tick instead of one row per call. Processes of the previous version cannot work with this table, so stop them
 * first.
 */
export class TickHolds1764000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TICK_HOLDS);
    if (!(await runner.hasTable('holds'))) return;
    await runner.query('LOCK TABLES holds WRITE'); // otherwise a call could be admitted between the check and the DROP
    try {
      const [row] = (await runner.query('SELECT COUNT(*) AS calls FROM holds')) as { calls: unknown }[];
      if (Number(row?.calls) > 0) throw conflict(STILL_IN_FLIGHT);
      await runner.query('DROP TABLE holds');
    } finally {
      await runner.query('UNLOCK TABLES');
    }
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone. Restore a backup of the previous version instead.'));
  }
}
