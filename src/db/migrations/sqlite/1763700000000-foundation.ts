import type { MigrationInterface, QueryRunner } from 'typeorm';

// The same tables as on MySQL. SQLite compares text by its bytes by default.
const STEPS = [
  // Settings that all processes on one database share.
  `CREATE TABLE IF NOT EXISTS "settings" (
    "name" varchar(64) PRIMARY KEY NOT NULL,
    "value" varchar(255) NOT NULL
  )`,
  `CREATE TABLE IF NOT EXISTS "workspaces" (
    "id" varchar(64) PRIMARY KEY NOT NULL,
    "name" varchar(100) NOT NULL,
    "slug" varchar(40) NOT NULL,
    "key_prefix" varchar(12) NOT NULL,
    "created_at" bigint NOT NULL
  )`,
  // a slug is unique
  `CREATE UNIQUE INDEX IF NOT EXISTS "workspaces_by_slug" ON "workspaces" ("slug")`,
  // Query.workspaces, newest first
  `CREATE INDEX IF NOT EXISTS "workspaces_by_age" ON "workspaces" ("created_at", "id")`,
  `CREATE TABLE IF NOT EXISTS "projects" (
    "id" varchar(64) PRIMARY KEY NOT NULL,
    "workspace_id" varchar(64) NOT NULL,
    "name" varchar(100) NOT NULL,
    "slug" varchar(40) NOT NULL,
    "gallery_mode" varchar(16) NOT NULL,
    "sustained_rps" double NOT NULL,
    "burst" integer NOT NULL,
    "created_at" bigint NOT NULL,
    "archived_at" bigint
  )`,
  // a slug is unique in its workspace
  `CREATE UNIQUE INDEX IF NOT EXISTS "projects_by_slug" ON "projects" ("workspace_id", "slug")`,
  // Workspace.projects, newest first
  `CREATE INDEX IF NOT EXISTS "projects_by_age" ON "projects" ("workspace_id", "created_at", "id")`,
  `CREATE TABLE IF NOT EXISTS "api_keys" (
    "id" varchar(64) PRIMARY KEY NOT NULL,
    "workspace_id" varchar(64) NOT NULL,
    "project_id" varchar(64) NOT NULL,
    "name" varchar(100) NOT NULL,
    "environment" varchar(8) NOT NULL,
    "hint" varchar(32) NOT NULL,
    "permissions" text NOT NULL,
    "allowed_ips" text NOT NULL,
    "enabled" boolean NOT NULL,
    "expires_at" bigint,
    "revoked_at" bigint,
    "revoked_reason" varchar(500),
    "rotated_at" bigint,
    "created_at" bigint NOT NULL
  )`,
  // Workspace.keys, newest first
  `CREATE INDEX IF NOT EXISTS "api_keys_by_workspace" ON "api_keys" ("workspace_id", "created_at", "id")`,
  // Project.keys, newest first
  `CREATE INDEX IF NOT EXISTS "api_keys_by_project" ON "api_keys" ("project_id", "created_at", "id")`,
  // Every call looks up its secret here by digest.
  `CREATE TABLE IF NOT EXISTS "key_secrets" (
    "digest" varchar(43) PRIMARY KEY NOT NULL,
    "pepper_version" integer NOT NULL,
    "key_id" varchar(64) NOT NULL,
    "grace_until" bigint,
    "ended_at" bigint,
    "created_at" bigint NOT NULL
  )`,
  // rotateKey and revokeKey end the secrets of a key
  `CREATE INDEX IF NOT EXISTS "key_secrets_by_key" ON "key_secrets" ("key_id")`,
  `CREATE TABLE IF NOT EXISTS "wallets" (
    "id" varchar(64) PRIMARY KEY NOT NULL,
    "workspace_id" varchar(64) NOT NULL,
    "balance" bigint NOT NULL,
    "entry_seq" bigint NOT NULL,
    CONSTRAINT "wallets_balance" CHECK (balance >= 0))`,
  // Workspace.wallet: one per workspace
  `CREATE UNIQUE INDEX IF NOT EXISTS "wallets_by_workspace" ON "wallets" ("workspace_id")`,
  // The gate locks these rows, by their primary key only.
  `CREATE TABLE IF NOT EXISTS "budgets" (
    "project_id" varchar(64) PRIMARY KEY NOT NULL,
    "balance" bigint NOT NULL,
    "held" bigint NOT NULL,
    "entry_seq" bigint NOT NULL,
    "theoretical_arrival_us" bigint NOT NULL,
    "arrival_interval_us" bigint NOT NULL,
    CONSTRAINT "budgets_balance" CHECK (held >= 0 AND balance >= held))`,
  // Every billed call adds a row. Entries of an account are in order, so that each index grows only at its end.
  `CREATE TABLE IF NOT EXISTS "ledger_entries" (
    "account_id" varchar(64) NOT NULL,
    "seq" bigint NOT NULL,
    "kind" varchar(16) NOT NULL,
    "delta" bigint NOT NULL,
    "balance_after" bigint NOT NULL,
    "linked_entry_id" varchar(64),
    "request_log_id" varchar(64),
    "reference" varchar(200),
    "reason" varchar(500),
    "created_at" bigint NOT NULL,
    PRIMARY KEY ("account_id", "seq")
  )`,
  // Wallet.ledger and Project.ledger, newest first, with from and to
  `CREATE INDEX IF NOT EXISTS "ledger_entries_by_age" ON "ledger_entries" ("account_id", "created_at", "seq")`,
  // the same for one type, for example to find an allocation among a million usages
  `CREATE INDEX IF NOT EXISTS "ledger_entries_by_kind" ON "ledger_entries" ("account_id", "kind", "created_at", "seq")`,
  // Finds the first entry with a reference, when the reference is repeated.
  `CREATE TABLE IF NOT EXISTS "ledger_references" (
    "workspace_id" varchar(64) NOT NULL,
    "operation" varchar(16) NOT NULL,
    "reference" varchar(200) NOT NULL,
    "entry_id" varchar(64) NOT NULL,
    PRIMARY KEY ("workspace_id", "operation", "reference")
  )`,
  `CREATE TABLE IF NOT EXISTS "actions" (
    "id" varchar(64) PRIMARY KEY NOT NULL,
    "service" varchar(63) NOT NULL,
    "name" varchar(128) NOT NULL,
    "price_micro_credits" bigint NOT NULL,
    "permission" varchar(128) NOT NULL,
    "upstream_url" varchar(2000),
    "timeout_ms" integer NOT NULL,
    "enabled" boolean NOT NULL,
    "created_at" bigint NOT NULL
  )`,
  // the gate's look-up, the order of Query.actions, and a name is unique
  `CREATE UNIQUE INDEX IF NOT EXISTS "actions_by_name" ON "actions" ("service", "name")`,
  // Calls in flight. There are few rows and they change with every call, so the sweep reads all rows and needs no index.
  `CREATE TABLE IF NOT EXISTS "holds" (
    "attempt" varchar(64) PRIMARY KEY NOT NULL,
    "credential_kind" varchar(16) NOT NULL,
    "credential_id" varchar(64) NOT NULL,
    "workspace_id" varchar(64) NOT NULL,
    "project_id" varchar(64) NOT NULL,
    "environment" varchar(8) NOT NULL,
    "service" varchar(63) NOT NULL,
    "action" varchar(128) NOT NULL,
    "request_id" varchar(36) NOT NULL,
    "claimed" boolean NOT NULL,
    "amount" bigint NOT NULL,
    "ip" varchar(45),
    "user_agent" varchar(255),
    "started_at" bigint NOT NULL,
    "expires_at" bigint NOT NULL,
    "process" varchar(16) NOT NULL
  )`,
  `CREATE TABLE IF NOT EXISTS "claims" (
    "credential_id" varchar(64) NOT NULL,
    "request_id" varchar(36) NOT NULL,
    "attempt" varchar(64) NOT NULL,
    "fingerprint" varchar(43) NOT NULL,
    "state" varchar(8) NOT NULL,
    "expires_at" bigint NOT NULL,
    "charged_micro_credits" bigint NOT NULL,
    "answer" mediumtext,
    PRIMARY KEY ("credential_id", "request_id")
  )`,
  // the sweep finds expired answers among millions
  `CREATE INDEX IF NOT EXISTS "claims_by_expiry" ON "claims" ("expires_at")`,
  `CREATE TABLE IF NOT EXISTS "refusal_counts" (
    "credential_id" varchar(64) NOT NULL,
    "code" varchar(64) NOT NULL,
    "minute" integer NOT NULL,
    "calls" bigint NOT NULL,
    PRIMARY KEY ("credential_id", "code", "minute")
  )`,
  // The table with the most writes: one row per call. Each index slows every call.
  `CREATE TABLE IF NOT EXISTS "request_logs" (
    "id" varchar(64) PRIMARY KEY NOT NULL,
    "request_id" varchar(36) NOT NULL,
    "workspace_id" varchar(64) NOT NULL,
    "project_id" varchar(64) NOT NULL,
    "credential_kind" varchar(16) NOT NULL,
    "credential_id" varchar(64) NOT NULL,
    "environment" varchar(8) NOT NULL,
    "service" varchar(63) NOT NULL,
    "action" varchar(128) NOT NULL,
    "outcome" varchar(16) NOT NULL,
    "error_code" varchar(64),
    "http_status" integer,
    "charged_micro_credits" bigint NOT NULL,
    "action_ms" double,
    "total_ms" double,
    "ip" varchar(45),
    "user_agent" varchar(255),
    "created_at" bigint NOT NULL
  )`,
  // Workspace.requestLogs, newest first, with from and to
  `CREATE INDEX IF NOT EXISTS "request_logs_by_workspace" ON "request_logs" ("workspace_id", "created_at", "id")`,
  // Project.requestLogs, the same
  `CREATE INDEX IF NOT EXISTS "request_logs_by_project" ON "request_logs" ("project_id", "created_at", "id")`,
  // ApiKey.requestLogs, the same, and ApiKey.lastUsedAt
  `CREATE INDEX IF NOT EXISTS "request_logs_by_credential" ON "request_logs" ("credential_id", "created_at", "id")`,
  // RequestLogFilter.requestId: finds the result of a call if its answer was lost
  `CREATE INDEX IF NOT EXISTS "request_logs_by_request_id" ON "request_logs" ("request_id")`,
  // Every mutation adds a row. The migrations of the features that read the rows add the indexes.
  `CREATE TABLE IF NOT EXISTS "audit_events" (
    "id" varchar(64) PRIMARY KEY NOT NULL,
    "workspace_id" varchar(64),
    "actor_kind" varchar(16) NOT NULL,
    "actor_id" varchar(64) NOT NULL,
    "action" varchar(64) NOT NULL,
    "subject_id" varchar(64) NOT NULL,
    "ip" varchar(45),
    "user_agent" varchar(255),
    "before" text,
    "after" text,
    "created_at" bigint NOT NULL
  )`,
];

/** Creates the first tables. Each step can be repeated. */
export class Foundation1763700000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const step of STEPS) await runner.query(step);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('The first migration cannot be undone. Drop the database instead.'));
  }
}
