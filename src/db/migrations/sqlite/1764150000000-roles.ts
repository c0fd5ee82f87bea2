import type { MigrationInterface, QueryRunner } from 'typeorm';

const STEPS = [
  // The roles that a workspace defines. The built-in roles are in the code.
  `CREATE TABLE IF NOT EXISTS roles (
    id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    name varchar(100) NOT NULL,
    permissions text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (id)
  )`,
  // a name is unique in its workspace; also serves Workspace.roles
  `CREATE UNIQUE INDEX IF NOT EXISTS roles_by_name ON roles (workspace_id, name)`,
  // Members of workspaces with their roles. The primary key serves every request of a person, who may be a member of several workspaces.
  `CREATE TABLE IF NOT EXISTS memberships (
    user_id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    role_id varchar(64) NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (user_id, workspace_id)
  )`,
  // Workspace.members, newest first, and the count of its owners
  `CREATE INDEX IF NOT EXISTS memberships_by_age ON memberships (workspace_id, created_at, user_id)`,
];

/** Creates roles and memberships, and adds the setting that a workspace requires a second factor. */
export class Roles1764150000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const step of STEPS) await runner.query(step);
    if (!(await runner.hasColumn('api_keys', 'role_id'))) await runner.query('ALTER TABLE api_keys ADD COLUMN role_id varchar(64)');
    if (!(await runner.hasColumn('workspaces', 'requires_second_factor'))) {
      await runner.query('ALTER TABLE workspaces ADD COLUMN requires_second_factor boolean NOT NULL DEFAULT 0');
    }
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: administrators with a role would lose their permissions.'));
  }
}
