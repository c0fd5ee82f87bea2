import type { MigrationInterface, QueryRunner } from 'typeorm';

const STEPS = [
  // The identities of a workspace for unattended work.
  `CREATE TABLE IF NOT EXISTS service_accounts (
    id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    name varchar(100) NOT NULL,
    hint varchar(32) NOT NULL,
    permissions text NOT NULL,
    role_id varchar(64) NULL,
    enabled tinyint NOT NULL,
    rotation_days int NOT NULL,
    rotation_due_at bigint NOT NULL,
    rotation_due_told_at bigint NULL,
    rotated_at bigint NULL,
    version int NOT NULL DEFAULT 1,
    created_at bigint NOT NULL,
    PRIMARY KEY (id),
    INDEX service_accounts_by_workspace (workspace_id, created_at, id), -- Workspace.serviceAccounts, newest first
    INDEX service_accounts_by_rotation (rotation_due_told_at, rotation_due_at) -- rotations that are due and were not told yet
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  // One row per secret, including ended ones. The primary key serves every tick.
  `CREATE TABLE IF NOT EXISTS service_account_secrets (
    digest varchar(43) NOT NULL,
    pepper_version int NOT NULL,
    account_id varchar(64) NOT NULL,
    grace_until bigint NULL,
    ended_at bigint NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (digest),
    INDEX service_account_secrets_by_account (account_id) -- a rotation, and until when the secrets before work
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  // The projects in which a service account may call. The primary key serves every tick.
  `CREATE TABLE IF NOT EXISTS service_account_projects (
    account_id varchar(64) NOT NULL,
    project_id varchar(64) NOT NULL,
    PRIMARY KEY (account_id, project_id)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
];

/** Creates service accounts, their secrets, and their grants to projects. */
export class ServiceAccounts1764500000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const step of STEPS) await runner.query(step);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: programs with a service account would lose their access.'));
  }
}
