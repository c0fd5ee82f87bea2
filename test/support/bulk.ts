import type { EntityManager } from 'typeorm';
import type { Database } from '../../src/db/database';

// Writes thousands of rows as the gate would write them, because real calls would take too long.

const ROWS_PER_STATEMENT = 1_000;
const STATEMENTS_PER_TRANSACTION = 10;

type Row = Record<string, string | number | boolean | null>;

/** Inserts `count` rows. `rowOf` returns a row by the column names of the table. */
export async function insertBulk(
  database: Pick<Database, 'transaction'>,
  table: string,
  count: number,
  rowOf: (index: number) => Row,
): Promise<void> {
  let next = 0;
  while (next < count) {
    await database.transaction(async (tx) => {
      let at = next; // a transaction may be retried
      for (let statement = 0; statement < STATEMENTS_PER_TRANSACTION && at < count; statement += 1) {
        const rows = Array.from({ length: Math.min(ROWS_PER_STATEMENT, count - at) }, (_, index) => rowOf(at + index));
        await insert(tx, table, rows);
        at += rows.length;
      }
    });
    next += ROWS_PER_STATEMENT * STATEMENTS_PER_TRANSACTION;
  }
}

function insert(tx: EntityManager, table: string, rows: Row[]): Promise<unknown> {
  const columns = Object.keys(rows[0] ?? {});
  const places = `(${columns.map(() => '?').join(', ')})`;
  return tx.query(
    `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${rows.map(() => places).join(', ')}`,
    rows.flatMap((row) => Object.values(row)),
  );
}

export interface CallsOf {
  workspaceId: string;
  projectId: string;
  keyId: string;
}

/** The log row of a past call: one call every 10 ms, beginning at `fromMs`. Most succeed; one in 1,000 is refused. */
export function callRow({ workspaceId, projectId, keyId }: CallsOf, fromMs: number, index: number): Row {
  const isRefused = index % 1_000 === 999;
  return {
    id: `log_${keyId.slice(4)}${String(index).padStart(9, '0')}`,
    request_id: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
    workspace_id: workspaceId,
    project_id: projectId,
    credential_kind: 'API_KEY',
    credential_id: keyId,
    environment: 'LIVE',
    service: 'demo',
    action: 'demo.echo',
    outcome: isRefused ? 'REFUSED' : 'SUCCEEDED',
    error_code: isRefused ? 'RATE_LIMITED' : null,
    http_status: isRefused ? 429 : 200,
    charged_micro_credits: isRefused ? 0 : 1_000,
    action_ms: isRefused ? null : 1.5,
    total_ms: 3.25,
    ip: `192.0.2.${index % 250}`,
    user_agent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36',
    created_at: fromMs + index * 10,
  };
}

/** The ledger entry of a billed call, in a budget that began with `fromBalance`. */
export function usageRow(accountId: string, fromBalance: number, fromMs: number, index: number): Row {
  return {
    account_id: accountId,
    seq: index + 1,
    kind: index === 0 ? 'ALLOCATION' : 'USAGE',
    delta: index === 0 ? fromBalance : -1_000,
    balance_after: fromBalance - index * 1_000,
    linked_entry_id: null,
    request_log_id: index === 0 ? null : `log_${String(index).padStart(9, '0')}`,
    reference: null,
    reason: null,
    created_at: fromMs + index * 10,
  };
}
