import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ThreadConnection } from '../src/db/thread-connection';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tollgate-thread-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('leaves nobody waiting: what is asked before it closes is answered, and what is asked after is refused', async () => {
  const thread = new ThreadConnection(join(folder, 'thread.db'));
  const before = thread.run('CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (7)', ['SELECT n FROM t']);
  const closed = thread.close();
  expect(await before).toEqual([[{ n: 7 }]]);
  await closed;
  await expect(thread.run('SELECT 1')).rejects.toMatchObject({ code: 'POOL_CLOSED' });
});

it('rolls back what a failed statement leaves open, and tells the driver\'s code', async () => {
  const thread = new ThreadConnection(join(folder, 'rollback.db'));
  await thread.run('CREATE TABLE t (n INTEGER PRIMARY KEY)');
  await thread.run('BEGIN IMMEDIATE');
  await expect(thread.run('INSERT INTO t VALUES (1); INSERT INTO t VALUES (1); COMMIT')).rejects.toMatchObject({ code: 'SQLITE_CONSTRAINT_PRIMARYKEY' });
  expect(await thread.run('BEGIN IMMEDIATE', ['SELECT n FROM t'])).toEqual([[]]);
  await thread.close();
});
