import { escape } from 'mysql2';
import type { CredentialKind } from '../access/secret';
import { NOW_MICROS_SQL } from '../db/clock';
import type { CredentialRef } from './call';
import { tickOf, type TickWrites } from './rows';
import { credentialSelects } from './tick-credentials';
import {
  ACTION_COLUMNS,
  BUDGET_COLUMNS,
  CLAIM_COLUMNS,
  ENDED_COLUMNS,
  HOLD_COLUMNS,
  MARK_COLUMNS,
  marksAfter,
  toTickHolds,
  type OpenMarks,
} from './tick-reads';
import type { TickNeeds } from './tick-store';
import { CLAIMS, ENTRIES, LOGS, REFUSAL_COUNTS, TICK_HOLDS, type SqlValue, type TickTable } from './tick-tables';

/** In what the databases differ, as far as a tick goes. */
export interface Dialect {
  /** After a table's name, where rows are to be locked: by the primary key and no other way, or strangers are locked too. */
  byPrimaryKey: string;
  /** At the end of a SELECT: locks its rows, waiting for those that are locked, or passing over them. */
  lock: { waiting: string; skipping: string };
  /** Microseconds since 1970 by the database's clock; undefined where it has none but this process's. */
  now: string | undefined;
  /** At the end of an INSERT: what to do with a row that is there already, and how that calls the row that was to be inserted. */
  onConflict: string;
  inserted(column: string): string;
  /** Any text as a literal. */
  quote(text: string): string;
}

/** What MySQL 8.0 and MariaDB 10.6 both take. */
export const MYSQL: Dialect = {
  byPrimaryKey: ' FORCE INDEX (PRIMARY)',
  lock: { waiting: ' FOR UPDATE', skipping: ' FOR UPDATE SKIP LOCKED' },
  now: `SELECT ${NOW_MICROS_SQL} AS now`,
  onConflict: 'ON DUPLICATE KEY UPDATE',
  inserted: (column) => `VALUES(${column})`,
  quote: (text) => escape(text),
};

/** Where a transaction has the whole database to itself. */
export const SQLITE: Dialect = {
  byPrimaryKey: '',
  lock: { waiting: '', skipping: '' },
  now: undefined,
  onConflict: 'ON CONFLICT DO UPDATE SET',
  inserted: (column) => `excluded.${column}`,
  // Its parser stops at a NUL
  quote: (text) => (text.includes('\0') ? `CAST(X'${Buffer.from(text).toString('hex')}' AS TEXT)` : `'${text.replaceAll("'", "''")}'`),
};

