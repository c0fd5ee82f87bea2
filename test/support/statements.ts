import type { QueryRunner } from 'typeorm';
import type { TestApp } from './app';

/** A statement as it went to the database. */
export interface Statement {
  sql: string;
  parameters: unknown[];
}

/** What the administrators' side of an app asks the database while `work` runs. */
export async function statementsOf({ database: { reader } }: Pick<TestApp, 'database'>, work: () => Promise<unknown>): Promise<Statement[]> {
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

/** MySQL and MariaDB: TypeORM tells its logger of each. */
function listenToPool(source: TestApp['database']['reader']['connection'], note: Note): () => void {
  const { logger } = source;
  Object.assign(source, { logger: Object.assign(Object.create(logger as object) as typeof logger, { logQuery: note }) });
  return () => void Object.assign(source, { logger });
}

/** SQLite: one runner hands each to a thread. */
function listenToThread(runner: QueryRunner, note: Note): () => void {
  const ask = runner.query.bind(runner) as QueryRunner['query'];
  const query = (sql: string, parameters?: unknown[], useStructuredResult?: boolean): unknown => {
    note(sql, parameters);
    return ask(sql, parameters as never, useStructuredResult as never);
  };
  Object.assign(runner, { query });
  return () => void Object.assign(runner, { query: ask });
}
