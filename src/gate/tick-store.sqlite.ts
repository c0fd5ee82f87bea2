import { rollBack, type Database, type SqliteConnection } from '../db/database';
import type { KeyFacts } from './call';
import { tickOf, type TickHoldsRow, type TickState, type TickWrites } from './rows';
import {
  ACTION_COLUMNS,
  BUDGET_COLUMNS,
  CLAIM_COLUMNS,
  ENDED_COLUMNS,
  HOLD_COLUMNS,
  KEY_COLUMNS,
  STALE_HOLD_COLUMNS,
  isOpen,
  marksAfter,
  openHoldsOf,
  staleAttempts,
  toActions,
  toBudgets,
  toClaims,
  toEnded,
  toKeys,
  toMarks,
  toTickHolds,
  type OpenMarks,
  type SqlRow,
} from './tick-reads';
import { TickFailure, type TickNeeds, type TickStore } from './tick-store';
import { CLAIMS, ENTRIES, LOGS, REFUSAL_COUNTS, TICK_HOLDS, type SqlValue, type TickTable } from './tick-tables';

/** Ticks on SQLite: one synchronous transaction on the write connection, which nothing else can meet. */
export class SqliteTickStore implements TickStore {
  readonly maxBytes = 16 * 1024 * 1024;
  readonly blocks = true;
  private readonly statements = new Map<SqliteConnection, Map<string, ReturnType<SqliteConnection['prepare']>>>();

  constructor(private readonly database: Database) {}

  async findKeys(digests: string[]): Promise<Map<string, KeyFacts>> {
    // On the reading connection: the writing one would show what an administrator has not committed yet.
    return this.keys(this.database.readConnection, digests);
  }

  async transact(needs: TickNeeds, _options: unknown, decide: (state: TickState) => TickWrites): Promise<void> {
    try {
      await this.database.exclusively((connection) => {
        connection.exec('BEGIN IMMEDIATE');
        try {
          const { state, marks } = this.read(connection, needs);
          this.write(connection, decide(state), marks);
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

  private keys(connection: SqliteConnection, digests: string[]): Map<string, KeyFacts> {
    return toKeys(digests.flatMap((digest) => this.all(connection, `SELECT ${KEY_COLUMNS} WHERE s.digest = ?`, [digest])));
  }

  private read(connection: SqliteConnection, { projectIds, digests, actions, claims, attempts }: TickNeeds): { state: TickState; marks: OpenMarks } {
    const read = (sql: string, ...values: SqlValue[]) => this.all(connection, sql, values);
    const readTicks = (columns: string, wanted: string[]) => [...new Set(wanted.map(tickOf))].flatMap((tick) => read(`SELECT ${columns} WHERE id = ?`, tick));
    const nowUs = this.database.clock.fromProcess();
    const claimRows = toClaims(
      claims.flatMap(({ credentialId, requestId }) => read(`SELECT ${CLAIM_COLUMNS} WHERE credential_id = ? AND request_id = ?`, credentialId, requestId)),
    );
    const stale = new Set(staleAttempts(claimRows, nowUs));
    const staleTicks = readTicks(STALE_HOLD_COLUMNS, [...stale]);
    const staleHolds = (staleTicks as unknown as TickHoldsRow[]).flatMap(openHoldsOf).filter(({ attempt }) => stale.has(attempt));
    const marks = toMarks([...readTicks(HOLD_COLUMNS, attempts), ...staleTicks]);
    const gone = attempts.filter((attempt) => !isOpen(marks, attempt));
    const state: TickState = {
      nowUs,
      keys: this.keys(connection, digests),
      actions: toActions(
        actions.flatMap(({ service, action }) => read(`SELECT ${ACTION_COLUMNS} WHERE service = ? AND name = ? AND enabled = 1`, service, action)),
      ),
      budgets: toBudgets(projectIds.flatMap((id) => read(`SELECT ${BUDGET_COLUMNS} WHERE project_id = ?`, id))),
      claims: claimRows,
      openHolds: new Set([...attempts.filter((attempt) => isOpen(marks, attempt)), ...staleHolds.map(({ attempt }) => attempt)]),
      staleHolds: new Map(staleHolds.map((hold) => [hold.attempt, hold])),
      ended: toEnded(gone.flatMap((attempt) => read(`SELECT ${ENDED_COLUMNS} WHERE id = ?`, attempt))),
    };
    return { state, marks };
  }

  private write(connection: SqliteConnection, writes: TickWrites, marks: OpenMarks): void {
    const run = (sql: string, values: SqlValue[]) => {
      this.prepare(connection, sql).run(values); // as one array: taking parameters apart and together again costs a fifth of the write
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
    for (const [tick, left] of marksAfter(marks, writes.endedHolds)) {
      if (left === '') run('DELETE FROM tick_holds WHERE id = ?', [tick]);
      else run('UPDATE tick_holds SET marks = ? WHERE id = ?', [left, tick]);
    }
    for (const { credentialId, requestId, attempt } of writes.endedClaims) {
      run('DELETE FROM claims WHERE credential_id = ? AND request_id = ? AND attempt = ?', [credentialId, requestId, attempt]);
    }
    if (writes.holds.length > 0) insert(TICK_HOLDS, [toTickHolds(writes)]);
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
