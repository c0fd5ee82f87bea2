import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Adds the `mac` of a seal and the encrypted key of its chain. Both are NULL for seals of the previous version. */
const COLUMNS = [
  ['audit_seals', 'mac', 'varchar(64)'],
  ['audit_chains', 'wrapped_key', 'varchar(255)'],
] as const;

export class AuditKeys1764870000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const [table, column, type] of COLUMNS) {
      if (!(await has(runner, table, column))) await runner.query(`ALTER TABLE ${table} ADD COLUMN ${column} ${type} NULL`);
    }
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: without its keys, the audit trail could be forged.'));
  }
}

/** MySQL has no ADD COLUMN IF NOT EXISTS. */
async function has(runner: QueryRunner, table: string, column: string): Promise<boolean> {
  const sql = 'SELECT 1 FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? AND column_name = ?';
  return ((await runner.query(sql, [table, column])) as unknown[]).length > 0;
}
