import type { MigrationInterface, QueryRunner } from 'typeorm';

// MySQL has no CREATE INDEX IF NOT EXISTS, so each step checks first.
const INDEXES = [
  { name: 'api_keys_by_name', table: 'api_keys', columns: 'workspace_id, name, id' }, // Workspace.keys, by name
  { name: 'api_keys_by_name_in_project', table: 'api_keys', columns: 'project_id, name, id' }, // Project.keys, by name
  { name: 'projects_by_name', table: 'projects', columns: 'workspace_id, name, id' }, // Workspace.projects with includeArchived, by name
  // Workspace.projects, by age, without reading any archived ones
  { name: 'projects_living_by_age', table: 'projects', columns: 'workspace_id, archived_at, created_at, id' },
  { name: 'projects_living_by_name', table: 'projects', columns: 'workspace_id, archived_at, name, id' }, // the same by name
  { name: 'workspaces_by_name', table: 'workspaces', columns: 'name, id' }, // Query.workspaces, by name
];

/** Creates the indexes for lists by name, and for projects without the archived ones. */
export class Lists1764300000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const { name, table, columns } of INDEXES) {
      const there = (await runner.query(
        'SELECT 1 FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ? AND index_name = ? LIMIT 1',
        [table, name],
      )) as unknown[];
      if (there.length === 0) await runner.query(`CREATE INDEX ${name} ON ${table} (${columns})`);
    }
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: lists are read by its indexes.'));
  }
}
