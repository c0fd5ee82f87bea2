import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A hold that lasts longer than its tick has a row of its own, so that it can be extended and ended by its id alone. */
const SINGLE_HOLDS = `CREATE TABLE IF NOT EXISTS single_holds (
  id varchar(64) NOT NULL,
  project_id varchar(64) NOT NULL,
  expires_at bigint NOT NULL,
  hold text NOT NULL,
  PRIMARY KEY (id),
  KEY single_holds_by_expiry (expires_at),
  KEY single_holds_by_project (project_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`;

const COLUMNS: [table: string, column: string, type: string][] = [
  ['actions', 'unit_prices', 'text NULL'],
  ['actions', 'max_charge_micro_credits', 'bigint NULL'],
  ['request_logs', 'held_micro_credits', 'bigint NULL'],
  ['request_logs', 'shortfall_micro_credits', 'bigint NOT NULL DEFAULT 0'],
  ['request_logs', 'usage_json', 'text NULL'],
  ['request_logs', 'usage_missing', 'tinyint NOT NULL DEFAULT 0'],
  ['request_logs', 'subject', 'varchar(255) NULL'],
  ['request_logs', 'metadata_json', 'text NULL'],
];

/** Prices by unit, what a call reserved and used, and holds that last longer than a call of execute. */
export class UnitPrices1764880000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const [table, column, type] of COLUMNS) {
      if (!(await runner.hasColumn(table, column))) await runner.query(`ALTER TABLE ${table} ADD COLUMN ${column} ${type}`);
    }
    await runner.query(SINGLE_HOLDS);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: it would forget what calls reserved and used.'));
  }
}
