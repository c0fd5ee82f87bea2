import { stat } from 'node:fs/promises';
import { parseDatabaseUrl, type SqliteSettings } from '../src/config';
import { mysqlDataSource, sqliteDataSource } from '../src/db/data-source';
import { mysqlProduct } from '../src/db/mysql-session';
import { Database } from '../src/db/database';
import { migrations } from '../src/db/migrations';
import { entities } from '../src/entities';
import { Workspace } from '../src/tenancy/workspace.entity';
import { Wallet } from '../src/wallet/wallet.entity';
import { freshDatabaseUrl } from './support/database';
import { leastOf, longestTurnOf } from './support/processor-time';

const parts = { entities, migrations };

describe(`the database (${TEST_DATABASE})`, () => {
  let settings: ReturnType<typeof parseDatabaseUrl>;
  const open: Database[] = [];

  beforeAll(async () => {
    settings = parseDatabaseUrl(await freshDatabaseUrl());
    open.push(...(await Promise.all([Database.open(settings, parts), Database.open(settings, parts)])));
  });
  afterAll(() => Promise.all(open.map((database) => database.close())));

  const first = () => open[0] as Database;
  const workspace = (id: string, slug: string, createdAt = new Date(0)) => ({ id, name: slug, slug, keyPrefix: 'acme', createdAt });

  it('applies each migration once, even if two processes start together', async () => {
    await Promise.all(open.map((database) => database.ping()));
    const rows = await first().reader.query<{ name: string }[]>('SELECT name FROM migrations ORDER BY id');
    expect(rows.map((row) => row.name)).toEqual(migrations[TEST_DATABASE].map((migration) => migration.name));
  });

  it('has entities that match the migrations exactly', async () => {
    const source =
      settings.type === 'mysql'
        ? mysqlDataSource(settings, parts, await mysqlProduct(settings))
        : sqliteDataSource(settings, parts, 'writer');
    await source.initialize();
    try {
      const { upQueries } = await source.driver.createSchemaBuilder().log();
      expect(upQueries.map(({ query }) => query)).toEqual([]);
    } finally {
      await source.destroy();
    }
  });

  (TEST_DATABASE === 'sqlite' ? it : it.skip)('is read by nobody but its owner: the file, and what SQLite writes beside it', async () => {
    await first().transaction((tx) => tx.insert(Workspace, workspace('ws_private', 'private')));
    const { path } = settings as SqliteSettings;
    for (const file of [path, `${path}-wal`, `${path}-shm`])
      expect([file, ((await stat(file)).mode & 0o777).toString(8)]).toEqual([file, '600']);
  });

  (TEST_DATABASE === 'sqlite' ? it : it.skip)('lets other work of the process run during a transaction of many statements', async () => {
    const transact = () =>
      first().transaction(async (tx) => {
        for (let index = 0; index < 8_000; index += 1) await tx.update(Workspace, { id: `ws_none${index}` }, { name: 'none' });
      });
    expect(await leastOf(3, 100, async () => (await longestTurnOf(transact)).longestMs)).toBeLessThan(100);
  });

  it('stores the largest amount and the millisecond of an instant exactly', async () => {
    const createdAt = new Date('2026-11-21T09:30:00.123Z');
    await first().transaction(async (tx) => {
      await tx.insert(Workspace, workspace('ws_exact', 'exact', createdAt));
      await tx.insert(Wallet, { id: 'wal_exact', workspaceId: 'ws_exact', balance: Number.MAX_SAFE_INTEGER, entrySeq: 0 });
    });
    const wallet = await first().reader.findOneByOrFail(Wallet, { id: 'wal_exact' });
    const kept = await first().reader.findOneByOrFail(Workspace, { id: 'ws_exact' });
    expect(wallet.balance).toBe(9_007_199_254_740_991);
    expect(kept.createdAt).toEqual(createdAt);
  });

  it('refuses a balance below zero, even if the code does not check it', async () => {
    const overdrawn = first().transaction((tx) =>
      tx.insert(Wallet, { id: 'wal_minus', workspaceId: 'ws_minus', balance: -1, entrySeq: 0 }),
    );
    await expect(overdrawn).rejects.toThrow(/wallets_balance/);
    expect(await first().reader.countBy(Wallet, { id: 'wal_minus' })).toBe(0);
  });

  it('rolls back all writes of a failed transaction', async () => {
    const failing = first().transaction(async (tx) => {
      await tx.insert(Workspace, workspace('ws_undone', 'undone'));
      throw new Error('changed my mind');
    });
    await expect(failing).rejects.toThrow('changed my mind');
    expect(await first().reader.findOneBy(Workspace, { id: 'ws_undone' })).toBeNull();
  });

  it('compares text by its bytes', async () => {
    await first().transaction(async (tx) => {
      await tx.insert(Workspace, workspace('ws_a', 'a'));
      await tx.insert(Workspace, workspace('ws_A', 'A')); // differs from the row above in case only
    });
    expect((await first().reader.findOneByOrFail(Workspace, { slug: 'a' })).id).toBe('ws_a');
    expect((await first().reader.findOneByOrFail(Workspace, { slug: 'A' })).id).toBe('ws_A');
    expect(await first().reader.countBy(Workspace, { slug: 'á' })).toBe(0);
  });
});
