import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Adds the HTTP statuses that an action passes on when its upstream refuses a call. */
export class PassStatuses1764850000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    if (!(await runner.hasColumn('actions', 'pass_statuses')))
      await runner.query('ALTER TABLE actions ADD COLUMN pass_statuses varchar(40) NULL');
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: callers rely on the statuses that actions pass on.'));
  }
}
