import type { MigrationInterface, QueryRunner } from 'typeorm';

const STEPS = [
  // The roles that a workspace defines. The built-in roles are in the code.
  `CREATE TABLE IF NOT EXISTS roles (
    id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    name varchar(100) NOT NULL,
    permissions text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (id),
    UNIQUE INDEX roles_by_name (workspace_id, name) -- a name is taken once in its workspace, and Workspace.roles
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  // Members of workspaces with their roles. The primary key serves every request of a person, who may be a member of several workspaces.
  `CREATE TABLE IF NOT EXISTS memberships (
    user_id varchar(64) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    role_id varchar(64) NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (user_id, workspace_id),
    INDEX memberships_by_age (workspace_id, created_at, user_id) -- Workspace.members, newest first, and the count of its owners
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
];

/** Creates roles and memberships, and adds the setting that a workspace requires a second factor. */
export class Roles1764150000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const step of STEPS) await runner.query(step);
    if (!(await runner.hasColumn('api_keys', 'role_id'))) await runner.query('ALTER TABLE api_keys ADD COLUMN role_id varchar(64) NULL');
    if (!(await runner.hasColumn('workspaces', 'requires_second_factor'))) {
      await runner.query('ALTER TABLE workspaces ADD COLUMN requires_second_factor tinyint NOT NULL DEFAULT 0');
    }
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: administrators with a role would lose their permissions.'));
  }
}
