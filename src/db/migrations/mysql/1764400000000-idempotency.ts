import type { MigrationInterface, QueryRunner } from 'typeorm';

const STEPS = [
  // What became of a mutation that its caller may repeat, for as long as its answer is kept.
  `CREATE TABLE IF NOT EXISTS idempotency_keys (
    principal_id varchar(64) NOT NULL,
    idempotency_key varchar(255) NOT NULL,
    fingerprint varchar(43) NOT NULL,
    attempt varchar(36) NOT NULL,
    leased_until bigint NOT NULL,
    expires_at bigint NOT NULL,
    done_at bigint NULL,
    subject_id varchar(64) NULL,
    workspace_id varchar(64) NULL,
    held text NULL,
    answer mediumtext NULL,
    PRIMARY KEY (principal_id, idempotency_key),
    INDEX idempotency_keys_by_expiry (expires_at) -- the sweep forgets what is no longer kept
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
];

/** What two people may change at once, and so has a version. */
const VERSIONED = ['workspaces', 'projects', 'api_keys', 'roles', 'memberships', 'actions'];

/** Mutations that are safe to repeat, and changes that say what they are meant for. */
export class Idempotency1764400000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const step of STEPS) await runner.query(step);
    for (const table of VERSIONED) {
      if (!(await runner.hasColumn(table, 'version'))) await runner.query(`ALTER TABLE ${table} ADD COLUMN version int NOT NULL DEFAULT 1`);
    }
  }

  down(): Promise<void> {
    return Promise.reject(new Error('What was done once must not be done again: idempotency_keys stays.'));
  }
}
