import type { MigrationInterface, QueryRunner } from 'typeorm';

const STEPS = [
  `CREATE INDEX IF NOT EXISTS api_keys_by_name ON api_keys (workspace_id, name, id)`, // Workspace.keys, by name
  `CREATE INDEX IF NOT EXISTS api_keys_by_name_in_project ON api_keys (project_id, name, id)`, // Project.keys, by name
  `CREATE INDEX IF NOT EXISTS projects_by_name ON projects (workspace_id, name, id)`, // Workspace.projects with includeArchived, by name
  // Workspace.projects, by age, without reading any archived ones
  `CREATE INDEX IF NOT EXISTS projects_living_by_age ON projects (workspace_id, archived_at, created_at, id)`,
  `CREATE INDEX IF NOT EXISTS projects_living_by_name ON projects (workspace_id, archived_at, name, id)`, // the same by name
  `CREATE INDEX IF NOT EXISTS workspaces_by_name ON workspaces (name, id)`, // Query.workspaces, by name
];

/** Creates the indexes for lists by name, and for projects without the archived ones. */
export class Lists1764300000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const step of STEPS) await runner.query(step);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: lists are read by its indexes.'));
  }
}
