import type { MigrationInterface, QueryRunner } from 'typeorm';

const STEPS = [
  `CREATE TABLE IF NOT EXISTS routes (
    id varchar(64) NOT NULL,
    host varchar(253) NULL,
    methods text NOT NULL,
    path varchar(1000) NOT NULL,
    action_id varchar(64) NOT NULL,
    upstream_url varchar(2000) NOT NULL,
    upstream_path varchar(1000) NULL,
    billed_statuses text NOT NULL,
    usage_sources text NOT NULL,
    replayable tinyint NOT NULL,
    pass_credential tinyint NOT NULL,
    max_body_bytes int NOT NULL,
    idle_timeout_ms int NOT NULL,
    max_duration_ms int NOT NULL,
    pass_preflight tinyint NOT NULL,
    enabled tinyint NOT NULL,
    version int NOT NULL DEFAULT 1,
    created_at bigint NOT NULL,
    PRIMARY KEY (id),
    INDEX routes_by_age (created_at, id) -- Query.routes, newest first
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  // Counts the changes of routes, so that a process sees with one read whether its routes are current
  `INSERT IGNORE INTO settings (name, value) VALUES ('routes-revision', '0')`,
];

/** Creates the table of routes, and the counter of their changes. */
export class Routes1764890000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const step of STEPS) await runner.query(step);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: every API behind a route would become unreachable.'));
  }
}
