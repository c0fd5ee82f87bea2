import type { MigrationInterface, QueryRunner } from 'typeorm';

const STEPS = [
  // The identities of a workspace for unattended work.
  `CREATE TABLE IF NOT EXISTS service_accounts (
    id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    name varchar(100) NOT NULL,
    hint varchar(32) NOT NULL,
    permissions text NOT NULL,
    role_id varchar(64),
    enabled boolean NOT NULL,
    rotation_days integer NOT NULL,
    rotation_due_at bigint NOT NULL,
    rotation_due_told_at bigint,
    rotated_at bigint,
    version integer NOT NULL DEFAULT 1,
    created_at bigint NOT NULL,
    PRIMARY KEY (id)
  )`,
  // Workspace.serviceAccounts, newest first
  `CREATE INDEX IF NOT EXISTS service_accounts_by_workspace ON service_accounts (workspace_id, created_at, id)`,
  // rotations that are due and not yet reported
  `CREATE INDEX IF NOT EXISTS service_accounts_by_rotation ON service_accounts (rotation_due_told_at, rotation_due_at)`,
  // One row per secret, including ended ones. The primary key serves every tick.
  `CREATE TABLE IF NOT EXISTS service_account_secrets (
    digest varchar(43) NOT NULL,
    pepper_version integer NOT NULL,
    account_id varchar(64) NOT NULL,
    grace_until bigint,
    ended_at bigint,
    created_at bigint NOT NULL,
    PRIMARY KEY (digest)
  )`,
  // serves a rotation, and the end of the earlier secrets
  `CREATE INDEX IF NOT EXISTS service_account_secrets_by_account ON service_account_secrets (account_id)`,
  // The projects in which a service account may call. The primary key serves every tick.
  `CREATE TABLE IF NOT EXISTS service_account_projects (
    account_id varchar(64) NOT NULL,
    project_id varchar(64) NOT NULL,
    PRIMARY KEY (account_id, project_id)
  )`,
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
