import { randomUUID } from 'node:crypto';
import { createConnection } from 'mysql2/promise';
import { createTestApp, type TestApp } from './support/app';
import { accountOf, faultsOf, outcomesOf } from './support/books';
import { startCallers, tally, type Callers } from './support/callers';
import { buildKey, buildProject } from './support/factories';
import { startMariadb, type MariadbServer } from './support/mariadb-server';
import { onMysql } from './support/on-database';
import { until } from './support/until';

jest.setTimeout(90_000); // other test files share the processors

onMysql('on a database server that freezes or dies', () => {
  let server: MariadbServer;
  let node: TestApp;
  let callers: Callers;

  beforeAll(async () => {
    server = await startMariadb();
    const connection = await createConnection(server.url());
    await connection.query('CREATE DATABASE tollgate CHARACTER SET utf8mb4 COLLATE utf8mb4_bin');
    await connection.end();
    node = await createTestApp({ databaseUrl: server.url('tollgate') });
    callers = startCallers(40);
  }, 60_000);
  afterAll(async () => {
    await callers?.close();
    await node?.close();
    await server?.stop();
  });

  const healthy = (secret: string) =>
    until(async () => (await callers.call({ url: node.url, secret })).status === 200, 'a call to succeed again');

  it('no call is admitted while the server is frozen, and the gate recovers without help afterwards', async () => {
    const { secret, project } = await buildKey(node);
    await healthy(secret);
    await server.kill('SIGSTOP');
    let answered = 0;
    const calls = callers.calls(40, () => ({ url: node.url, secret })).finally(() => (answered = 40));
    const ready = await fetch(`${node.url}/readyz`);
    expect(ready.status).toBe(503);
    expect((await fetch(`${node.url}/healthz`)).status).toBe(200);
    expect(answered).toBe(0); // no success is answered, because none can be written
    await server.kill('SIGCONT');
    const { 200: succeeded = 0, '503 SERVICE_UNAVAILABLE': refused = 0 } = tally(await calls);
    expect(succeeded + refused).toBe(40);
    await healthy(secret);
    await until(async () => (await accountOf(node, project.id)).holds === 0, 'no hold to be left');
    expect(await faultsOf(node)).toEqual([]);
  });

  it('no call is admitted while the server is dead, every earlier 200 is billed once, and the gate recovers without help', async () => {
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
    // Uses new callers, because each of the twenty earlier calls may still wait for its commit
    const refused = await startCallers(20).calls(100, () => ({ url: node.url, secret, body: { requestId: randomUUID() } }));
    expect([...new Set(refused.map(({ status }) => status))]).toEqual([503]);
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

  it('leaves the books of all projects in order', async () => {
    await buildProject(node);
    expect(await faultsOf(node)).toEqual([]);
  });
});
