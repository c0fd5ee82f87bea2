import type { MigrationInterface, QueryRunner } from 'typeorm';

const STEPS = [
  `CREATE TABLE IF NOT EXISTS oauth_clients (
    id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    name varchar(100) NOT NULL,
    redirect_uris text NOT NULL,
    secret_digest varchar(43) NULL,
    hint varchar(32) NULL,
    version int NOT NULL DEFAULT 1,
    deleted_at bigint NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (id),
    INDEX oauth_clients_by_age (workspace_id, created_at, id) -- Workspace.oauthClients, newest first
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  // One row for each consent of a person to an application. When it ends, all its tokens end.
  `CREATE TABLE IF NOT EXISTS consents (
    id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    project_id varchar(64) NOT NULL,
    client_id varchar(64) NOT NULL,
    user_id varchar(64) NOT NULL,
    scopes text NOT NULL,
    expires_at bigint NOT NULL,
    ended_at bigint NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (id),
    INDEX consents_by_user (user_id, created_at, id), -- Viewer.consents, newest first
    INDEX consents_by_client (client_id, created_at, id) -- OAuthClient.consents, newest first
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  `CREATE TABLE IF NOT EXISTS oauth_tokens (
    digest varchar(43) NOT NULL,
    kind varchar(32) NOT NULL,
    consent_id varchar(64) NULL,
    scopes text NOT NULL,
    payload text NOT NULL,
    expires_at bigint NOT NULL,
    ended_at bigint NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (digest),
    INDEX oauth_tokens_by_expiry (expires_at) -- those that say nothing any more are forgotten
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  `CREATE TABLE IF NOT EXISTS oauth_signing_keys (
    number int NOT NULL,
    sealed text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (number)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
];

/** Creates the tables of OAuth 2 and OpenID Connect: applications, consents, tokens and signing keys. */
export class OAuth1764600000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const step of STEPS) await runner.query(step);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: every application would lose its access.'));
  }
}
