import { randomBytes } from 'node:crypto';
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import { parseDatabaseUrl } from '../src/config';
import { POOL_SIZE, STATEMENT_DEADLINE_MS } from '../src/db/data-source';
import { Database } from '../src/db/database';
import { whyNotOpened } from '../src/db/failures';
import { migrations } from '../src/db/migrations';
import { entities } from '../src/entities';
import { ADMISSION_WAIT_MS } from '../src/gate/tick/ticker';
import { Budget } from '../src/wallet/wallet.entity';
import { errorOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { freshDatabaseUrl } from './support/database';
import { buildKey } from './support/factories';
import { startProxy, type Proxy } from './support/proxy';
import { until } from './support/until';

jest.setTimeout(120_000); // these tests wait for time-outs of the server

// A process and its database server, when one of them or the network between them goes silent. SQLite has no connections.

const onMysql = TEST_DATABASE === 'mysql' ? describe : describe.skip;

onMysql('connections to a server', () => {
  let proxy: Proxy;
  let app: TestApp;
  let server: Connection;

  /** Counts the connections of the app in the process list of the server. */
  const count = async (where = 'TRUE'): Promise<number> => {
    const [rows] = await server.query<RowDataPacket[]>(
      `SELECT COUNT(*) AS connections FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID() AND ${where}`,
    );
    return Number(rows[0]?.connections);
  };

  beforeAll(async () => {
    const url = new URL(await freshDatabaseUrl());
    server = await createConnection(url.href);
    proxy = await startProxy({ hostname: url.hostname, port: url.port });
    url.port = String(proxy.port);
    app = await createTestApp({ databaseUrl: url.href });
  });

  afterAll(async () => {
    await app.close();
    await server.end();
  });

  it('are closed by the process when they are idle, before the server closes them during a call', async () => {
    const { secret } = await buildKey(app);
    await Promise.all(Array.from({ length: 20 }, () => Promise.all([app.rest({ secret }), app.graphql('{ viewer { id } }')])));
    expect(await count()).toBeGreaterThan(0);
    await until(async () => (await count()) === 0, 'all to be closed', 9_000); // the server closes them after 10 s
  });

  it('that freeze in a transaction lose their locks within seconds, and no call waits longer than allowed', async () => {
    const { secret, project } = await buildKey(app);
    let thaw = (): void => undefined;
    const frozen = app.database.transaction(async (tx) => {
      await tx.findOne(Budget, { where: { projectId: project.id }, lock: { mode: 'pessimistic_write' } });
      await new Promise<void>((resolve) => (thaw = resolve));
    });
    frozen.catch(() => undefined);
    const waits: number[] = [];
    await until(
      async () => {
        const began = performance.now();
        const { status } = await app.rest({ secret });
        waits.push(performance.now() - began);
        return status === 200;
      },
      'the project to be free',
      60_000,
    );
    expect(Math.max(...waits)).toBeLessThan(ADMISSION_WAIT_MS + 5_000); // 5 s for the last try
    thaw();
    await expect(frozen).rejects.toMatchObject({ fatal: true });
  });

  it.each([
    ['the password of their account is changed', "IDENTIFIED BY 'after'", "IDENTIFIED BY 'before'"],
    ['the password of their account has expired', 'PASSWORD EXPIRE', "IDENTIFIED BY 'before'"],
    ['their account is locked', 'ACCOUNT LOCK', 'ACCOUNT UNLOCK'],
  ])('are refused while %s: calls answer 503, and succeed again afterwards', async (_, refuse, mend) => {
    const url = new URL(app.databaseUrl);
    const name = `rotating_${randomBytes(6).toString('hex')}`;
    const account = `'${name}'@'%'`;
    await server.query(`CREATE USER ${account} IDENTIFIED BY 'before'`);
    await server.query(`GRANT ALL ON \`${url.pathname.slice(1)}\`.* TO ${account}`);
    const databaseUrl = Object.assign(url, { username: name, password: 'before' }).href;
    const node = await createTestApp({ databaseUrl });
    const { secret } = await buildKey(node);
    expect((await node.rest({ secret })).status).toBe(200);
    await server.query(`ALTER USER ${account} ${refuse}`);
    proxy.cut();
    expect(errorOf(await node.rest({ secret }))).toMatchObject({ http: 503, code: 'SERVICE_UNAVAILABLE' });
    expect((await node.graphql('{ workspaces { nodes { id } } }')).errors).toEqual([
      expect.objectContaining({ extensions: expect.objectContaining({ code: 'SERVICE_UNAVAILABLE' }) }),
    ]);
    const start = Database.open(parseDatabaseUrl(databaseUrl), { entities, migrations });
    expect(whyNotOpened(await start.catch((error: unknown) => error))).toMatch(/^The database cannot be (used|reached): .+/);
    await server.query(`ALTER USER ${account} ${mend}`);
    expect((await node.rest({ secret })).status).toBe(200);
    expect((await node.graphql('{ workspaces { nodes { id } } }')).errors).toBeUndefined();
    await node.close();
    await server.query(`DROP USER ${account}`);
  });

  it('that go silent are closed: the process becomes ready again and answers administrators over new connections', async () => {
    const pools = [app.database.lookups, app.database.reader];
    const running = pools.flatMap((pool) =>
      Array.from({ length: POOL_SIZE }, () => pool.query('SELECT SLEEP(1) AS slept').catch(({ code }: { code: string }) => code)),
    );
    await until(async () => (await count("info LIKE 'SELECT SLEEP%'")) === running.length, 'all connections to have something to do');
    proxy.silence();
    const began = performance.now();
    expect(await ready(app)).toBe(503);
    await until(async () => (await ready(app)) === 200, 'the process to be ready', STATEMENT_DEADLINE_MS + 15_000);
    expect(await Promise.all(running)).toEqual(running.map(() => 'ETIMEDOUT'));
    const { errors } = await app.graphql('{ workspaces { nodes { id } } }');
    expect(errors).toBeUndefined();
    expect(performance.now() - began).toBeLessThan(STATEMENT_DEADLINE_MS + 20_000);
  });
});

const ready = async ({ url }: TestApp): Promise<number> => (await fetch(`${url}/readyz`)).status;
