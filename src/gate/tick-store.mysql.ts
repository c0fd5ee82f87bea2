import { createPool, escape, type Pool, type PoolConnection, type QueryError } from 'mysql2';
import { NOW_MICROS_SQL, type Clock } from '../db/clock';
import { mysqlConnectionOptions, type MysqlSettings } from '../db/data-source';
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

/** Connections of the gate's own pool: the main lane's two, and those of projects that wait for a lock. */
export const TICK_CONNECTIONS = 10;

/** How long a tick may take from its first packet to the answer to its COMMIT. */
export const TICK_DEADLINE_MS = 5_000;

// Idle connections are closed here before the server does it: its wait_timeout is short, so that a node which is cut off in the
// middle of a transaction frees the project that it has locked within seconds.
const IDLE_TIMEOUT_MS = 5_000;
const WAIT_TIMEOUT_SECONDS = 10;

const SESSION = [
  "time_zone = '+00:00'",
  "sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
  'innodb_lock_wait_timeout = 2',
  `wait_timeout = ${WAIT_TIMEOUT_SECONDS}`,
  // MariaDB turns long IN lists into a join, which locks rows that were not asked for
  '/*M! in_predicate_conversion_threshold = 0, */ autocommit = 1',
];

/** Ticks on MySQL and MariaDB: two packets, the locks held between them. */
export class MysqlTickStore implements TickStore {
  private readonly pool: Pool;

  readonly maxBytes: number;
  readonly blocks = false;

  constructor(
    settings: MysqlSettings,
    private readonly clock: Clock,
    maxAllowedPacketBytes: number,
  ) {
    this.maxBytes = Math.floor(maxAllowedPacketBytes / 4);
    this.pool = createPool({
      ...mysqlConnectionOptions(settings),
      multipleStatements: true,
      queryFormat: (sql: string) => sql, // the SQL is whole: there are no placeholders to look for in it
      connectionLimit: TICK_CONNECTIONS,
      maxIdle: TICK_CONNECTIONS,
      idleTimeout: IDLE_TIMEOUT_MS,
    });
    this.pool.on('connection', (connection) => {
      // Queued before whatever asked for the connection; where it fails, so will that.
      connection.query(`SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION ${SESSION.join(', ')}`, (error) => {
        if (error) connection.destroy();
      });
    });
  }

  async findKeys(digests: string[]): Promise<Map<string, KeyFacts>> {
    const connection = await this.connect();
    try {
      const rows = await query<SqlRow[]>(connection, keysSql(digests));
      connection.release();
      return toKeys(rows);
    } catch (error) {
      connection.destroy();
      throw new TickFailure(false, error);
    }
  }

