import type { MigrationInterface, QueryRunner } from 'typeorm';

const STEPS = [
  // A person has one sign-in, by e-mail, for all their workspaces.
  `CREATE TABLE IF NOT EXISTS people (
    id varchar(64) NOT NULL,
    email varchar(254) NOT NULL,
    name varchar(100) NOT NULL,
    password_hash varchar(255) NOT NULL,
    password_changed_at bigint NOT NULL,
    totp_secret varchar(255),
    totp_enabled_at bigint,
    totp_last_step bigint,
    totp_staged_secret varchar(255),
    created_at bigint NOT NULL,
    PRIMARY KEY (id)
  )`,
  // a sign-in; an address has one account
  `CREATE UNIQUE INDEX IF NOT EXISTS people_by_email ON people (email)`,
  `CREATE TABLE IF NOT EXISTS sessions (
    id varchar(64) NOT NULL,
    digest varchar(43) NOT NULL,
    user_id varchar(64) NOT NULL,
    created_at bigint NOT NULL,
    last_seen_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    ended_at bigint,
    ip varchar(45),
    user_agent varchar(255),
    PRIMARY KEY (id)
  )`,
  // every request of a browser
  `CREATE UNIQUE INDEX IF NOT EXISTS sessions_by_digest ON sessions (digest)`,
  // Viewer.sessions; also ends them when the password changes
  `CREATE INDEX IF NOT EXISTS sessions_by_user ON sessions (user_id, created_at, id)`,
  `CREATE TABLE IF NOT EXISTS invitations (
    id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    email varchar(254) NOT NULL,
    role_id varchar(64) NOT NULL,
    digest varchar(43) NOT NULL,
    invited_by varchar(64) NOT NULL,
    expires_at bigint NOT NULL,
    accepted_at bigint,
    withdrawn_at bigint,
    created_at bigint NOT NULL,
    PRIMARY KEY (id)
  )`,
  // finds an invitation by the secret of its link
  `CREATE UNIQUE INDEX IF NOT EXISTS invitations_by_digest ON invitations (digest)`,
  // Workspace.invitations, newest first, and earlier invitations of an address
  `CREATE INDEX IF NOT EXISTS invitations_by_age ON invitations (workspace_id, created_at, id)`,
  `CREATE TABLE IF NOT EXISTS password_resets (
    digest varchar(43) NOT NULL,
    user_id varchar(64) NOT NULL,
    expires_at bigint NOT NULL,
    used_at bigint,
    created_at bigint NOT NULL,
    PRIMARY KEY (digest)
  )`,
  // ends all of them when the password changes
  `CREATE INDEX IF NOT EXISTS password_resets_by_user ON password_resets (user_id)`,
  `CREATE TABLE IF NOT EXISTS recovery_codes (
    user_id varchar(64) NOT NULL,
    digest varchar(43) NOT NULL,
    used_at bigint,
    PRIMARY KEY (user_id, digest)
  )`,
  // Rate limits for attempts such as sign-ins: one number per limit, for GCRA.
  `CREATE TABLE IF NOT EXISTS throttles (
    name varchar(100) NOT NULL,
    theoretical_arrival_at bigint NOT NULL,
    PRIMARY KEY (name)
  )`,
  // finds expired rows to delete
  `CREATE INDEX IF NOT EXISTS throttles_by_arrival ON throttles (theoretical_arrival_at)`,
];

/** Creates people, sessions, invitations, password resets, recovery codes and throttles. */
export class People1764200000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const step of STEPS) await runner.query(step);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: people could no longer sign in.'));
  }
}
