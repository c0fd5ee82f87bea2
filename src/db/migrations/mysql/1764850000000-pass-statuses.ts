import type { MigrationInterface, QueryRunner } from 'typeorm';

/** HTTP statuses of refusals that an action passes on. */
export class PassStatuses1764850000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    // MySQL has no ADD COLUMN IF NOT EXISTS
    const there = (await runner.query(
      `SELECT 1 FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'actions' AND column_name = 'pass_statuses'`,
    )) as unknown[];
    if (there.length === 0) await runner.query('ALTER TABLE actions ADD COLUMN pass_statuses varchar(40) NULL');
  }

  down(): Promise<void> {
    return Promise.reject(new Error('The statuses that actions pass on are not taken away again: callers go by them.'));
  }
}
