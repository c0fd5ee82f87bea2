import { join } from 'node:path';
import libsql from 'libsql';
import type { RowDataPacket } from 'mysql2/promise';
import { requireMariadb, type Stage } from './targets';

// Measures the cost of durable commits: two single-row commits, one after the other, on one connection. This is the lower limit for a
// single call: the gate admits a call only after its hold is durable, and answers it only after its bill is durable.

export interface CommitTimes {
  pairs: number;
  p50Us: number;
  p99Us: number;
}

const TEXT = 'x'.repeat(200);

/** Times pairs of commits on the same MariaDB server, in a separate database. */
export async function commitPairsOnMariadb(stage: Stage, seconds: number): Promise<CommitTimes> {
  const { control } = requireMariadb(stage);
  await control.query('CREATE DATABASE IF NOT EXISTS bench_commits');
  await control.query(
    'CREATE TABLE IF NOT EXISTS bench_commits.pairs (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, value varchar(255) NOT NULL)',
  );
  const [rows] = await control.query<RowDataPacket[]>('SELECT @@autocommit AS autocommit');
  if (Number((rows[0] as { autocommit: number }).autocommit) !== 1)
    throw new Error('autocommit is off. Turn it on: each INSERT must be one commit.');
  const insert = () => control.query('INSERT INTO bench_commits.pairs (value) VALUES (?)', [TEXT]);
  const times: number[] = [];
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    const started = performance.now();
    await insert();
    await insert();
    times.push(performance.now() - started);
  }
  return summaryOf(times);
}

/** Times pairs of commits on a separate SQLite database in the gate's folder, with the same settings. */
export function commitPairsOnSqlite({ folder }: Stage, seconds: number): CommitTimes {
  const database = new libsql(join(folder, 'commits.db'));
  try {
    database.exec('PRAGMA journal_mode = WAL');
    database.exec('PRAGMA synchronous = FULL');
    database.exec('CREATE TABLE IF NOT EXISTS pairs (id integer PRIMARY KEY, value text NOT NULL)');
    const insert = database.prepare('INSERT INTO pairs (value) VALUES (?)');
    const times: number[] = [];
    for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
      const started = performance.now();
      insert.run(TEXT);
      insert.run(TEXT);
      times.push(performance.now() - started);
    }
    return summaryOf(times);
  } finally {
    database.close();
  }
}

function summaryOf(times: number[]): CommitTimes {
  const sorted = times.sort((a, b) => a - b);
  const at = (share: number) => Math.round((sorted[Math.floor(sorted.length * share)] ?? NaN) * 1000);
  return { pairs: sorted.length, p50Us: at(0.5), p99Us: at(0.99) };
}
