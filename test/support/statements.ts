import type { TestApp } from './app';

/** A statement as it went to the database. */
export interface Statement {
  sql: string;
  parameters: unknown[];
}

/** What the administrators' side of an app asks the database while `work` runs. */
export async function statementsOf(app: Pick<TestApp, 'database'>, work: () => Promise<unknown>): Promise<Statement[]> {
  const source = app.database.reader.connection;
  const { logger } = source;
  const statements: Statement[] = [];
  const listener = Object.assign(Object.create(logger as object) as typeof logger, {
    logQuery: (sql: string, parameters: unknown[] = []) => void statements.push({ sql, parameters }),
  });
  Object.assign(source, { logger: listener });
  try {
    await work();
  } finally {
    Object.assign(source, { logger });
  }
  return statements;
}
