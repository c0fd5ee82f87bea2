import Libsql from 'libsql';
import { createConnection } from 'mysql2/promise';
import type { AccountRow, ClaimRow, EntryRow, LogRow, Tables } from './evidence';
import { digestOf } from './load';

type Row = Record<string, unknown>;
type Ask = (sql: string) => Promise<Row[]>;

/** Number of rows read at a time. */
const PAGE = 20_000;

/** Runs `work` with a separate connection to the database, without a server or a proxy in between. */
export async function withTables<T>(databaseUrl: string, work: (ask: Ask) => Promise<T>): Promise<T> {
  if (databaseUrl.startsWith('sqlite:')) {
    const connection = new Libsql(databaseUrl.slice('sqlite:'.length), { readonly: true, timeout: 5_000 });
    try {
      return await work(async (sql) => connection.prepare(sql).all() as Row[]);
    } finally {
      connection.close();
    }
  }
  const connection = await createConnection({ uri: databaseUrl, connectTimeout: 5_000, supportBigNumbers: true });
  connection.on('error', () => undefined); // the failing query reports the error
  try {
    return await work(async (sql) => (await connection.query(sql))[0] as Row[]);
  } finally {
    connection.destroy();
  }
}

/** Reads the tables for the checks. Call it when nothing writes any more. */
export function readTables(databaseUrl: string): Promise<Tables> {
  return withTables(databaseUrl, async (ask) => ({
    logs: (await allOf(ask, LOGS, 'request_logs', ['id'])).map(toLog),
    entries: (await allOf(ask, ENTRIES, 'ledger_entries', ['account_id', 'seq'])).map(toEntry),
    accounts: [
      ...(await ask("SELECT id, 'wallet' AS type, balance, 0 AS held, entry_seq FROM wallets")),
      ...(await ask("SELECT project_id AS id, 'budget' AS type, balance, held, entry_seq FROM budgets")),
    ].map(toAccount),
    claims: (await allOf(ask, CLAIMS, 'claims', ['credential_id', 'request_id'])).map(toClaim),
    openHolds: (await openHolds(ask)).map(({ attempt }) => attempt),
  }));
}

const LOGS = `id, request_id, project_id, credential_id, environment, service, action, outcome, error_code, charged_micro_credits,
  action_ms, user_agent, created_at`;
const ENTRIES = 'account_id, seq, kind, delta, balance_after, request_log_id, reference';
const CLAIMS = 'credential_id, request_id, attempt, state, answer';

/** Reads a whole table, in pages by its primary key. */
async function allOf(ask: Ask, columns: string, table: string, key: string[]): Promise<Row[]> {
  const rows: Row[] = [];
  for (let after = '1 = 1'; ;) {
    const page = await ask(`SELECT ${columns} FROM ${table} WHERE ${after} ORDER BY ${key.join(', ')} LIMIT ${PAGE}`);
    rows.push(...page);
    const last = page.at(-1);
    if (!last || page.length < PAGE) return rows;
    const [first, second] = key as [string, string | undefined];
    const literal = (column: string) => (typeof last[column] === 'number' ? String(last[column]) : `'${text(last[column])}'`);
    after = `${first} > ${literal(first)}${second ? ` OR (${first} = ${literal(first)} AND ${second} > ${literal(second)})` : ''}`;
  }
}

const text = (value: unknown): string => `${value as string | number}`;
const textOrNull = (value: unknown): string | null => (value === null ? null : text(value));
const numberOrNull = (value: unknown): number | null => (value === null ? null : Number(value));

function toLog(row: Row): LogRow {
  return {
    id: text(row.id),
    requestId: text(row.request_id),
    projectId: text(row.project_id),
    credentialId: text(row.credential_id),
    environment: text(row.environment),
    service: text(row.service),
    action: text(row.action),
    outcome: text(row.outcome),
    errorCode: textOrNull(row.error_code),
    charged: Number(row.charged_micro_credits),
    actionMs: numberOrNull(row.action_ms),
    userAgent: textOrNull(row.user_agent),
    createdAt: Number(row.created_at),
  };
}

function toEntry(row: Row): EntryRow {
  return {
    accountId: text(row.account_id),
    seq: Number(row.seq),
    kind: text(row.kind),
    delta: Number(row.delta),
    balanceAfter: Number(row.balance_after),
    requestLogId: textOrNull(row.request_log_id),
    reference: textOrNull(row.reference),
  };
}

function toAccount(row: Row): AccountRow {
  return {
    id: text(row.id),
    type: row.type === 'wallet' ? 'wallet' : 'budget',
    balance: Number(row.balance),
    held: Number(row.held),
    entrySeq: Number(row.entry_seq),
  };
}

function toClaim(row: Row): ClaimRow {
  return {
    credentialId: text(row.credential_id),
    requestId: text(row.request_id),
    attempt: text(row.attempt),
    state: text(row.state),
    digest: row.answer === null ? null : digestOf(text(row.answer)),
  };
}

/** Reads the open holds, and lists the projects with a `held` that differs from their sum, in one snapshot. */
export function readHolds(databaseUrl: string): Promise<{ holds: { attempt: string; expiresAt: number }[]; wrong: string[] }> {
  return withTables(databaseUrl, async (ask) => {
    await ask(databaseUrl.startsWith('sqlite:') ? 'BEGIN' : 'START TRANSACTION WITH CONSISTENT SNAPSHOT');
    const holds = await openHolds(ask);
    const budgets = await ask('SELECT project_id AS id, held FROM budgets');
    await ask('COMMIT');
    const sums = new Map<string, number>();
    for (const { projectId, amount } of holds) sums.set(projectId, (sums.get(projectId) ?? 0) + amount);
    const wrong = budgets.flatMap((row) => {
      const [id, held, open] = [text(row.id), Number(row.held), sums.get(text(row.id)) ?? 0];
      return held === open ? [] : [`held of ${id} is ${held}, but its open holds add up to ${open}`];
    });
    return { holds, wrong };
  });
}

interface OpenHold {
  attempt: string;
  projectId: string;
  amount: number;
  expiresAt: number;
}

/**
 * Reads the open holds. The marks of a tick say which of its holds are open; the last two base 62 digits of an attempt are its position.
 * A hold that was renewed, and a hold of a verification, has a row of its own.
 */
async function openHolds(ask: Ask): Promise<OpenHold[]> {
  const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  const rows = await ask('SELECT marks, holds FROM tick_holds');
  const packed = rows.flatMap((row) =>
    (JSON.parse(text(row.holds)) as OpenHold[]).filter(({ attempt }) => {
      const [tens, ones] = attempt.slice(-2);
      return text(row.marks)[digits.indexOf(tens as string) * 62 + digits.indexOf(ones as string)] === '1';
    }),
  );
  const singles = await ask('SELECT expires_at, hold FROM single_holds');
  return [...packed, ...singles.map((row) => ({ ...(JSON.parse(text(row.hold)) as OpenHold), expiresAt: Number(row.expires_at) }))];
}
