import type { MigrationInterface, QueryRunner } from 'typeorm';

const COLUMNS = { created_by_kind: 'varchar(16)', created_by_id: 'varchar(64)', created_by_user_id: 'varchar(64)' };

/** Adds the creator of a key. Keys from before have NULL. */
export class KeyCreators1764860000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const [name, type] of Object.entries(COLUMNS)) {
      if (!(await runner.hasColumn('api_keys', name))) await runner.query(`ALTER TABLE api_keys ADD COLUMN ${name} ${type} NULL`);
    }
    // MySQL has no CREATE INDEX IF NOT EXISTS. Membership.liveKeysMinted, newest first, and removeMember
    const there = (await runner.query(
      `SELECT 1 FROM information_schema.statistics
       WHERE table_schema = DATABASE() AND table_name = 'api_keys' AND index_name = 'api_keys_by_creator' LIMIT 1`,
    )) as unknown[];
    if (there.length === 0)
      await runner.query('CREATE INDEX api_keys_by_creator ON api_keys (workspace_id, created_by_user_id, created_at, id)');
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: the creators of keys would be lost.'));
  }
}
