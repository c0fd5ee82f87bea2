import { setTimeout as wait } from 'node:timers/promises';
import { MigrationExecutor, type DataSource, type QueryRunner } from 'typeorm';
import { isRetryable } from './failures';

const LOCK_WAIT_SECONDS = 60;

/**
 * Applies the missing migrations, on the connection that holds the lock, so that processes that start together take turns. Every step must
 * be repeatable, because MySQL commits each step separately. After a kill between two steps the next start repeats the migration.
 */
export async function migrate(source: DataSource): Promise<void> {
  const runner = source.createQueryRunner();
  try {
    const unlock = source.options.type === 'better-sqlite3' ? await lockSqlite(runner) : await lockMysql(runner);
    let done = false;
    try {
      const executor = new MigrationExecutor(source, runner);
      executor.transaction = 'none';
      await executor.executePendingMigrations();
      done = true;
    } finally {
      await unlock(done);
    }
  } finally {
    await runner.release();
  }
}

async function lockMysql(runner: QueryRunner): Promise<() => Promise<void>> {
  const name = `tollgate.migrate.${runner.connection.options.database as string}`.slice(0, 64);
  const [row] = (await runner.query('SELECT GET_LOCK(?, ?) AS locked', [name, LOCK_WAIT_SECONDS])) as { locked: unknown }[];
  if (Number(row?.locked) !== 1) throw new Error('Another process has been migrating this database for a minute. Start again later.');
  return async () => {
    await runner.query('SELECT RELEASE_LOCK(?)', [name]);
  };
}

async function lockSqlite(runner: QueryRunner): Promise<(done: boolean) => Promise<void>> {
  for (const deadline = Date.now() + LOCK_WAIT_SECONDS * 1000; ; await wait(20)) {
    try {
      await runner.query('BEGIN IMMEDIATE');
      return async (done) => {
        await runner.query(done ? 'COMMIT' : 'ROLLBACK');
      };
    } catch (error) {
      if (!isRetryable(error) || Date.now() > deadline) throw error;
    }
  }
}
