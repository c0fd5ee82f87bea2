import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Adds access tokens of service accounts: secrets with fewer permissions than the account. */
export class ServiceAccountTokens1764700000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    const columns = (await runner.query(`SELECT name FROM pragma_table_info('service_account_secrets')`)) as { name: string }[];
    if (!columns.some(({ name }) => name === 'scopes'))
      await runner.query('ALTER TABLE service_account_secrets ADD COLUMN scopes text NULL');
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: access tokens would lose the limits of their permissions.'));
  }
}
