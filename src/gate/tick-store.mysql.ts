import { createPool, escape, type Pool, type PoolConnection, type RowDataPacket } from 'mysql2/promise';
import { NOW_MICROS_SQL, type Clock } from '../db/clock';
import { mysqlConnectionOptions, type MysqlSettings } from '../db/data-source';
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

/** Ticks on MySQL and MariaDB: three packets, the locks held between the last two. */
export class MysqlTickStore implements TickStore {
  private readonly pool: Pool;

  readonly maxBytes: number;

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
    this.pool.pool.on('connection', (connection) => {
      // Queued before whatever asked for the connection; where it fails, so will that.
      connection.query(`SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION ${SESSION.join(', ')}`, (error) => {
        if (error) connection.destroy();
      });
    });
  }

  async lookUp(digests: string[], actions: ActionName[]): Promise<LookUp> {
    const connection = await this.connect();
    try {
      const [keys, found] = await query(
        connection,
        `SELECT ${KEY_COLUMNS} WHERE s.digest IN (${list(digests)}); SELECT ${ACTION_COLUMNS} WHERE enabled = 1 AND (${anyOf('service', 'name', actions.map(({ service, action }) => [service, action]))})`,
      );
      connection.release();
      return {
        keys: new Map(rowsOf(keys).map(toKeyFacts).map((key) => [key.digest, key])),
        actions: new Map(
          rowsOf(found)
            .map(toActionFacts)
            .map((action) => [actionKey({ service: action.service, action: action.name }), action]),
        ),
      };
    } catch (error) {
      connection.destroy();
      throw new TickFailure(false, error);
    }
  }

  async transact(needs: TickNeeds, { waits }: { waits: boolean }, decide: (state: TickState) => TickWrites, onWriting: () => void): Promise<void> {
    const connection = await this.connect();
    let committing = false;
    try {
      const state = await this.read(connection, needs, waits);
      const sql = writesSql(decide(state));
      committing = true;
      const written = query(connection, `${sql}COMMIT`);
      onWriting();
      await written;
      connection.release();
    } catch (error) {
      // Never given back: a failed statement leaves the transaction open, and the next START TRANSACTION would commit its half.
      connection.destroy();
      throw new TickFailure(committing && !isServersAnswer(error), error);
    }
  }

  async close(): Promise<void> {
    await this.pool.end();
  }

  private async connect(): Promise<PoolConnection> {
    try {
      return await withDeadline(this.pool.getConnection(), (late) => late.release());
    } catch (error) {
      throw new TickFailure(false, error);
    }
  }

  private async read(connection: PoolConnection, { projectIds, claims, attempts }: TickNeeds, waits: boolean): Promise<TickState> {
    const none = 'SELECT 1 FROM DUAL WHERE FALSE';
    const [, budgets, limits, claimed, held, time] = await query(
      connection,
      [
        'START TRANSACTION',
        projectIds.length === 0
          ? none
          : `SELECT ${BUDGET_COLUMNS} FORCE INDEX (PRIMARY) WHERE project_id IN (${list([...projectIds].sort())}) ORDER BY project_id FOR UPDATE${waits ? '' : ' SKIP LOCKED'}`,
        projectIds.length === 0 ? none : `SELECT ${LIMIT_COLUMNS} WHERE id IN (${list(projectIds)})`,
        claims.length === 0
          ? none
          : `SELECT ${CLAIM_COLUMNS} WHERE ${anyOf('credential_id', 'request_id', claims.map(({ credentialId, requestId }) => [credentialId, requestId]))}`,
        attempts.length === 0 ? none : `SELECT attempt FROM holds WHERE attempt IN (${list(attempts)})`,
        `SELECT ${NOW_MICROS_SQL} AS now`,
      ].join('; '),
    );
    const nowUs = this.clock.fromDatabase(Number(rowsOf(time)[0]?.now));
    const claimRows = toClaims(rowsOf(claimed));
    const openHolds = new Set(rowsOf(held).map((row) => row.attempt as string));
    const gone = attempts.filter((attempt) => !openHolds.has(attempt));
    const stale = staleAttempts(claimRows, nowUs);
    let ended: SqlRow[] = [];
    let staleHolds: SqlRow[] = [];
    if (gone.length > 0 || stale.length > 0) {
      const [endedRows, staleRows] = await query(
        connection,
        `SELECT ${ENDED_COLUMNS} WHERE id IN (${list(gone)}); SELECT ${HOLD_COLUMNS} WHERE attempt IN (${list(stale)})`,
      );
      ended = rowsOf(endedRows);
      staleHolds = rowsOf(staleRows);
    }
    for (const row of staleHolds) openHolds.add(row.attempt as string);
    return {
      nowUs,
      budgets: toBudgets(rowsOf(budgets), rowsOf(limits)),
      claims: claimRows,
      openHolds,
      staleHolds: new Map(staleHolds.map(toHold).map((hold) => [hold.attempt, hold])),
      ended: toEnded(ended),
    };
  }
}