  async transact(needs: TickNeeds, { waits }: { waits: boolean }, decide: (state: TickState) => TickWrites): Promise<void> {
    const connection = await this.connect();
    let committing = false;
    try {
      const { state, marks } = await this.read(connection, needs, waits);
      const sql = writesSql(decide(state), marks);
      committing = true;
      await query(connection, `${sql}COMMIT`);
      connection.release();
    } catch (error) {
      // Never given back: a failed statement leaves the transaction open, and the next START TRANSACTION would commit its half.
      connection.destroy();
      throw new TickFailure(committing && !isServersAnswer(error), error);
    }
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) => this.pool.end((error) => (error ? reject(error) : resolve())));
  }

  private async connect(): Promise<PoolConnection> {
    try {
      return await inTime<PoolConnection>(
        (done) => this.pool.getConnection((error, connection) => done(error, connection)),
        (late) => late.release(),
      );
    } catch (error) {
      throw new TickFailure(false, error);
    }
  }

  private async read(connection: PoolConnection, needs: TickNeeds, waits: boolean): Promise<{ state: TickState; marks: OpenMarks }> {
    const { projectIds, digests, actions, claims, attempts } = needs;
    const statements = ['START TRANSACTION'];
    const ask = (sql: string): number => statements.push(sql) - 1;
    // In this order: what follows the lock sees what was committed before it was had
    const budgets = projectIds.length > 0 && ask(`SELECT ${BUDGET_COLUMNS} FORCE INDEX (PRIMARY) WHERE project_id IN (${list([...projectIds].sort())}) ORDER BY project_id FOR UPDATE${waits ? '' : ' SKIP LOCKED'}`);
    const holds = attempts.length > 0 && ask(lockHoldsSql(HOLD_COLUMNS, attempts));
    const keys = digests.length > 0 && ask(keysSql(digests));
    const found = actions.length > 0 && ask(`SELECT ${ACTION_COLUMNS} WHERE enabled = 1 AND (${anyOf('service', 'name', actions.map(({ service, action }) => [service, action]))})`);
    const claimed = claims.length > 0 && ask(`SELECT ${CLAIM_COLUMNS} WHERE ${anyOf('credential_id', 'request_id', claims.map(({ credentialId, requestId }) => [credentialId, requestId]))}`);
    const time = ask(`SELECT ${NOW_MICROS_SQL} AS now`);
    const results = await query<SqlRow[][]>(connection, statements.join('; '));
    const rows = (place: number | false): SqlRow[] => (place === false ? [] : (results[place] as SqlRow[]));

    const nowUs = this.clock.fromDatabase(Number(rows(time)[0]?.now));
    const marks = toMarks(rows(holds));
    const openHolds = new Set(attempts.filter((attempt) => isOpen(marks, attempt)));
    const claimRows = toClaims(rows(claimed));
    const state: TickState = {
      nowUs,
      keys: toKeys(rows(keys)),
      actions: toActions(rows(found)),
      budgets: toBudgets(rows(budgets)),
      claims: claimRows,
      openHolds,
      staleHolds: new Map(),
      ended: new Map(),
    };
    await this.readMore(connection, state, marks, {
      gone: attempts.filter((attempt) => !openHolds.has(attempt)),
      stale: staleAttempts(claimRows, nowUs),
    });
    return { state, marks };
  }

  /** What is seldom wanted: how attempts ended whose holds are gone, and the holds of claims that ran out. */
  private async readMore(connection: PoolConnection, state: TickState, marks: OpenMarks, { gone, stale }: { gone: string[]; stale: string[] }): Promise<void> {
    if (gone.length === 0 && stale.length === 0) return;
    const [ended, ticks] = await query<[SqlRow[], SqlRow[]]>(
      connection,
      `SELECT ${ENDED_COLUMNS} WHERE id IN (${list(gone)}); ${lockHoldsSql(STALE_HOLD_COLUMNS, stale)}`,
    );
    state.ended = toEnded(ended);
    for (const [tick, text] of toMarks(ticks)) marks.set(tick, text);
    for (const hold of (ticks as unknown as TickHoldsRow[]).flatMap(openHoldsOf)) {
      if (!stale.includes(hold.attempt)) continue;
      state.staleHolds.set(hold.attempt, hold);
      state.openHolds.add(hold.attempt);
    }
  }
}

const keysSql = (digests: string[]): string => `SELECT ${KEY_COLUMNS} WHERE s.digest IN (${list(digests)})`;

/** Budgets are locked before holds, everywhere, and each of them by id. */
function lockHoldsSql(columns: string, attempts: string[]): string {
  const ticks = [...new Set(attempts.map(tickOf))].sort();
  return `SELECT ${columns} FORCE INDEX (PRIMARY) WHERE id IN (${list(ticks)}) ORDER BY id FOR UPDATE`;
}

function writesSql(writes: TickWrites, marks: OpenMarks): string {
  let sql = '';
  if (writes.budgets.length > 0) {
    const columns = ['balance', 'held', 'entry_seq', 'theoretical_arrival_us', 'arrival_interval_us'];
    const rows = writes.budgets.map((b) => tuple([b.id, b.balance, b.held, b.entrySeq, b.theoreticalArrivalUs, b.arrivalIntervalUs]));
    // As for holds: the rows are there and locked
    sql += `INSERT INTO budgets (project_id, ${columns.join(', ')}) VALUES ${rows.join(', ')} ON DUPLICATE KEY UPDATE ${overwrite(columns)};`;
  }
  if (writes.endedHolds.length > 0) sql += endHoldsSql(marksAfter(marks, writes.endedHolds));
  for (const { credentialId, requestId, attempt } of writes.endedClaims) {
    sql += `DELETE FROM claims WHERE credential_id = ${literal(credentialId)} AND request_id = ${literal(requestId)} AND attempt = ${literal(attempt)};`;
  }
  if (writes.holds.length > 0) sql += insert(TICK_HOLDS, [toTickHolds(writes)]);
  sql += insert(LOGS, writes.logs) + insert(ENTRIES, writes.entries);
  sql += insert(CLAIMS, writes.claims, ` ON DUPLICATE KEY UPDATE ${overwrite(CLAIMS.columns)}`);
  const counts = [...writes.refusalCounts].sort((a, b) => (a.credentialId < b.credentialId ? -1 : 1));
  return sql + insert(REFUSAL_COUNTS, counts, ' ON DUPLICATE KEY UPDATE calls = calls + VALUES(calls)');
}

