import type { MigrationInterface, QueryRunner } from 'typeorm';

const STEPS = [
  // The results of mutations with an idempotency key, until they expire.
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

/** The tables of objects that two people may change at the same time, and that therefore get a version. */
const VERSIONED = ['workspaces', 'projects', 'api_keys', 'roles', 'memberships', 'actions'];

/** Creates idempotency keys of mutations, and adds versions to objects for `expectedVersion`. */
export class Idempotency1764400000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const step of STEPS) await runner.query(step);
    for (const table of VERSIONED) {
      if (!(await runner.hasColumn(table, 'version'))) await runner.query(`ALTER TABLE ${table} ADD COLUMN version int NOT NULL DEFAULT 1`);
    }
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: without idempotency_keys, a retry could run a mutation twice.'));
  }
}