function writesSql(writes: TickWrites): string {
  let sql = '';
  if (writes.budgets.length > 0) {
    const columns = ['balance', 'held', 'entry_seq', 'theoretical_arrival_us', 'arrival_interval_us'];
    const rows = writes.budgets.map((b) => tuple([b.id, b.balance, b.held, b.entrySeq, b.theoreticalArrivalUs, b.arrivalIntervalUs]));
    // The rows are there and locked: an INSERT that always updates is the one statement that changes many rows to many values.
    sql += `INSERT INTO budgets (project_id, ${columns.join(', ')}) VALUES ${rows.join(', ')} ON DUPLICATE KEY UPDATE ${overwrite(columns)};`;
  }
  if (writes.endedHolds.length > 0) sql += `DELETE FROM holds WHERE attempt IN (${list(writes.endedHolds)});`;
  for (const { credentialId, requestId, attempt } of writes.endedClaims) {
    sql += `DELETE FROM claims WHERE credential_id = ${literal(credentialId)} AND request_id = ${literal(requestId)} AND attempt = ${literal(attempt)};`;
  }
  sql += insert(HOLDS, writes.holds) + insert(LOGS, writes.logs) + insert(ENTRIES, writes.entries);
  sql += insert(CLAIMS, writes.claims, ` ON DUPLICATE KEY UPDATE ${overwrite(CLAIMS.columns)}`);
  const counts = [...writes.refusalCounts].sort((a, b) => (a.credentialId < b.credentialId ? -1 : 1));
  return sql + insert(REFUSAL_COUNTS, counts, ' ON DUPLICATE KEY UPDATE calls = calls + VALUES(calls)');
}

function insert<T>({ name, columns, valuesOf }: TickTable<T>, rows: T[], conflict = ''): string {
  if (rows.length === 0) return '';
  return `INSERT INTO ${name} (${columns.join(', ')}) VALUES ${rows.map((row) => tuple(valuesOf(row))).join(', ')}${conflict};`;
}

const overwrite = (columns: string[]): string => columns.map((column) => `${column} = VALUES(${column})`).join(', ');
const tuple = (values: SqlValue[]): string => `(${values.map(literal).join(', ')})`;
const list = (values: string[]): string => (values.length === 0 ? 'NULL' : values.map(literal).join(', '));

/** `(a = x AND b IN (...)) OR ...`: both products read it as ranges of an index, which they do not promise of `(a, b) IN (...)`. */
function anyOf(first: string, second: string, pairs: [string, string][]): string {
  const groups = new Map<string, string[]>();
  for (const [one, other] of pairs) groups.set(one, [...(groups.get(one) ?? []), other]);
  return [...groups].map(([one, others]) => `(${first} = ${literal(one)} AND ${second} IN (${list(others)}))`).join(' OR ') || 'FALSE';
}

const PLAIN = /^[\w .:/;(),+@-]*$/;

/** A value as SQL. Most text needs no escaping, and asking is cheaper than doing it. */
function literal(value: SqlValue): string {
  if (typeof value === 'string') return PLAIN.test(value) ? `'${value}'` : escape(value);
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'NULL';
  return value === null ? 'NULL' : value ? '1' : '0';
}

type Result = RowDataPacket[];

async function query(connection: PoolConnection, sql: string): Promise<unknown[]> {
  const [results] = await withDeadline(connection.query<RowDataPacket[][]>(sql));
  return results;
}

const rowsOf = (result: unknown): SqlRow[] => result as Result;

/** Whether the server itself said no, so that nothing was committed; else the connection broke or was given up on. */
function isServersAnswer(error: unknown): boolean {
  const { errno, fatal, sqlState } = error as { errno?: number; fatal?: boolean; sqlState?: string };
  // 08S01 and 70100 are said of connections that the server is ending, whatever it did before
  return typeof errno === 'number' && errno > 0 && fatal !== true && sqlState !== '08S01' && sqlState !== '70100';
}

/** `work`, or a failure once TICK_DEADLINE_MS have passed; what comes later is handed to `late`. */
async function withDeadline<T>(work: Promise<T>, late?: (value: T) => void): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      work.then(late, () => undefined);
      reject(Object.assign(new Error('The database did not answer in time.'), { code: 'ETIMEDOUT', fatal: true }));
    }, TICK_DEADLINE_MS);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