/** The rows are there and locked: an INSERT that always updates is the one statement that changes many rows to many values. */
function endHoldsSql(after: [tick: string, marks: string][]): string {
  const ended = after.flatMap(([tick, marks]) => (marks === '' ? [tick] : []));
  const left = after.flatMap(([tick, marks]) => (marks === '' ? [] : [tuple([tick, '', 0, marks, ''])]));
  return (
    (ended.length > 0 ? `DELETE FROM tick_holds WHERE id IN (${list(ended)});` : '') +
    (left.length > 0 ? `INSERT INTO tick_holds (${TICK_HOLDS.columns.join(', ')}) VALUES ${left.join(', ')} ON DUPLICATE KEY UPDATE marks = VALUES(marks);` : '')
  );
}

function insert<T>({ name, columns, valuesOf }: TickTable<T>, rows: T[], conflict = ''): string {
  if (rows.length === 0) return '';
  return `INSERT INTO ${name} (${columns.join(', ')}) VALUES ${rows.map((row) => tuple(valuesOf(row))).join(', ')}${conflict};`;
}

const overwrite = (columns: string[]): string => columns.map((column) => `${column} = VALUES(${column})`).join(', ');

function tuple(values: SqlValue[]): string {
  let sql = '(';
  for (let i = 0; i < values.length; i += 1) sql += (i === 0 ? '' : ',') + literal(values[i] as SqlValue);
  return `${sql})`;
}

const list = (values: string[]): string => (values.length === 0 ? 'NULL' : values.map(literal).join(', '));

/** `(a = x AND b IN (...)) OR ...`: both products read it as ranges of an index, which they do not promise of `(a, b) IN (...)`. */
function anyOf(first: string, second: string, pairs: [string, string][]): string {
  const groups = new Map<string, string[]>();
  for (const [one, other] of pairs) groups.set(one, [...(groups.get(one) ?? []), other]);
  return [...groups].map(([one, others]) => `(${first} = ${literal(one)} AND ${second} IN (${list(others)}))`).join(' OR ') || 'FALSE';
}

/** What a literal between single quotes cannot hold as it stands, and the control characters for good measure. */
const SPECIAL = /['\\\0-\x1f\x7f]/;

/** A value as SQL. Most text needs no escaping, and asking is cheaper than doing it. */
function literal(value: SqlValue): string {
  if (typeof value === 'string') return SPECIAL.test(value) ? escape(value) : `'${value}'`;
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'NULL';
  return 'NULL';
}

/** The result of a statement, or the results of several. */
function query<T>(connection: PoolConnection, sql: string): Promise<T> {
  return inTime<T>((done) => connection.query(sql, (error: QueryError | null, results: unknown) => done(error, results as T)));
}

/** Whether the server itself said no, so that nothing was committed; else the connection broke or was given up on. */
function isServersAnswer(error: unknown): boolean {
  const { errno, fatal, sqlState } = error as { errno?: number; fatal?: boolean; sqlState?: string };
  // 08S01 and 70100 are said of connections that the server is ending, whatever it did before
  return typeof errno === 'number' && errno > 0 && fatal !== true && sqlState !== '08S01' && sqlState !== '70100';
}

/** What `work` gives, or a failure once TICK_DEADLINE_MS have passed; what comes later is handed to `late`. */
function inTime<T>(work: (done: (error: Error | null, value: T) => void) => void, late?: (value: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      reject(Object.assign(new Error('The database did not answer in time.'), { code: 'ETIMEDOUT', fatal: true }));
    }, TICK_DEADLINE_MS);
    work((error, value) => {
      clearTimeout(timer);
      if (error) reject(error);
      else if (isLate) late?.(value);
      else resolve(value);
    });
  });
}
