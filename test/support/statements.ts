import type { QueryRunner } from 'typeorm';
import type { TestApp } from './app';

/** A statement as the database received it. */
export interface Statement {
  sql: string;
  parameters: unknown[];
}

/** Records the statements that the admin API sends to `database.reader` while `work` runs. */
export async function statementsOf(
  { database: { reader } }: Pick<TestApp, 'database'>,
  work: () => Promise<unknown>,
): Promise<Statement[]> {
  const statements: Statement[] = [];
  const note = (sql: string, parameters: unknown[] = []) => void statements.push({ sql, parameters });
  const restore = reader.queryRunner ? listenToThread(reader.queryRunner, note) : listenToPool(reader.connection, note);
  try {
    await work();
  } finally {
    restore();
  }
  return statements;
}

type Note = (sql: string, parameters?: unknown[]) => void;

/** MySQL and MariaDB: TypeORM passes each statement to its logger. */
function listenToPool(source: TestApp['database']['reader']['connection'], note: Note): () => void {
  const { logger } = source;
  Object.assign(source, { logger: Object.assign(Object.create(logger as object) as typeof logger, { logQuery: note }) });
  return () => void Object.assign(source, { logger });
}

/** SQLite: one query runner passes each statement to a thread. */
function listenToThread(runner: QueryRunner, note: Note): () => void {
  const ask = runner.query.bind(runner) as QueryRunner['query'];
  const query = (sql: string, parameters?: unknown[], useStructuredResult?: boolean): unknown => {
    note(sql, parameters);
    return ask(sql, parameters as never, useStructuredResult as never);
  };
  Object.assign(runner, { query });
  return () => void Object.assign(runner, { query: ask });
}
