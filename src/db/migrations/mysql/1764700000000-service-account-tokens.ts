import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Adds access tokens of service accounts: secrets with fewer permissions than the account. */
export class ServiceAccountTokens1764700000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    // MySQL has no ADD COLUMN IF NOT EXISTS
    const there = (await runner.query(
      `SELECT 1 FROM information_schema.columns WHERE table_schema = DATABASE()` +
        ` AND table_name = 'service_account_secrets' AND column_name = 'scopes'`,
    )) as unknown[];
    if (there.length === 0) await runner.query('ALTER TABLE service_account_secrets ADD COLUMN scopes text NULL');
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: access tokens would lose the limits of their permissions.'));
  }
}
