import type { MigrationInterface, QueryRunner } from 'typeorm';

const COLUMNS = { created_by_kind: 'varchar(16)', created_by_id: 'varchar(64)', created_by_user_id: 'varchar(64)' };

/** Adds the creator of a key. Keys from before have NULL. */
export class KeyCreators1764860000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const [name, type] of Object.entries(COLUMNS)) {
      if (!(await runner.hasColumn('api_keys', name))) await runner.query(`ALTER TABLE api_keys ADD COLUMN ${name} ${type} NULL`);
    }
    // Membership.liveKeysMinted, newest first, and removeMember
    await runner.query('CREATE INDEX IF NOT EXISTS api_keys_by_creator ON api_keys (workspace_id, created_by_user_id, created_at, id)');
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: the creators of keys would be lost.'));
  }
}
