import type { MigrationInterface, QueryRunner } from 'typeorm';

const STEPS = [
  `CREATE TABLE IF NOT EXISTS oauth_clients (
    id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    name varchar(100) NOT NULL,
    redirect_uris text NOT NULL,
    secret_digest varchar(43),
    hint varchar(32),
    version integer NOT NULL DEFAULT 1,
    deleted_at bigint,
    created_at bigint NOT NULL,
    PRIMARY KEY (id)
  )`,
  // Workspace.oauthClients, newest first
  `CREATE INDEX IF NOT EXISTS oauth_clients_by_age ON oauth_clients (workspace_id, created_at, id)`,
  // One row for each consent of a person to an application. When it ends, all its tokens end.
  `CREATE TABLE IF NOT EXISTS consents (
    id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    project_id varchar(64) NOT NULL,
    client_id varchar(64) NOT NULL,
    user_id varchar(64) NOT NULL,
    scopes text NOT NULL,
    expires_at bigint NOT NULL,
    ended_at bigint,
    created_at bigint NOT NULL,
    PRIMARY KEY (id)
  )`,
  // Viewer.consents, newest first
  `CREATE INDEX IF NOT EXISTS consents_by_user ON consents (user_id, created_at, id)`,
  // OAuthClient.consents, newest first
  `CREATE INDEX IF NOT EXISTS consents_by_client ON consents (client_id, created_at, id)`,
  `CREATE TABLE IF NOT EXISTS oauth_tokens (
    digest varchar(43) NOT NULL,
    kind varchar(32) NOT NULL,
    consent_id varchar(64),
    scopes text NOT NULL,
    payload text NOT NULL,
    expires_at bigint NOT NULL,
    ended_at bigint,
    created_at bigint NOT NULL,
    PRIMARY KEY (digest)
  )`,
  // finds expired rows to delete
  `CREATE INDEX IF NOT EXISTS oauth_tokens_by_expiry ON oauth_tokens (expires_at)`,
  `CREATE TABLE IF NOT EXISTS oauth_signing_keys (
    number integer NOT NULL,
    sealed text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (number)
  )`,
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
