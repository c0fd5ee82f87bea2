import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import Sqlite from 'libsql';
import { createConnection } from 'mysql2/promise';
import { openHolds } from '../src/gate/books';
import { Claim, RefusalCount } from '../src/gate/gate.entities';
import { REFUSALS_LOGGED_PER_SECOND } from '../src/gate/refusals';
import { SqlTickStore } from '../src/gate/tick-store.sql';
import { RequestLog } from '../src/requests/request-log.entity';
import { Workspace } from '../src/tenancy/workspace.entity';
import { LedgerEntry, LedgerKind } from '../src/wallet/ledger-entry.entity';
import { Budget } from '../src/wallet/wallet.entity';
import { createTestApp, PEPPER, ROOT_KEY, type TestApp } from './support/app';
import { accountOf, faultsOf, outcomesOf } from './support/books';
import { startCallers, tally, type Callers } from './support/callers';
import { buildAction, buildKey, buildProject } from './support/factories';
import { startMariadb, type MariadbServer } from './support/mariadb-server';
import { startProcess } from './support/process';
import { startProxy } from './support/proxy';
import { until } from './support/until';
import { startUpstream, type Upstream } from './support/upstream';

jest.setTimeout(90_000); // other test files take the processors too

const onMysql = TEST_DATABASE === 'mysql' ? describe : describe.skip;
const onSqlite = TEST_DATABASE === 'sqlite' ? describe : describe.skip;

/** Past the expiry of a hold whose action may take 30 s. */
const PAST_EXPIRY_MS = 61_000;

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

/** A project, its key, and an action at an upstream that answers when told so. */
async function slowAction(node: TestApp = app, budget?: number) {
  const upstream = await startUpstream();
  const action = await buildAction(node, { upstreamUrl: upstream.url });
  const { secret, project, key } = await buildKey(node, { permissions: ['face.*', 'demo.*'], ...(budget === undefined ? {} : { budget }) });
  const call = (url: string, body: Record<string, unknown> = {}) => callers.call({ url, secret, service: 'face', body: { action: action.name, ...body } });
  return { upstream, action, secret, project, key, call };
}

describe('a call whose process died', () => {
  it('is voided by the sweep of another process, logged as EXPIRED, and its requestId is free again', async () => {
    const { upstream, project, call } = await slowAction();
    const requestId = randomUUID();
    const other = await startProcess({ env: { DATABASE_URL: app.databaseUrl, KEY_PEPPER: PEPPER, ROOT_KEY } });
    const lost = call(await other.listening, { requestId });
    await upstream.arrived(1);
    other.kill('SIGKILL');
    expect(await lost).toMatchObject({ status: 0 });
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_000_000, held: 1_000, holds: 1 });
    expect(await call(app.url, { requestId })).toMatchObject({ status: 409 });
    await app.sweep.once();
    expect(await accountOf(app, project.id)).toMatchObject({ held: 1_000, holds: 1 }); // not before its time

    app.travel(PAST_EXPIRY_MS);
    await app.sweep.once();
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_000_000, held: 0, holds: 0, bills: 0 });
    expect(await outcomesOf(app, requestId)).toContain('EXPIRED OUTCOME_UNKNOWN');
    upstream.release();
    expect(await call(app.url, { requestId })).toMatchObject({ status: 200, body: { billing: { chargedMicroCredits: 1_000 } } });
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 999_000, held: 0, holds: 0, bills: 1, succeeded: 1 });
    expect(await faultsOf(app)).toEqual([]);
  });

  it('needs no sweep where its caller comes again: the repeat voids it and runs', async () => {
    const { upstream, project, call } = await slowAction(app, 1_000); // one credit: the dead call holds it
    const requestId = randomUUID();
    const late = call(app.url, { requestId });
    await upstream.arrived(1);
    app.travel(PAST_EXPIRY_MS);
    const again = call(app.url, { requestId });
    const second = await upstream.arrived(2);
    expect(await outcomesOf(app, requestId)).toEqual(['EXPIRED OUTCOME_UNKNOWN']);
    second.succeed();
    expect((await again).status).toBe(200);
    upstream.release(); // the first one, long after
    expect(await late).toMatchObject({ status: 503, body: { error: { code: 'OUTCOME_UNKNOWN' } } });
    expect((await outcomesOf(app, requestId)).sort()).toEqual(['EXPIRED OUTCOME_UNKNOWN', 'SUCCEEDED']);
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 0, held: 0, holds: 0, bills: 1, succeeded: 1 });
    expect(await call(app.url, { requestId })).toMatchObject({ status: 200, body: { meta: { idempotencyReplay: true } } });
    expect(await faultsOf(app)).toEqual([]);
  });

  it('bills nothing and answers 503 where it lives after all, and its success comes after the sweep', async () => {
    const { upstream, project, call } = await slowAction();
    const late = call(app.url);
    await upstream.arrived(1);
    app.travel(PAST_EXPIRY_MS);
    await app.sweep.once();
    upstream.release();
    expect(await late).toMatchObject({ status: 503, body: { error: { code: 'OUTCOME_UNKNOWN' } } });
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_000_000, held: 0, holds: 0, bills: 0, succeeded: 0 });
    expect(await faultsOf(app)).toEqual([]);
  });
});

