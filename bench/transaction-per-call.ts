import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createPool, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';
import { PRICE_MICRO_CREDITS, serve } from './route.js';

// The obvious way to bill a call: one transaction per call. It promises less than the gate: no rate limit, no hold while an action
// runs, no answers kept for repeats.

const SCHEMA = [
  `CREATE TABLE api_keys (digest char(64) NOT NULL PRIMARY KEY, id varchar(64) NOT NULL, project_id varchar(64) NOT NULL,
    enabled tinyint NOT NULL)`,
  'CREATE TABLE budgets (project_id varchar(64) NOT NULL PRIMARY KEY, balance bigint NOT NULL)',
  `CREATE TABLE request_logs (id char(36) NOT NULL PRIMARY KEY, key_id varchar(64) NOT NULL, project_id varchar(64) NOT NULL,
    action varchar(128) NOT NULL, charged bigint NOT NULL, created_at bigint NOT NULL, INDEX (project_id, created_at))`,
  `CREATE TABLE ledger_entries (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, project_id varchar(64) NOT NULL, delta bigint NOT NULL,
    request_log_id char(36) NOT NULL, created_at bigint NOT NULL, INDEX (project_id, created_at))`,
];
const BALANCE = 1_000_000_000_000;

interface KeyRow extends RowDataPacket {
  id: string;
  projectId: string;
}

const pool = createPool({ uri: process.env.DATABASE_URL, timezone: 'Z', connectionLimit: 10 });
const digestOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');

async function bill(secret: string): Promise<{ budgetAvailableMicroCredits: number } | { refused: 401 | 402 }> {
  const connection = await pool.getConnection();
  try {
    const [[key]] = await connection.execute<KeyRow[]>(
      'SELECT id, project_id AS projectId FROM api_keys WHERE digest = ? AND enabled = 1',
      [digestOf(secret)],
    );
    if (!key) return { refused: 401 };
    await connection.beginTransaction();
    try {
      const [{ affectedRows }] = await connection.execute<ResultSetHeader>(
        'UPDATE budgets SET balance = balance - ? WHERE project_id = ? AND balance >= ?',
        [PRICE_MICRO_CREDITS, key.projectId, PRICE_MICRO_CREDITS],
      );
      if (affectedRows === 0) {
        await connection.rollback();
        return { refused: 402 };
      }
      const id = randomUUID();
      const now = Date.now();
      const log = [id, key.id, key.projectId, 'demo.echo', PRICE_MICRO_CREDITS, now];
      await connection.execute(
        'INSERT INTO request_logs (id, key_id, project_id, action, charged, created_at) VALUES (?, ?, ?, ?, ?, ?)',
        log,
      );
      const entry = [key.projectId, -PRICE_MICRO_CREDITS, id, now];
      await connection.execute('INSERT INTO ledger_entries (project_id, delta, request_log_id, created_at) VALUES (?, ?, ?, ?)', entry);
      await connection.commit();
      return { budgetAvailableMicroCredits: BALANCE }; // a constant saves one more statement
    } catch (error) {
      await connection.rollback();
      throw error;
    }
  } finally {
    connection.release();
  }
}

async function main(): Promise<void> {
  for (const statement of SCHEMA) await pool.query(statement);
  const secret = `bench_live_${randomBytes(24).toString('base64url')}`;
  await pool.query("INSERT INTO api_keys (digest, id, project_id, enabled) VALUES (?, 'key_bench', 'prj_bench', 1)", [digestOf(secret)]);
  await pool.query("INSERT INTO budgets (project_id, balance) VALUES ('prj_bench', ?)", [BALANCE]);
  await serve({ secret, decide: bill });
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
