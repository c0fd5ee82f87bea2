import type { MigrationInterface, QueryRunner } from 'typeorm';

const STEPS = [
  // A person has one sign-in, by e-mail, for all their workspaces.
  `CREATE TABLE IF NOT EXISTS people (
    id varchar(64) NOT NULL,
    email varchar(254) NOT NULL,
    name varchar(100) NOT NULL,
    password_hash varchar(255) NOT NULL,
    password_changed_at bigint NOT NULL,
    totp_secret varchar(255) NULL,
    totp_enabled_at bigint NULL,
    totp_last_step bigint NULL,
    totp_staged_secret varchar(255) NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (id),
    UNIQUE INDEX people_by_email (email) -- a sign-in, and one account for each address
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  `CREATE TABLE IF NOT EXISTS sessions (
    id varchar(64) NOT NULL,
    digest varchar(43) NOT NULL,
    user_id varchar(64) NOT NULL,
    created_at bigint NOT NULL,
    last_seen_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    ended_at bigint NULL,
    ip varchar(45) NULL,
    user_agent varchar(255) NULL,
    PRIMARY KEY (id),
    UNIQUE INDEX sessions_by_digest (digest), -- each request of a browser
    INDEX sessions_by_user (user_id, created_at, id) -- Viewer.sessions, and their end when a password changes
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  `CREATE TABLE IF NOT EXISTS invitations (
    id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    email varchar(254) NOT NULL,
    role_id varchar(64) NOT NULL,
    digest varchar(43) NOT NULL,
    invited_by varchar(64) NOT NULL,
    expires_at bigint NOT NULL,
    accepted_at bigint NULL,
    withdrawn_at bigint NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (id),
    UNIQUE INDEX invitations_by_digest (digest), -- whoever follows the link
    INDEX invitations_by_age (workspace_id, created_at, id) -- Workspace.invitations, newest first, and the earlier ones of an address
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  `CREATE TABLE IF NOT EXISTS password_resets (
    digest varchar(43) NOT NULL,
    user_id varchar(64) NOT NULL,
    expires_at bigint NOT NULL,
    used_at bigint NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (digest),
    INDEX password_resets_by_user (user_id) -- all of them end when the password changes
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  `CREATE TABLE IF NOT EXISTS recovery_codes (
    user_id varchar(64) NOT NULL,
    digest varchar(43) NOT NULL,
    used_at bigint NULL,
    PRIMARY KEY (user_id, digest)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  // Rate limits for attempts such as sign-ins: one number per limit, for GCRA.
  `CREATE TABLE IF NOT EXISTS throttles (
    name varchar(100) NOT NULL,
    theoretical_arrival_at bigint NOT NULL,
    PRIMARY KEY (name),
    INDEX throttles_by_arrival (theoretical_arrival_at) -- those that say nothing any more are forgotten
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
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
