import { rollBack, type Database, type SqliteConnection } from '../db/database';
import type { TickState, TickWrites } from './rows';
import {
  ACTION_COLUMNS,
  BUDGET_COLUMNS,
  CLAIM_COLUMNS,
  ENDED_COLUMNS,
  HOLD_COLUMNS,
  KEY_COLUMNS,
  LIMIT_COLUMNS,
  staleAttempts,
  toActionFacts,
  toBudgets,
  toClaims,
  toEnded,
  toHold,
  toKeyFacts,
  type SqlRow,
} from './tick-reads';
import { TickFailure, actionKey, type ActionName, type LookUp, type TickNeeds, type TickStore } from './tick-store';
import { CLAIMS, ENTRIES, HOLDS, LOGS, REFUSAL_COUNTS, type SqlValue, type TickTable } from './tick-tables';

/** Ticks on SQLite: one synchronous transaction on the write connection, which nothing else can meet. */
export class SqliteTickStore implements TickStore {
  readonly maxBytes = 16 * 1024 * 1024;
  private readonly statements = new Map<SqliteConnection, Map<string, ReturnType<SqliteConnection['prepare']>>>();

  constructor(private readonly database: Database) {}

  async lookUp(digests: string[], actions: ActionName[]): Promise<LookUp> {
    // On the reading connection: the writing one would show what an administrator has not committed yet.
    const read = (sql: string, ...values: SqlValue[]) => this.all(this.database.readConnection, sql, values);
    const keys = digests.flatMap((digest) => read(`SELECT ${KEY_COLUMNS} WHERE s.digest = ?`, digest)).map(toKeyFacts);
    const found = actions.flatMap(({ service, action }) =>
      read(`SELECT ${ACTION_COLUMNS} WHERE service = ? AND name = ? AND enabled = 1`, service, action).map(toActionFacts),
    );
    return {
      keys: new Map(keys.map((key) => [key.digest, key])),
      actions: new Map(found.map((action) => [actionKey({ service: action.service, action: action.name }), action])),
    };
  }

  async transact(needs: TickNeeds, _options: unknown, decide: (state: TickState) => TickWrites, onWriting: () => void): Promise<void> {
    try {
      await this.database.exclusively((connection) => {
        connection.exec('BEGIN IMMEDIATE');
        try {
          const writes = decide(this.read(connection, needs));
          onWriting();
          this.write(connection, writes);
          connection.exec('COMMIT');
        } catch (error) {
          rollBack(connection);
          throw error;
        }
      });
    } catch (error) {
      throw new TickFailure(false, error);
    }
  }

  async close(): Promise<void> {}

  private read(connection: SqliteConnection, { projectIds, claims, attempts }: TickNeeds): TickState {
    const read = (sql: string, ...values: SqlValue[]) => this.all(connection, sql, values);
    const nowUs = this.database.clock.fromProcess();
    const budgets = projectIds.flatMap((id) => read(`SELECT ${BUDGET_COLUMNS} WHERE project_id = ?`, id));
    const limits = projectIds.flatMap((id) => read(`SELECT ${LIMIT_COLUMNS} WHERE id = ?`, id));
    const claimRows = toClaims(
      claims.flatMap(({ credentialId, requestId }) => read(`SELECT ${CLAIM_COLUMNS} WHERE credential_id = ? AND request_id = ?`, credentialId, requestId)),
    );
    const openHolds = new Set(attempts.flatMap((attempt) => read('SELECT attempt FROM holds WHERE attempt = ?', attempt)).map((row) => row.attempt as string));
    const ended = attempts.filter((attempt) => !openHolds.has(attempt)).flatMap((attempt) => read(`SELECT ${ENDED_COLUMNS} WHERE id = ?`, attempt));
    const stale = staleAttempts(claimRows, nowUs)
      .flatMap((attempt) => read(`SELECT ${HOLD_COLUMNS} WHERE attempt = ?`, attempt))
      .map(toHold);
    for (const hold of stale) openHolds.add(hold.attempt);
    return {
      nowUs,
      budgets: toBudgets(budgets, limits),
      claims: claimRows,
      openHolds,
      staleHolds: new Map(stale.map((hold) => [hold.attempt, hold])),
      ended: toEnded(ended),
    };
  }

  private write(connection: SqliteConnection, writes: TickWrites): void {
    const run = (sql: string, values: SqlValue[]) => {
      this.prepare(connection, sql).run(...values.map((value) => (typeof value === 'boolean' ? Number(value) : value)));
    };
    const insert = <T>({ name, columns, valuesOf }: TickTable<T>, rows: T[], conflict = '') => {
      const sql = `INSERT INTO ${name} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})${conflict}`;
      for (const row of rows) run(sql, valuesOf(row));
    };
    for (const { id, balance, held, entrySeq, theoreticalArrivalUs, arrivalIntervalUs } of writes.budgets) {
      run('UPDATE budgets SET balance = ?, held = ?, entry_seq = ?, theoretical_arrival_us = ?, arrival_interval_us = ? WHERE project_id = ?', [
        balance,
        held,
        entrySeq,
        theoreticalArrivalUs,
        arrivalIntervalUs,
        id,
      ]);
    }
    for (const attempt of writes.endedHolds) run('DELETE FROM holds WHERE attempt = ?', [attempt]);
    for (const { credentialId, requestId, attempt } of writes.endedClaims) {
      run('DELETE FROM claims WHERE credential_id = ? AND request_id = ? AND attempt = ?', [credentialId, requestId, attempt]);
    }
    insert(HOLDS, writes.holds);
    insert(LOGS, writes.logs);
    insert(ENTRIES, writes.entries);
    insert(CLAIMS, writes.claims, ` ON CONFLICT DO UPDATE SET ${CLAIMS.columns.map((column) => `${column} = excluded.${column}`).join(', ')}`);
    insert(REFUSAL_COUNTS, writes.refusalCounts, ' ON CONFLICT DO UPDATE SET calls = calls + excluded.calls');
  }

  private all(connection: SqliteConnection, sql: string, values: SqlValue[]): SqlRow[] {
    return this.prepare(connection, sql).all(...values) as SqlRow[];
  }

  private prepare(connection: SqliteConnection, sql: string): ReturnType<SqliteConnection['prepare']> {
    const statements = this.statements.get(connection) ?? new Map<string, ReturnType<SqliteConnection['prepare']>>();
    this.statements.set(connection, statements);
    const statement = statements.get(sql) ?? connection.prepare(sql);
    statements.set(sql, statement);
    return statement;
  }
}