describe('one bad item never fails its tick:', () => {
  let upstream: Upstream;
  let name: string;

  /** One call each of so many projects, all in flight at once. */
  async function callsInFlight(count: number) {
    upstream = await startUpstream();
    ({ name } = await buildAction(app, { upstreamUrl: upstream.url }));
    const keys = await Promise.all(Array.from({ length: count }, () => buildKey(app, { permissions: ['face.*'] })));
    const running = keys.map(({ secret }) => callers.call({ url: app.url, secret, service: 'face', body: { action: name } }));
    await upstream.arrived(count);
    return { keys, running };
  }

  it('a bill that the ledger refuses costs its own call a 500, is voided, and costs the others nothing', async () => {
    const { keys, running } = await callsInFlight(12);
    const { id: accountId } = keys[5]?.project as { id: string };
    const { entrySeq } = await app.database.reader.findOneByOrFail(Budget, { projectId: accountId });
    const place = { accountId, seq: entrySeq + 1 }; // the number that its bill would have
    await app.database.transaction(async (tx) => {
      await tx.insert(LedgerEntry, { ...place, kind: LedgerKind.ADJUSTMENT, delta: 1, balanceAfter: 1, createdAt: new Date() });
    });
    upstream.release();
    const answers = await Promise.all(running);
    expect(answers.map(({ status }) => status)).toEqual(keys.map(({ project }) => (project.id === accountId ? 500 : 200)));
    await app.database.transaction((tx) => tx.delete(LedgerEntry, place));
    for (const { project } of keys) {
      const billed = project.id !== accountId;
      expect(await accountOf(app, project.id)).toMatchObject({ balance: billed ? 999_000 : 1_000_000, held: 0, holds: 0, bills: billed ? 1 : 0 });
    }
    expect(await faultsOf(app)).toEqual([]);
  });

  it('a budget that breaks its CHECK keeps its own call waiting, and nobody else from being billed or swept', async () => {
    const { keys, running } = await callsInFlight(6);
    const [broken, ...others] = keys.map(({ project }) => project.id) as [string, ...string[]];
    const [waiting, ...served] = running;
    const setHeld = (held: number) => app.database.transaction((tx) => tx.query(`UPDATE budgets SET held = ${held} WHERE project_id = '${broken}'`));
    await setHeld(0); // giving back what is held would now leave less than nothing
    try {
      upstream.release();
      expect((await Promise.all(served)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
      for (const id of others) expect(await accountOf(app, id)).toMatchObject({ balance: 999_000, held: 0, bills: 1 });

      // A call of another project whose time is over, and an answer that is no longer kept, beside the hold that cannot be ended
      const { upstream: hanging, project, call } = await slowAction();
      const dead = call(app.url);
      await hanging.arrived(1);
      const { secret, key } = await buildKey(app);
      expect((await app.rest({ secret, body: { requestId: randomUUID() } })).status).toBe(200);
      app.travel(25 * 3_600_000);
      await app.sweep.once();
      expect(app.logLines.join('')).toContain('sweep: holds were left');
      expect(await accountOf(app, project.id)).toMatchObject({ held: 0, holds: 0 });
      expect(await app.database.reader.countBy(Claim, { credentialId: key.id })).toBe(0);
      expect(await accountOf(app, broken)).toMatchObject({ balance: 1_000_000, holds: 1, bills: 0 });
      hanging.release();
      expect((await dead).status).toBe(503);
    } finally {
      await setHeld(1_000);
    }
    expect((await waiting)?.status).toBe(200); // it has asked again all the while
    expect(await accountOf(app, broken)).toMatchObject({ balance: 999_000, held: 0, holds: 0, bills: 1 });
    expect(await faultsOf(app)).toEqual([]);
  });
});

describe('past its bounds', () => {
  it('answers 503 at once: to a project that has a quarter of all calls in flight, and to all where there is no place left', async () => {
    const upstream = await startUpstream();
    const node = await createTestApp({ config: { maxCallsInFlight: 4 } });
    try {
      const { name } = await buildAction(node, { upstreamUrl: upstream.url });
      const keys = await Promise.all(Array.from({ length: 5 }, () => buildKey(node, { permissions: ['face.*'] })));
      const call = (index: number) => callers.call({ url: node.url, secret: keys[index]?.secret as string, service: 'face', body: { action: name } });
      const running = [call(0)];
      await upstream.arrived(1);
      expect(await call(0)).toMatchObject({ status: 503, body: { error: { code: 'SERVICE_UNAVAILABLE' } } });
      running.push(call(1), call(2), call(3));
      await upstream.arrived(4);
      const full = await node.rest({ secret: keys[4]?.secret as string });
      expect([full.status, full.body.error.code]).toEqual([503, 'SERVICE_UNAVAILABLE']);
      expect(Number(full.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(await openHolds(node.database.reader)).toHaveLength(4);
      upstream.release();
      expect(tally(await Promise.all(running))).toEqual({ 200: 4 });
      expect((await call(4)).status).toBe(200);
      expect(await faultsOf(node)).toEqual([]);
    } finally {
      await node.close();
    }
  });

  it('a flood of calls over the rate makes few transactions and few rows, and each of them is counted', async () => {
    const { secret, key, project } = await buildKey(app, { rateLimit: { sustainedRps: 0.001, burst: 1 } });
    const ticks = jest.spyOn(SqlTickStore.prototype, 'transact');
    const started = performance.now();
    const answers = await callers.calls(1_500, () => ({ url: app.url, secret }));
    const seconds = Math.ceil((performance.now() - started) / 1000);
    const transactions = ticks.mock.calls.length;
    ticks.mockRestore();
    expect(tally(answers)).toEqual({ 200: 1, '429 RATE_LIMITED': 1_499 });
    const rows = await app.database.reader.countBy(RequestLog, { credentialId: key.id, errorCode: 'RATE_LIMITED' });
    expect(rows).toBeLessThanOrEqual(REFUSALS_LOGGED_PER_SECOND * (seconds + 1));
    // Four times a second the database is asked again, by whoever comes in that moment; and the counts are written down
    expect(transactions).toBeLessThanOrEqual(20 * (seconds + 1));
    const counted = async () => (await app.database.reader.sum(RefusalCount, 'calls', { credentialId: key.id, code: 'RATE_LIMITED' })) ?? 0;
    await until(async () => Number(await counted()) + rows === 1_499, 'every refusal to be a row or counted');
    expect(await accountOf(app, project.id)).toMatchObject({ bills: 1, held: 0 });
  });
});

onMysql('on a server', () => {
  const serverUrl = () => new URL(app.databaseUrl);

  it('holds that somebody else has locked keep their own call waiting, and no other project', async () => {
    const { upstream, project, call } = await slowAction();
    const held = call(app.url);
    await upstream.arrived(1);
    const { secret } = await buildKey(app);
    let unlock = (): void => undefined;
    const locked = new Promise<void>((resolve) => (unlock = resolve));
    let isLocked = false;
    const stranger = app.database.transaction(async (tx) => {
      await tx.query('SELECT id FROM tick_holds FOR UPDATE');
      isLocked = true;
      await locked;
    });
    await until(() => isLocked, 'the holds to be locked');
    upstream.release();
    try {
      const started = performance.now();
      for (let i = 0; i < 20; i += 1) expect((await callers.call({ url: app.url, secret })).status).toBe(200);
      expect(performance.now() - started).toBeLessThan(1_500); // a wait for a lock takes two seconds
      expect(await accountOf(app, project.id)).toMatchObject({ holds: 1, bills: 0 });
    } finally {
      unlock();
      await stranger;
    }
    expect((await held).status).toBe(200);
    expect(await accountOf(app, project.id)).toMatchObject({ held: 0, holds: 0, bills: 1 });
    expect(await faultsOf(app)).toEqual([]);
  });

  /** A node that reaches the database through a proxy. */
  async function proxiedNode() {
    const proxy = await startProxy(serverUrl());
    const url = serverUrl();
    url.port = String(proxy.port);
    return { proxy, node: await createTestApp({ databaseUrl: url.href }) };
  }

  // What only a tick that admits, or that settles, sends
  const ADMIT = 'INSERT INTO tick_holds';
  const SETTLE = 'DELETE FROM tick_holds';

  describe.each(['lost', 'unanswered', 'late'] as const)('where the last packet of a tick is %s', (fate) => {
    it('a success that is answered is billed exactly once', async () => {
      const { proxy, node } = await proxiedNode();
      try {
        const { secret, project } = await buildKey(app);
        const struck = proxy.strike(SETTLE, fate);
        const requestId = randomUUID();
        const call = callers.call({ url: node.url, secret, body: { requestId } });
        await struck;
        if (fate === 'late') {
          // Given up on, and asked again: the budget's lock still stands in the way
          await until(() => node.logLines.some((line) => line.includes('commit without an answer')), 'the node to give up');
          proxy.deliver();
        }
        expect(await call).toMatchObject({ status: 200, body: { ok: true, billing: { chargedMicroCredits: 1_000 } } });
        expect(await accountOf(app, project.id)).toMatchObject({ balance: 999_000, held: 0, holds: 0, bills: 1, succeeded: 1 });
        expect(await outcomesOf(app, requestId)).toEqual(['SUCCEEDED']);
        expect(await faultsOf(app)).toEqual([]);
      } finally {
        await node.close();
      }
    });

    it('a call that may or may not be admitted is told 503, runs nothing, and leaves no hold', async () => {
      const { proxy, node } = await proxiedNode();
      try {
        const { upstream, project, call } = await slowAction();
        upstream.release();
        const struck = proxy.strike(ADMIT, fate);
        const requestId = randomUUID();
        const answer = call(node.url, { requestId });
        await struck;
        if (fate === 'late') {
          expect((await answer).status).toBe(503);
          proxy.deliver();
        }
        expect(await answer).toMatchObject({ status: 503, body: { error: { code: 'SERVICE_UNAVAILABLE' } } });
        const ended = fate === 'lost' ? [] : ['REFUSED SERVICE_UNAVAILABLE'];
        await until(async () => (await outcomesOf(app, requestId)).length === ended.length, 'its hold to be voided');
        expect(await outcomesOf(app, requestId)).toEqual(ended);
        expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_000_000, held: 0, holds: 0, bills: 0 });
        expect(upstream.calls).toEqual([]);
        expect((await call(node.url, { requestId })).status).toBe(200); // a new attempt
        expect(await accountOf(app, project.id)).toMatchObject({ balance: 999_000, held: 0, holds: 0, bills: 1 });
        expect(await faultsOf(app)).toEqual([]);
      } finally {
        await node.close();
      }
    });
  });

  it('connections that break all the time cost 503s and nothing else', async () => {
    const { proxy, node } = await proxiedNode();
    try {
      const { secret, project } = await buildKey(app);
      const calling = { on: true };
      const breaking = (async () => {
        for (; calling.on; await wait(40)) proxy.cut();
      })();
      const answers = await callers.calls(300, () => ({ url: node.url, secret, body: { requestId: randomUUID() } }));
      calling.on = false;
      await breaking;
      const { 200: succeeded = 0, '503 SERVICE_UNAVAILABLE': refused = 0, ...others } = tally(answers);
      expect([succeeded + refused, others]).toEqual([300, {}]);
      await until(async () => (await accountOf(app, project.id)).holds === 0, 'the last holds to be voided');
      expect(await accountOf(app, project.id)).toMatchObject({ held: 0, bills: succeeded, succeeded });
      expect((await callers.call({ url: node.url, secret })).status).toBe(200);
      expect(await faultsOf(app)).toEqual([]);
    } finally {
      await node.close();
    }
  });

  it('a project whose budget is locked elsewhere waits, and nobody waits with it', async () => {
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
      expect(tally(await callers.calls(30, (index) => ({ url: app.url, secret: free[index % free.length]?.secret as string })))).toEqual({ 200: 30 });
      expect(done).toBe(0);
      await elsewhere.query('COMMIT');
      expect(tally(await Promise.all(waiting))).toEqual({ 200: 5 });
    } finally {
      await elsewhere.end();
    }
    expect(await accountOf(app, locked.project.id)).toMatchObject({ bills: 5, held: 0 });
    expect(await faultsOf(app)).toEqual([]);
  });

  describe('that is frozen, or dies', () => {
    let server: MariadbServer;
    let node: TestApp;

    beforeAll(async () => {
      server = await startMariadb();
      const connection = await createConnection(server.url());
      await connection.query('CREATE DATABASE tollgate CHARACTER SET utf8mb4 COLLATE utf8mb4_bin');
      await connection.end();
      node = await createTestApp({ databaseUrl: server.url('tollgate') });
    }, 60_000);
    afterAll(async () => {
      await node?.close();
      await server?.stop();
    });

    const healthy = (secret: string) => until(async () => (await callers.call({ url: node.url, secret })).status === 200, 'a call to succeed again');

    it('nothing is admitted while it is frozen, and all goes on by itself afterwards', async () => {
      const { secret, project } = await buildKey(node);
      await healthy(secret);
      await server.kill('SIGSTOP');
      let answered = 0;
      const calls = callers.calls(40, () => ({ url: node.url, secret })).finally(() => (answered = 40));
      const ready = await fetch(`${node.url}/readyz`);
      expect(ready.status).toBe(503);
      expect((await fetch(`${node.url}/healthz`)).status).toBe(200);
      expect(answered).toBe(0); // nobody is told a success that nobody could write down
      await server.kill('SIGCONT');
      const { 200: succeeded = 0, '503 SERVICE_UNAVAILABLE': refused = 0 } = tally(await calls);
      expect(succeeded + refused).toBe(40);
      await healthy(secret);
      await until(async () => (await accountOf(node, project.id)).holds === 0, 'no hold to be left');
      expect(await faultsOf(node)).toEqual([]);
    });

    it('nothing is admitted while it is dead, every 200 before is billed once, and all goes on by itself when it is back', async () => {
      const { secret, project } = await buildKey(node);
      await healthy(secret);
      const before = await accountOf(node, project.id);
      const calling = { on: true };
      const requestIds: string[] = [];
      const statuses: number[] = [];
      const load = Array.from({ length: 20 }, async () => {
        while (calling.on) {
          const requestId = randomUUID();
          const { status } = await callers.call({ url: node.url, secret, body: { requestId } });
          statuses.push(status);
          if (status === 200) requestIds.push(requestId);
        }
      });
      await until(() => requestIds.length >= 100, '100 successes');
      await server.kill('SIGKILL');
      const atDeath = statuses.length;
      await until(() => statuses.length >= atDeath + 100, '100 answers without a database');
      expect([...new Set(statuses.slice(atDeath + 40))]).toEqual([503]);
      server = await startMariadb({ dataDir: server.dataDir, port: server.port });
      const atReturn = requestIds.length;
      await until(() => requestIds.length >= atReturn + 50, '50 successes more');
      calling.on = false;
      await Promise.all(load);
      expect([...new Set(statuses)].sort()).toEqual([200, 503]);
      await until(async () => (await accountOf(node, project.id)).holds === 0, 'no hold to be left');
      for (const requestId of requestIds) expect(await outcomesOf(node, requestId)).toEqual(['SUCCEEDED']);
      const after = await accountOf(node, project.id);
      expect(after.bills).toBe(after.succeeded);
      expect(after.bills - before.bills).toBeGreaterThanOrEqual(requestIds.length);
      expect(await faultsOf(node)).toEqual([]);
    }, 60_000);
  });
});

onSqlite('on SQLite', () => {
  it('another connection that writes for 300 ms delays calls, fails none but with 503, and loses nothing', async () => {
    const { upstream, project, secret, call } = await slowAction();
    const inFlight = Array.from({ length: 10 }, () => call(app.url));
    await upstream.arrived(10);
    const elsewhere = new Sqlite(app.databaseUrl.slice('sqlite:'.length));
    try {
      elsewhere.exec('BEGIN IMMEDIATE');
      upstream.release(); // ten to be billed, and forty to be admitted, which cannot be now
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

  it("an administrator's transactions wait for another process's, and leave the connection as good as it was", async () => {
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

  it("an administrator's transaction that is rolled back beside ticks takes no bill with it", async () => {
    const { secret, project } = await buildKey(app);
    const calling = { on: true };
    const administrator = (async () => {
      let rolledBack = 0;
      while (calling.on) {
        const id = `ws_undone${rolledBack}`;
        await expect(
          app.database.transaction(async (tx) => {
            await tx.insert(Workspace, { id, name: id, slug: id, keyPrefix: 'acme', createdAt: new Date() });
            await wait(2); // calls come and go meanwhile
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

it('leaves the books of everybody in order', async () => {
  await buildProject(app);
  expect(await faultsOf(app)).toEqual([]);
});
