import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createConnection, type Connection } from 'mysql2/promise';

declare global {
  /** Which database the tests run on: the name of the jest project. */
  const TEST_DATABASE: 'sqlite' | 'mysql';
  /** Run by test/support/environment.js when a test file has ended. */
  var atEndOfFile: (() => Promise<void>)[] | undefined;
}

/** Creates an empty database and returns its DATABASE_URL. The database is dropped when the test file has ended. */
export async function freshDatabaseUrl(): Promise<string> {
  const url = await (TEST_DATABASE === 'mysql' ? createMysql() : createSqlite());
  (globalThis.atEndOfFile ??= []).push(() => dropDatabase(url));
  return url;
}

/** Drops a database from freshDatabaseUrl. May be called before the end of the test file, and repeatedly. */
export async function dropDatabase(url: string): Promise<void> {
  if (url.startsWith('sqlite:')) {
    await rm(dirname(url.slice('sqlite:'.length)), { recursive: true, force: true, maxRetries: 5 });
    return;
  }
  await onServer(async (server) => {
    await server.query('SET SESSION lock_wait_timeout = 10'); // in case a test left a transaction open
    await server.query(`DROP DATABASE IF EXISTS \`${new URL(url).pathname.slice(1)}\``);
  });
}

async function createSqlite(): Promise<string> {
  return `sqlite:${join(await mkdtemp(join(tmpdir(), 'tollgate-test-')), 'test.db')}`;
}

async function createMysql(): Promise<string> {
  const name = `tollgate_test_${process.env.JEST_WORKER_ID ?? '0'}_${randomBytes(6).toString('hex')}`;
  // The collation compares by bytes, as docs/operation.md requires: the default of the server may ignore case.
  await onServer((server) => server.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`));
  const url = new URL(serverUrl());
  url.pathname = `/${name}`;
  return url.href;
}

async function onServer(work: (server: Connection) => Promise<unknown>): Promise<void> {
  const server = await createConnection(serverUrl());
  try {
    await work(server);
  } finally {
    await server.end();
  }
}

function serverUrl(): string {
  const url = process.env.TEST_MYSQL_URL;
  if (!url) throw new Error('TEST_MYSQL_URL is not set, though test/support/mysql-setup.js should have set it.');
  return url;
}