/** What no literal between single quotes can hold as it stands, in one dialect or the other. */
const SPECIAL = /['\\\0-\x1f\x7f]/;

/** The SQL of ticks, whole and without placeholders: one packet, or one message, has many statements of many rows. */
export class TickSql {
  constructor(private readonly dialect: Dialect) {}

  /** A SELECT for each kind of credential that is among these. */
  credentials(credentials: CredentialRef[]): Map<CredentialKind, string> {
    return credentialSelects(credentials, (texts) => this.list(texts));
  }

  /** The reads of a tick that it needs, by name. What follows the locks sees what was committed before they were had. */
  reads({ projectIds, credentials, actions, claims, attempts }: TickNeeds, waits: boolean): Map<TickRead, string> {
    const { byPrimaryKey, lock, now } = this.dialect;
    const reads = new Map<TickRead, string>();
    if (projectIds.length > 0) {
      const ids = this.list([...projectIds].sort());
      reads.set('budgets', `SELECT ${BUDGET_COLUMNS}${byPrimaryKey} WHERE project_id IN (${ids}) ORDER BY project_id${waits ? lock.waiting : lock.skipping}`);
    }
    if (attempts.length > 0) reads.set('marks', this.ticksOf(MARK_COLUMNS, attempts) + (waits ? lock.waiting : lock.skipping));
    for (const [kind, select] of this.credentials(credentials)) reads.set(kind, select);
    if (actions.length > 0) {
      const named = this.anyOf('service', 'name', actions.map(({ service, action }) => [service, action]));
      reads.set('actions', `SELECT ${ACTION_COLUMNS} WHERE enabled = 1 AND (${named})`);
    }
    if (claims.length > 0) {
      const named = this.anyOf('credential_id', 'request_id', claims.map(({ credentialId, requestId }) => [credentialId, requestId]));
      reads.set('claims', `SELECT ${CLAIM_COLUMNS} WHERE ${named}`);
    }
    if (now !== undefined) reads.set('now', now);
    return reads;
  }

  /**
   * What is seldom wanted of attempts whose marks were not read: which of their ticks are there all the same, locked elsewhere; then how
   * they ended; and, with a lock, the ticks of holds that ran out.
   */
  moreReads(unread: string[], stale: string[]): string[] {
    return [
      `SELECT id FROM tick_holds WHERE id IN (${this.list(unread.map(tickOf))})`,
      `SELECT ${ENDED_COLUMNS} WHERE id IN (${this.list(unread)})`,
      this.ticksOf(HOLD_COLUMNS, stale) + this.dialect.lock.waiting,
    ];
  }

  /** All that a tick writes. `marks` are those of the ticks whose holds it ends, as it has read them. */
  writes(writes: TickWrites, marks: OpenMarks): string {
    let sql = '';
    if (writes.budgets.length > 0) sql += this.insert(BUDGETS, writes.budgets, this.overwrite(BUDGETS.columns));
    if (writes.endedHolds.length > 0) sql += this.endHolds(marksAfter(marks, writes.endedHolds));
    for (const { credentialId, requestId, attempt } of writes.endedClaims) {
      sql += `DELETE FROM claims WHERE credential_id = ${this.literal(credentialId)} AND request_id = ${this.literal(requestId)} AND attempt = ${this.literal(attempt)};`;
    }
    if (writes.holds.length > 0) sql += this.insert(TICK_HOLDS, [toTickHolds(writes)]);
    sql += this.insert(LOGS, writes.logs) + this.insert(ENTRIES, writes.entries);
    sql += this.insert(CLAIMS, writes.claims, this.overwrite(CLAIMS.columns));
    const counts = [...writes.refusalCounts].sort((a, b) => (a.credentialId < b.credentialId ? -1 : 1));
    return sql + this.insert(REFUSAL_COUNTS, counts, ` ${this.dialect.onConflict} calls = refusal_counts.calls + ${this.dialect.inserted('calls')}`);
  }

  /** Budgets are locked before ticks' holds, and each of them by id. */
  private ticksOf(columns: string, attempts: string[]): string {
    const ticks = [...new Set(attempts.map(tickOf))].sort();
    return `SELECT ${columns}${this.dialect.byPrimaryKey} WHERE id IN (${this.list(ticks)}) ORDER BY id`;
  }

  private endHolds(after: [tick: string, marks: string][]): string {
    const ended = after.flatMap(([tick, marks]) => (marks === '' ? [tick] : []));
    const left = after.filter(([, marks]) => marks !== '');
    const cases = left.map(([tick, marks]) => `WHEN ${this.literal(tick)} THEN ${this.literal(marks)}`).join(' ');
    return (
      (ended.length > 0 ? `DELETE FROM tick_holds WHERE id IN (${this.list(ended)});` : '') +
      (left.length > 0 ? `UPDATE tick_holds SET marks = CASE id ${cases} END WHERE id IN (${this.list(left.map(([tick]) => tick))});` : '')
    );
  }

  private insert<T>({ name, columns, valuesOf }: TickTable<T>, rows: T[], conflict = ''): string {
    if (rows.length === 0) return '';
    return `INSERT INTO ${name} (${columns.join(', ')}) VALUES ${rows.map((row) => this.tuple(valuesOf(row))).join(',')}${conflict};`;
  }

  /** Of rows that are there, an INSERT that always overwrites is the one statement that gives many rows many values. */
  private overwrite(columns: string[]): string {
    const { onConflict, inserted } = this.dialect;
    return ` ${onConflict} ${columns.map((column) => `${column} = ${inserted(column)}`).join(', ')}`;
  }

  private tuple(values: SqlValue[]): string {
    let sql = '(';
    for (let i = 0; i < values.length; i += 1) sql += (i === 0 ? '' : ',') + this.literal(values[i] as SqlValue);
    return `${sql})`;
  }

  private list(values: string[]): string {
    return values.length === 0 ? 'NULL' : values.map((value) => this.literal(value)).join(', ');
  }

  /** `(a = x AND b IN (...)) OR ...`: all read it as ranges of an index, which MySQL does not promise of `(a, b) IN (...)`. */
  private anyOf(first: string, second: string, pairs: [string, string][]): string {
    const groups = new Map<string, string[]>();
    for (const [one, other] of pairs) groups.set(one, [...(groups.get(one) ?? []), other]);
    return [...groups].map(([one, others]) => `(${first} = ${this.literal(one)} AND ${second} IN (${this.list(others)}))`).join(' OR ');
  }

  /** A value as SQL. Most text needs no escaping, and asking is cheaper than doing it. */
  private literal(value: SqlValue): string {
    if (typeof value === 'string') return SPECIAL.test(value) ? this.dialect.quote(value) : `'${value}'`;
    if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'NULL';
    return 'NULL';
  }
}

export type TickRead = 'budgets' | 'marks' | CredentialKind | 'actions' | 'claims' | 'now';

/** The rows are there and locked. */
const BUDGETS: TickTable<TickWrites['budgets'][number]> = {
  name: 'budgets',
  columns: ['project_id', 'balance', 'held', 'entry_seq', 'theoretical_arrival_us', 'arrival_interval_us'],
  valuesOf: (budget) => [budget.id, budget.balance, budget.held, budget.entrySeq, budget.theoreticalArrivalUs, budget.arrivalIntervalUs],
};
