import type { MigrationInterface, QueryRunner } from 'typeorm';

const STEPS = [
  `CREATE TABLE IF NOT EXISTS routes (
    id varchar(64) NOT NULL,
    host varchar(253),
    methods text NOT NULL,
    path varchar(1000) NOT NULL,
    action_id varchar(64) NOT NULL,
    upstream_url varchar(2000) NOT NULL,
    upstream_path varchar(1000),
    billed_statuses text NOT NULL,
    usage_sources text NOT NULL,
    replayable boolean NOT NULL,
    pass_credential boolean NOT NULL,
    max_body_bytes integer NOT NULL,
    idle_timeout_ms integer NOT NULL,
    max_duration_ms integer NOT NULL,
    pass_preflight boolean NOT NULL,
    enabled boolean NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at bigint NOT NULL,
    PRIMARY KEY (id)
  )`,
  // Query.routes, newest first
  `CREATE INDEX IF NOT EXISTS routes_by_age ON routes (created_at, id)`,
  // Counts the changes of routes, so that a process sees with one read whether its routes are current
  `INSERT OR IGNORE INTO settings (name, value) VALUES ('routes-revision', '0')`,
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
