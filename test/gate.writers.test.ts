import { setTimeout as wait } from 'node:timers/promises';
import Sqlite from 'libsql';
import { createConnection } from 'mysql2/promise';
import { Workspace } from '../src/tenancy/workspace.entity';
import { createTestApp, type TestApp } from './support/app';
import { accountOf, faultsOf } from './support/books';
import { startCallers, tally, type Callers } from './support/callers';
import { buildKey, buildProject } from './support/factories';
import { onMysql, onSqlite } from './support/on-database';
import { buildSlowAction } from './support/slow-action';
import { until } from './support/until';

jest.setTimeout(90_000); // other test files share the processors

// Other connections lock rows, or the whole file. Only the calls that need them wait.

let app: TestApp;
let callers: Callers;

beforeAll(async () => {
  app = await createTestApp();
  callers = startCallers(40);
});
afterAll(async () => {
  await callers.close();
  await app.close();
});

onMysql('on a server', () => {
  it('a lock on the holds by another connection delays only their own call, not other projects', async () => {
    const { upstream, project, call } = await buildSlowAction(app, callers);
    const held = call(app.url);
    await upstream.arrived(1);
    const { secret } = await buildKey(app);
    let unlock = (): void => undefined;
    const locked = new Promise<void>((resolve) => (unlock = resolve));
    let isLocked = false;
    const locking = app.database.transaction(async (tx) => {
      await tx.query('SELECT id FROM tick_holds FOR UPDATE');
      isLocked = true;
      await locked;
    });
    await until(() => isLocked, 'the holds to be locked');
    upstream.release();
    try {
      const started = performance.now();
      for (let i = 0; i < 20; i += 1) expect((await callers.call({ url: app.url, secret })).status).toBe(200);
      expect(performance.now() - started).toBeLessThan(1_500); // less than one lock wait of two seconds
      expect(await accountOf(app, project.id)).toMatchObject({ holds: 1, bills: 0 });
    } finally {
      unlock();
      await locking;
    }
    expect((await held).status).toBe(200);
    expect(await accountOf(app, project.id)).toMatchObject({ held: 0, holds: 0, bills: 1 });
    expect(await faultsOf(app)).toEqual([]);
  });

  it('a lock on a budget by another connection delays only its project', async () => {
    const locked = await buildKey(app);
    const free = await Promise.all(Array.from({ length: 3 }, () => buildKey(app)));
    const elsewhere = await createConnection(app.databaseUrl);
    try {
      await elsewhere.query('START TRANSACTION');
      await elsewhere.query('SELECT * FROM budgets WHERE project_id = ? FOR UPDATE', [locked.project.id]);
      let done = 0;
      const waiting = Array.from({ length: 5 }, () => callers.call({ url: app.url, secret: locked.secret }).finally(() => (done += 1)));
      const answers = await callers.calls(60, (index) => ({ url: app.url, secret: free[index % free.length]?.secret as string }));
      expect(tally(answers)).toEqual({ 200: 60 });
      await wait(1_000); // as long as an administrator's transaction may take
      expect(tally(await callers.calls(30, (index) => ({ url: app.url, secret: free[index % free.length]?.secret as string })))).toEqual({
        200: 30,
      });
      expect(done).toBe(0);
      await elsewhere.query('COMMIT');
      expect(tally(await Promise.all(waiting))).toEqual({ 200: 5 });
    } finally {
      await elsewhere.end();
    }
    expect(await accountOf(app, locked.project.id)).toMatchObject({ bills: 5, held: 0 });
    expect(await faultsOf(app)).toEqual([]);
  });
});

onSqlite('on SQLite', () => {
  it('another connection that writes for 300 ms delays calls or makes them fail with 503, and loses nothing', async () => {
    const { upstream, project, secret, call } = await buildSlowAction(app, callers);
    const inFlight = Array.from({ length: 10 }, () => call(app.url));
    await upstream.arrived(10);
    const elsewhere = new Sqlite(app.databaseUrl.slice('sqlite:'.length));
    try {
      elsewhere.exec('BEGIN IMMEDIATE');
      upstream.release(); // ten calls must be billed and forty admitted, which is impossible now
      const calls = callers.calls(40, () => ({ url: app.url, secret }));
      await wait(300);
      elsewhere.exec('COMMIT');
      const { 200: succeeded = 0, '503 SERVICE_UNAVAILABLE': refused = 0, ...others } = tally(await calls);
      expect([succeeded + refused, others]).toEqual([40, {}]);
      expect(tally(await Promise.all(inFlight))).toEqual({ 200: 10 });
      expect(await accountOf(app, project.id)).toMatchObject({ held: 0, holds: 0, bills: 10 + succeeded, succeeded: 10 + succeeded });
    } finally {
      elsewhere.close();
    }
    expect(await faultsOf(app)).toEqual([]);
  });

  it("an administrator's transaction waits for a transaction of another process, and leaves the connection usable", async () => {
    const elsewhere = new Sqlite(app.databaseUrl.slice('sqlite:'.length));
    try {
      elsewhere.exec('BEGIN IMMEDIATE');
      const made = Promise.all([buildKey(app), buildKey(app)]);
      await wait(300);
      elsewhere.exec('COMMIT');
      for (const { secret } of await made) expect((await app.rest({ secret })).status).toBe(200);
    } finally {
      elsewhere.close();
    }
  });

  it("an administrator's rollback during ticks undoes no bill", async () => {
    const { secret, project } = await buildKey(app);
    const calling = { on: true };
    const administrator = (async () => {
      let rolledBack = 0;
      while (calling.on) {
        const id = `ws_undone${rolledBack}`;
        await expect(
          app.database.transaction(async (tx) => {
            await tx.insert(Workspace, { id, name: id, slug: id, keyPrefix: 'acme', createdAt: new Date() });
            await wait(2); // calls are served meanwhile
            throw new Error('changed my mind');
          }),
        ).rejects.toThrow('changed my mind');
        rolledBack += 1;
      }
      return rolledBack;
    })();
    const answers = await callers.calls(300, () => ({ url: app.url, secret }));
    calling.on = false;
    expect(await administrator).toBeGreaterThan(5);
    expect(tally(answers)).toEqual({ 200: 300 });
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 700_000, held: 0, bills: 300, succeeded: 300 });
    expect(await app.database.reader.countBy(Workspace, { name: 'ws_undone0' })).toBe(0);
    expect(await faultsOf(app)).toEqual([]);
  });
});

it('leaves the books of all projects in order', async () => {
  await buildProject(app);
  expect(await faultsOf(app)).toEqual([]);
});
