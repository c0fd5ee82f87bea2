import type { MigrationInterface, QueryRunner } from 'typeorm';

// Text is compared by its bytes (utf8mb4_bin). TypeORM ignores @Check on MySQL and MariaDB, so the checks are here. There are no foreign
// keys, because they would lock rows of other tables during the gate's transactions. `npm run audit` checks these relations.
const STEPS = [
  // Settings that all processes on one database share.
  `CREATE TABLE IF NOT EXISTS settings (
    name varchar(64) NOT NULL,
    value varchar(255) NOT NULL,
    PRIMARY KEY (name)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  `CREATE TABLE IF NOT EXISTS workspaces (
    id varchar(64) NOT NULL,
    name varchar(100) NOT NULL,
    slug varchar(40) NOT NULL,
    key_prefix varchar(12) NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (id),
    UNIQUE INDEX workspaces_by_slug (slug), -- a slug is taken once
    INDEX workspaces_by_age (created_at, id) -- Query.workspaces, newest first
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  `CREATE TABLE IF NOT EXISTS projects (
    id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    name varchar(100) NOT NULL,
    slug varchar(40) NOT NULL,
    gallery_mode varchar(16) NOT NULL,
    sustained_rps double NOT NULL,
    burst int NOT NULL,
    created_at bigint NOT NULL,
    archived_at bigint NULL,
    PRIMARY KEY (id),
    UNIQUE INDEX projects_by_slug (workspace_id, slug), -- a slug is taken once in its workspace
    INDEX projects_by_age (workspace_id, created_at, id) -- Workspace.projects, newest first
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  `CREATE TABLE IF NOT EXISTS api_keys (
    id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    project_id varchar(64) NOT NULL,
    name varchar(100) NOT NULL,
    environment varchar(8) NOT NULL,
    hint varchar(32) NOT NULL,
    permissions text NOT NULL,
    allowed_ips text NOT NULL,
    enabled tinyint NOT NULL,
    expires_at bigint NULL,
    revoked_at bigint NULL,
    revoked_reason varchar(500) NULL,
    rotated_at bigint NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (id),
    INDEX api_keys_by_workspace (workspace_id, created_at, id), -- Workspace.keys, newest first
    INDEX api_keys_by_project (project_id, created_at, id) -- Project.keys, newest first
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  // Every call looks up its secret here by digest.
  `CREATE TABLE IF NOT EXISTS key_secrets (
    digest varchar(43) NOT NULL,
    pepper_version int NOT NULL,
    key_id varchar(64) NOT NULL,
    grace_until bigint NULL,
    ended_at bigint NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (digest),
    INDEX key_secrets_by_key (key_id) -- rotateKey and revokeKey end the secrets of a key
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  `CREATE TABLE IF NOT EXISTS wallets (
    id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    balance bigint NOT NULL,
    entry_seq bigint NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT wallets_balance CHECK (balance >= 0),
    UNIQUE INDEX wallets_by_workspace (workspace_id) -- Workspace.wallet, one each
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  // The gate locks these rows, by their primary key only.
  `CREATE TABLE IF NOT EXISTS budgets (
    project_id varchar(64) NOT NULL,
    balance bigint NOT NULL,
    held bigint NOT NULL,
    entry_seq bigint NOT NULL,
    theoretical_arrival_us bigint NOT NULL,
    arrival_interval_us bigint NOT NULL,
    PRIMARY KEY (project_id),
    CONSTRAINT budgets_balance CHECK (held >= 0 AND balance >= held)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  // Every billed call adds a row. Entries of an account are in order, so that each index grows only at its end.
  `CREATE TABLE IF NOT EXISTS ledger_entries (
    account_id varchar(64) NOT NULL,
    seq bigint NOT NULL,
    kind varchar(16) NOT NULL,
    delta bigint NOT NULL,
    balance_after bigint NOT NULL,
    linked_entry_id varchar(64) NULL,
    request_log_id varchar(64) NULL,
    reference varchar(200) NULL,
    reason varchar(500) NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (account_id, seq),
    INDEX ledger_entries_by_age (account_id, created_at, seq), -- Wallet.ledger and Project.ledger, newest first, with from and to
    INDEX ledger_entries_by_kind (account_id, kind, created_at, seq) -- the same for one kind: an allocation among a million usages
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  // Finds the first entry with a reference, when the reference is repeated.
  `CREATE TABLE IF NOT EXISTS ledger_references (
    workspace_id varchar(64) NOT NULL,
    operation varchar(16) NOT NULL,
    reference varchar(200) NOT NULL,
    entry_id varchar(64) NOT NULL,
    PRIMARY KEY (workspace_id, operation, reference)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  `CREATE TABLE IF NOT EXISTS actions (
    id varchar(64) NOT NULL,
    service varchar(63) NOT NULL,
    name varchar(128) NOT NULL,
    price_micro_credits bigint NOT NULL,
    permission varchar(128) NOT NULL,
    upstream_url varchar(2000) NULL,
    timeout_ms int NOT NULL,
    enabled tinyint NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (id),
    UNIQUE INDEX actions_by_name (service, name) -- the gate's look-up, Query.actions in its order, and a name is taken once
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  // Calls in flight. There are few rows and they change with every call, so the sweep reads all rows and needs no index.
  `CREATE TABLE IF NOT EXISTS holds (
    attempt varchar(64) NOT NULL,
    credential_kind varchar(16) NOT NULL,
    credential_id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    project_id varchar(64) NOT NULL,
    environment varchar(8) NOT NULL,
    service varchar(63) NOT NULL,
    \`action\` varchar(128) NOT NULL,
    request_id varchar(36) NOT NULL,
    claimed tinyint NOT NULL,
    amount bigint NOT NULL,
    ip varchar(45) NULL,
    user_agent varchar(255) NULL,
    started_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    process varchar(16) NOT NULL,
    PRIMARY KEY (attempt)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  `CREATE TABLE IF NOT EXISTS claims (
    credential_id varchar(64) NOT NULL,
    request_id varchar(36) NOT NULL,
    attempt varchar(64) NOT NULL,
    fingerprint varchar(43) NOT NULL,
    state varchar(8) NOT NULL,
    expires_at bigint NOT NULL,
    charged_micro_credits bigint NOT NULL,
    answer mediumtext NULL,
    PRIMARY KEY (credential_id, request_id),
    INDEX claims_by_expiry (expires_at) -- the sweep removes answers that are no longer kept, out of millions
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  `CREATE TABLE IF NOT EXISTS refusal_counts (
    credential_id varchar(64) NOT NULL,
    code varchar(64) NOT NULL,
    minute int NOT NULL,
    calls bigint NOT NULL,
    PRIMARY KEY (credential_id, code, minute)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  // The table with the most writes: one row per call. Each index slows every call.
  `CREATE TABLE IF NOT EXISTS request_logs (
    id varchar(64) NOT NULL,
    request_id varchar(36) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    project_id varchar(64) NOT NULL,
    credential_kind varchar(16) NOT NULL,
    credential_id varchar(64) NOT NULL,
    environment varchar(8) NOT NULL,
    service varchar(63) NOT NULL,
    \`action\` varchar(128) NOT NULL,
    outcome varchar(16) NOT NULL,
    error_code varchar(64) NULL,
    http_status int NULL,
    charged_micro_credits bigint NOT NULL,
    action_ms double NULL,
    total_ms double NULL,
    ip varchar(45) NULL,
    user_agent varchar(255) NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (id),
    INDEX request_logs_by_workspace (workspace_id, created_at, id), -- Workspace.requestLogs, newest first, with from and to
    INDEX request_logs_by_project (project_id, created_at, id), -- Project.requestLogs, the same
    INDEX request_logs_by_credential (credential_id, created_at, id), -- ApiKey.requestLogs, the same, and ApiKey.lastUsedAt
    INDEX request_logs_by_request_id (request_id) -- RequestLogFilter.requestId: what became of a call whose answer was lost
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  // Every mutation adds a row. The migrations of the features that read the rows add the indexes.
  `CREATE TABLE IF NOT EXISTS audit_events (
    id varchar(64) NOT NULL,
    workspace_id varchar(64) NULL,
    actor_kind varchar(16) NOT NULL,
    actor_id varchar(64) NOT NULL,
    \`action\` varchar(64) NOT NULL,
    subject_id varchar(64) NOT NULL,
    ip varchar(45) NULL,
    user_agent varchar(255) NULL,
    \`before\` text NULL,
    \`after\` text NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (id)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
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
