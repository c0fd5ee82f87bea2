import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { wrkVersion } from './wrk';

/** The machine and the software versions that the numbers of a run depend on. */
export interface Machine {
  date: string;
  cores: number;
  model: string;
  node: string;
  database: string;
  wrk: string;
  durability: string;
  /** Median time of the disk to make 4 KiB durable, in microseconds. */
  syncUs: number;
}

export async function describeMachine(folder: string, mariadb: Connection | undefined): Promise<Machine> {
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    cores: availableParallelism(),
    model: cpus()[0]?.model.trim() ?? 'unknown',
    node: process.versions.node,
    wrk: wrkVersion(),
    ...(mariadb ? await describeDatabase(mariadb) : { database: 'no MariaDB', durability: 'synchronous=FULL' }),
    syncUs: syncUs(folder),
  };
}

interface Variables {
  version: string;
  flush: number;
  pool: number;
}

async function describeDatabase(connection: Connection): Promise<Pick<Machine, 'database' | 'durability'>> {
  const [rows] = await connection.query<RowDataPacket[]>(
    'SELECT VERSION() AS version, @@innodb_flush_log_at_trx_commit AS flush, @@innodb_buffer_pool_size AS pool',
  );
  const { version, flush, pool } = rows[0] as unknown as Variables;
  return {
    database: `${version} with ${Math.round(Number(pool) / 2 ** 20)} MiB of buffer pool`,
    durability: `innodb_flush_log_at_trx_commit=${flush}, SQLite's synchronous=FULL`,
  };
}

const SYNCS = 200;

function syncUs(folder: string): number {
  const path = join(folder, 'sync');
  const file = openSync(path, 'w');
  const block = Buffer.alloc(4096, 1);
  const times = Array.from({ length: SYNCS }, () => {
    writeSync(file, block);
    const started = performance.now();
    fdatasyncSync(file);
    return (performance.now() - started) * 1000;
  }).sort((a, b) => a - b);
  closeSync(file);
  rmSync(path);
  return times[SYNCS / 2] as number;
}
