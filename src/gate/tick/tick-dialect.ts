import { escape } from 'mysql2';
import type { CredentialKind } from '../../access/secret';
import { NOW_MICROS_SQL } from '../../db/clock';
import type { CredentialRef } from '../call';
import { tickOf, type TickWrites } from './rows';
import { credentialSelects } from './tick-credentials';
import {
  ACTION_COLUMNS,
  BUDGET_COLUMNS,
  CLAIM_COLUMNS,
  ENDED_COLUMNS,
  HOLD_COLUMNS,
  MARK_COLUMNS,
  ROUTE_COLUMNS,
  SINGLE_HOLD_COLUMNS,
  marksAfter,
  toSingleHold,
  toTickHolds,
  type OpenMarks,
} from './tick-reads';
import type { TickNeeds } from './tick-store';
import { CLAIMS, ENTRIES, LOGS, REFUSAL_COUNTS, SINGLE_HOLDS, TICK_HOLDS, type SqlValue, type TickTable } from './tick-tables';

/** The differences between databases in the SQL of a tick. */
export interface Dialect {
  /** Follows a table's name if rows are locked: forces access by primary key, because other access paths lock unrelated rows too. */
  byPrimaryKey: string;
  /** Ends a SELECT and locks its rows. For rows that another transaction has locked it waits, or skips them. */
  lock: { waiting: string; skipping: string };
  /** SELECT of the database's clock, in microseconds since 1970. Undefined if this process's clock is used. */
  now: string | undefined;
  /** Begins the clause of an INSERT that updates the row if it exists already. */
  onConflict: string;
  /** The value that the INSERT would have inserted, for use in that clause. */
  inserted(column: string): string;
  /** Makes a literal of any text. */
  quote(text: string): string;
}

/** SQL that both MySQL 8.0 and MariaDB 10.6 accept. */
export const MYSQL: Dialect = {
  byPrimaryKey: ' FORCE INDEX (PRIMARY)',
  lock: { waiting: ' FOR UPDATE', skipping: ' FOR UPDATE SKIP LOCKED' },
  now: `SELECT ${NOW_MICROS_SQL} AS now`,
  onConflict: 'ON DUPLICATE KEY UPDATE',
  inserted: (column) => `VALUES(${column})`,
  quote: (text) => escape(text),
};

/** Needs no row locks: a transaction locks the whole database. */
export const SQLITE: Dialect = {
  byPrimaryKey: '',
  lock: { waiting: '', skipping: '' },
  now: undefined,
  onConflict: 'ON CONFLICT DO UPDATE SET',
  inserted: (column) => `excluded.${column}`,
  // SQLite's parser stops at a NUL
  quote: (text) => (text.includes('\0') ? `CAST(X'${Buffer.from(text).toString('hex')}' AS TEXT)` : `'${text.replaceAll("'", "''")}'`),
};

