import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ReadThread } from '../src/db/read-thread';
import { ThreadConnection } from '../src/db/thread-connection';
import { until } from './support/until';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tollgate-thread-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('answers all requests from before a close, and refuses later ones', async () => {
  const thread = new ThreadConnection(join(folder, 'thread.db'));
  const before = thread.run('CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (7)', ['SELECT n FROM t']);
  const closed = thread.close();
  expect(await before).toEqual([[{ n: 7 }]]);
  await closed;
  await expect(thread.run('SELECT 1')).rejects.toMatchObject({ code: 'POOL_CLOSED' });
});

it("rolls back the open transaction of a failed statement, and reports the driver's code", async () => {
  const thread = new ThreadConnection(join(folder, 'rollback.db'));
  await thread.run('CREATE TABLE t (n INTEGER PRIMARY KEY)');
  await thread.run('BEGIN IMMEDIATE');
  await expect(thread.run('INSERT INTO t VALUES (1); INSERT INTO t VALUES (1); COMMIT')).rejects.toMatchObject({
    code: 'SQLITE_CONSTRAINT_PRIMARYKEY',
  });
  expect(await thread.run('BEGIN IMMEDIATE', ['SELECT n FROM t'])).toEqual([[]]);
  await thread.close();
});

it('reads current rows with a repeated SELECT, also after a change of a row or of the table, and after a failure', async () => {
  const thread = new ThreadConnection(join(folder, 'again.db'));
  const other = new ThreadConnection(join(folder, 'again.db'));
  const read = async (): Promise<unknown> => (await thread.run('', ['SELECT * FROM t ORDER BY n']))[0];
  await thread.run('CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)');
  expect(await read()).toEqual([{ n: 1 }]);
  await other.run('UPDATE t SET n = 2');
  expect(await read()).toEqual([{ n: 2 }]);
  await other.run("ALTER TABLE t ADD COLUMN more TEXT DEFAULT 'x'");
  expect(await read()).toEqual([{ n: 2, more: 'x' }]);
  await thread.run("INSERT INTO t VALUES (9, '{')");
  const half = "SELECT n, json(CASE n WHEN 9 THEN more ELSE '1' END) AS j FROM t ORDER BY rowid"; // fails after its first row
  for (let times = 0; times < 3; times += 1) await expect(thread.run('BEGIN IMMEDIATE', [half])).rejects.toThrow(/JSON/i);
  await thread.run('DELETE FROM t WHERE n = 9');
  await other.run('INSERT INTO t (n) VALUES (3)');
  expect(await read()).toEqual([{ n: 2, more: 'x' }, { n: 3, more: 'x' }]);
  await Promise.all([thread.close(), other.close()]);
});

describe('a thread that reads', () => {
  const rowsTo = (count: number): string =>
    `WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < ${count}) SELECT x FROM c`;

  it('reads committed rows, with parameters and in order, and cannot write', async () => {
    const path = join(folder, 'reads.db');
    const writer = new ThreadConnection(path);
    await writer.run('CREATE TABLE t (n INTEGER, b BLOB); INSERT INTO t VALUES (7, x\'00ff\')');
    const thread = new ReadThread(path, 1_000);
    expect(
      await Promise.all([thread.read('SELECT n FROM t WHERE n = ?', [7]), thread.read('SELECT ? AS v, COUNT(*) AS n FROM t', [null])]),
    ).toEqual([[{ n: 7 }], [{ v: null, n: 1 }]]);
    const [row] = (await thread.read('SELECT b FROM t')) as [{ b: Uint8Array }];
    expect([...new Uint8Array(row.b)]).toEqual([0, 255]);
    await expect(thread.read('DELETE FROM t')).rejects.toThrow(/readonly/);
    await writer.run('INSERT INTO t VALUES (8, NULL)');
    expect(await thread.read('SELECT COUNT(*) AS n FROM t')).toEqual([{ n: 2 }]);
    await thread.close();
    await expect(thread.read('SELECT 1')).rejects.toMatchObject({ code: 'POOL_CLOSED' });
    await writer.close();
  });

  it('interrupts a long read; replaces the thread and refuses its waiting reads if the read cannot be interrupted', async () => {
    const thread = new ReadThread(join(folder, 'long.db'), 300);
    await until(async () => (await thread.read('SELECT 1 AS n').catch(() => [])).length === 1, 'the thread to have begun');
    await expect(thread.read(`SELECT COUNT(*) FROM (${rowsTo(1e9)})`)).rejects.toMatchObject({ code: 'SQLITE_INTERRUPT' });
    expect(await thread.read('SELECT 1 AS n')).toEqual([{ n: 1 }]);
    const late = thread.read(`${rowsTo(1e7)} WHERE x = 1 OR x = 10000000`); // returns its first row at once
    const next = thread.read('SELECT 1 AS n');
    await expect(late).rejects.toMatchObject({ code: 'READS_BUSY' });
    await expect(next).rejects.toMatchObject({ code: 'READS_BUSY' });
    expect(await thread.read('SELECT 2 AS n')).toEqual([{ n: 2 }]);
    await thread.close();
  });

  it('closes during a read, which is refused, and the process continues', async () => {
    const script = `
      require('@swc-node/register');
      const { ReadThread } = require('${join(__dirname, '../src/db/read-thread')}');
      const closes = async () => {
        const thread = new ReadThread('${join(folder, 'closes.db')}', 0);
        await thread.read('SELECT 1');
        const before = thread.read('SELECT 1');
        const reads = ["${`SELECT COUNT(*) FROM (${rowsTo(1e6)})`}", 'SELECT 1'].map((sql) => thread.read(sql).catch(({ code }) => code));
        await before; // then the next read begins
        await thread.close();
        return Promise.all(reads);
      };
      Promise.all(Array.from({ length: 8 }, closes)).then((all) => {
        console.log(all.flat().join(' '));
        setTimeout(() => console.log('alive'), 2_000); // a read that still ran would have ended by then
      });`;
    const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', script], { cwd: join(__dirname, '..'), encoding: 'utf8' });
    expect({ stdout, stderr, status }).toEqual({ stdout: `${Array(16).fill('POOL_CLOSED').join(' ')}\nalive\n`, stderr: '', status: 0 });
  });
});