/** Characters that need escaping in a literal, in any dialect. */
const SPECIAL = /['\\\0-\x1f\x7f]/;

/** Makes the SQL of ticks without placeholders, so that one packet or message can have many statements of many rows. */
export class TickSql {
  constructor(private readonly dialect: Dialect) {}

  /** The SELECT of each kind of credential that occurs in `credentials`. */
  credentials(credentials: CredentialRef[]): Map<CredentialKind, string> {
    return credentialSelects(credentials, (texts) => this.list(texts));
  }

  /**
   * The reads that a tick needs, by name and in order. The locking reads come first, so that the other reads see everything that was
   * committed before the locks were taken. Without `waits`, rows that are locked elsewhere are skipped.
   */
  reads({ projectIds, credentials, actions, routes, claims, attempts, singleHolds }: TickNeeds, waits: boolean): Map<TickRead, string> {
    const { byPrimaryKey, lock, now } = this.dialect;
    const locking = waits ? lock.waiting : lock.skipping;
    const reads = new Map<TickRead, string>();
    if (projectIds.length > 0) {
      const ids = this.list([...projectIds].sort());
      reads.set('budgets', `SELECT ${BUDGET_COLUMNS}${byPrimaryKey} WHERE project_id IN (${ids}) ORDER BY project_id${locking}`);
    }
    if (attempts.length > 0) reads.set('marks', this.ticksOf(MARK_COLUMNS, attempts) + locking);
    if (singleHolds.length > 0) reads.set('singleHolds', this.singleHolds(singleHolds));
    for (const [kind, select] of this.credentials(credentials)) reads.set(kind, select);
    if (actions.length > 0) {
      const named = this.anyOf('service', 'name', actions.map(({ service, action }) => [service, action]));
      reads.set('actions', `SELECT ${ACTION_COLUMNS} WHERE enabled = 1 AND (${named})`);
    }
    if (routes.length > 0) reads.set('routes', `SELECT ${ROUTE_COLUMNS} WHERE enabled = 1 AND id IN (${this.list(routes)})`);
    if (claims.length > 0) {
      const named = this.anyOf('credential_id', 'request_id', claims.map(({ credentialId, requestId }) => [credentialId, requestId]));
      reads.set('claims', `SELECT ${CLAIM_COLUMNS} WHERE ${named}`);
    }
    if (now !== undefined) reads.set('now', now);
    return reads;
  }

  /**
   * Four further reads, which few ticks need. `unread` are attempts without an open hold. Reads which of their ticks still exist, because
   * another transaction has locked them, and reads the log rows of the attempts that have ended. `stale` are attempts that have expired.
   * Reads and locks their ticks, and reads their rows in `single_holds`.
   */
  moreReads(unread: string[], stale: string[]): string[] {
    return [
      `SELECT id FROM tick_holds WHERE id IN (${this.list(unread.map(tickOf))})`,
      `SELECT ${ENDED_COLUMNS} WHERE id IN (${this.list(unread)})`,
      this.ticksOf(HOLD_COLUMNS, stale) + this.dialect.lock.waiting,
      this.singleHolds(stale),
    ];
  }

  /** SELECT of holds with rows of their own. Needs no lock: only a transaction with the lock of the budget changes them. */
  private singleHolds(attempts: string[]): string {
    return `SELECT ${SINGLE_HOLD_COLUMNS} WHERE id IN (${this.list(attempts)})`;
  }

  /** All writes of a tick. `marks` are the marks that it has read, of each tick with a hold that it ends. */
  writes(writes: TickWrites, marks: OpenMarks): string {
    let sql = '';
    if (writes.budgets.length > 0) sql += this.insert(BUDGETS, writes.budgets, this.overwrite(BUDGETS.columns));
    if (writes.endedHolds.length > 0) sql += this.endHolds(marksAfter(marks, writes.endedHolds));
    for (const { credentialId, requestId, attempt } of writes.endedClaims) {
      sql += `DELETE FROM claims WHERE credential_id = ${this.literal(credentialId)} AND request_id = ${this.literal(requestId)}`;
      sql += ` AND attempt = ${this.literal(attempt)};`;
    }
    if (writes.holds.length > 0) sql += this.insert(TICK_HOLDS, [toTickHolds(writes)]);
    if (writes.endedSingleHolds.length > 0) sql += `DELETE FROM single_holds WHERE id IN (${this.list(writes.endedSingleHolds)});`;
    if (writes.singleHolds.length > 0) {
      sql += this.insert(SINGLE_HOLDS, writes.singleHolds.map(toSingleHold), this.overwrite(SINGLE_HOLDS.columns));
    }
    sql += this.insert(LOGS, writes.logs) + this.insert(ENTRIES, writes.entries);
    sql += this.insert(CLAIMS, writes.claims, this.overwrite(CLAIMS.columns));
    const counts = [...writes.refusalCounts].sort((a, b) => (a.credentialId < b.credentialId ? -1 : 1));
    const { onConflict, inserted } = this.dialect;
    return sql + this.insert(REFUSAL_COUNTS, counts, ` ${onConflict} calls = refusal_counts.calls + ${inserted('calls')}`);
  }

  /** SELECT of the ticks of these attempts. All transactions lock budgets before ticks, each in the order of ids, to avoid deadlocks. */
  private ticksOf(columns: string, attempts: string[]): string {
    const ticks = [...new Set(attempts.map(tickOf))].sort();
    return `SELECT ${columns}${this.dialect.byPrimaryKey} WHERE id IN (${this.list(ticks)}) ORDER BY id`;
  }

  /** Writes the new marks of ticks, and deletes ticks without an open hold. */
  private endHolds(after: [tick: string, marks: string][]): string {
    const ended = after.flatMap(([tick, marks]) => (marks === '' ? [tick] : []));
    const left = after.filter(([, marks]) => marks !== '');
    const cases = left.map(([tick, marks]) => `WHEN ${this.literal(tick)} THEN ${this.literal(marks)}`).join(' ');
    const leftIds = this.list(left.map(([tick]) => tick));
    return (
      (ended.length > 0 ? `DELETE FROM tick_holds WHERE id IN (${this.list(ended)});` : '') +
      (left.length > 0 ? `UPDATE tick_holds SET marks = CASE id ${cases} END WHERE id IN (${leftIds});` : '')
    );
  }

  private insert<T>({ name, columns, valuesOf }: TickTable<T>, rows: T[], conflict = ''): string {
    if (rows.length === 0) return '';
    return `INSERT INTO ${name} (${columns.join(', ')}) VALUES ${rows.map((row) => this.tuple(valuesOf(row))).join(',')}${conflict};`;
  }

  /** Updates existing rows: an INSERT that always overwrites can set different values in many rows with one statement. */
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

  /** Makes `(a = x AND b IN (...)) OR ...`. All databases read it as index ranges; MySQL does not always do so for `(a, b) IN (...)`. */
  private anyOf(first: string, second: string, pairs: [string, string][]): string {
    const groups = new Map<string, string[]>();
    for (const [key, value] of pairs) groups.set(key, [...(groups.get(key) ?? []), value]);
    return [...groups].map(([key, values]) => `(${first} = ${this.literal(key)} AND ${second} IN (${this.list(values)}))`).join(' OR ');
  }

  /** Makes a literal of a value. Most texts need no escaping, and the test is cheaper than escaping. */
  private literal(value: SqlValue): string {
    if (typeof value === 'string') return SPECIAL.test(value) ? this.dialect.quote(value) : `'${value}'`;
    if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'NULL';
    return 'NULL';
  }
}

export type TickRead = 'budgets' | 'marks' | 'singleHolds' | CredentialKind | 'actions' | 'routes' | 'claims' | 'now';

/** Only the columns that ticks change. The rows always exist and are locked. */
const BUDGETS: TickTable<TickWrites['budgets'][number]> = {
  name: 'budgets',
  columns: ['project_id', 'balance', 'held', 'entry_seq', 'theoretical_arrival_us', 'arrival_interval_us'],
  valuesOf: (budget) => [budget.id, budget.balance, budget.held, budget.entrySeq, budget.theoreticalArrivalUs, budget.arrivalIntervalUs],
};
