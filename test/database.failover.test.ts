import { setTimeout as wait } from 'node:timers/promises';
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import { createTestApp, type TestApp } from './support/app';
import { faultsOf } from './support/books';
import { buildKey, ORIGIN } from './support/factories';
import { startMariadb, type MariadbServer } from './support/mariadb-server';
import { onMysql } from './support/on-database';
import { buildPerson, signIn } from './support/people';
import { startProxy } from './support/proxy';
import { until } from './support/until';

jest.setTimeout(90_000); // other test files use the processors too

/** The longest time for a process to use the new primary. */
const FOLLOWS_IN_MS = 15_000;
/** The wait between two tries of a probe. */
const PAUSE_MS = 100;

onMysql('after a failover, while the old primary still answers and is read-only', () => {
  let servers: MariadbServer[];
  let old: Connection;
  let next: Connection;
  /** The server that new connections of the node reach. Existing connections stay at their server. */
  let target: { hostname: string; port: string };
  let node: TestApp;
  /** A node that only reads, so no failed write tells it that its server is read-only. */
  let reading: TestApp;
  /** A node on the new primary from the beginning. */
  let other: TestApp;

  beforeAll(async () => {
    servers = await Promise.all(
      [1, 2].map((id) => startMariadb({ args: ['--log-bin=binlog', `--server-id=${id}`, '--gtid-strict-mode=1'] })),
    );
    const [first, second] = servers as [MariadbServer, MariadbServer];
    [old, next] = await Promise.all([createConnection(first.url()), createConnection(second.url())]);
    await next.query('RESET MASTER');
    await next.query(
      `CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = ${first.port}, MASTER_USER = 'tollgate', MASTER_PASSWORD = 'tollgate',
        MASTER_USE_GTID = slave_pos`,
    );
    await next.query('START SLAVE');
    await old.query('CREATE DATABASE tollgate CHARACTER SET utf8mb4 COLLATE utf8mb4_bin');
    await old.query("CREATE USER limited@'127.0.0.1' IDENTIFIED BY 'limited'"); // read_only does not restrict a user with all privileges
    await old.query("GRANT ALL ON tollgate.* TO limited@'127.0.0.1'");
    target = { hostname: '127.0.0.1', port: String(first.port) };
    const databaseUrl = limited((await startProxy(target)).port);
    [node, reading] = [await createTestApp({ databaseUrl }), await createTestApp({ databaseUrl })];
  });

  afterAll(async () => {
    for (const app of [node, reading, other]) await app?.close();
    for (const connection of [old, next]) await connection?.end();
    await Promise.all((servers ?? []).map((server) => server.stop()));
  });

  const limited = (port: number) => `mysql://limited:limited@127.0.0.1:${port}/tollgate`;

  it('calls, mutations, sign-ins and readiness use the new primary within 15 s, and a secret that ended there is refused', async () => {
    const [{ secret, project }, person, leaving, revoked] = [
      await buildKey(node),
      await buildPerson(node),
      await buildPerson(node),
      await buildKey(node),
    ];
    const probes: Record<string, () => Promise<string>> = {
      call: async () => String((await node.rest({ secret })).status),
      mutation: async () => {
        const input = { projectId: project.id, name: 'Key', permissions: [] };
        const { errors } = await node.graphql('mutation ($input: MintKeyInput!) { mintKey(input: $input) { secret } }', { input });
        return errors?.[0]?.extensions.code ?? '200';
      },
      signIn: async () => (await signIn(node, { email: person.person.email, password: person.password })).outcome.replace('ok', '200'),
      readyz: async () => String((await fetch(`${node.url}/readyz`)).status),
    };
    const outcomeOf = async (cookie: { cookie: string }) =>
      (await reading.graphql('{ viewer { id } }', {}, cookie)).errors?.[0]?.extensions.code ?? '200';
    const reads = {
      session: () => outcomeOf(leaving.cookie),
      key: async () => String((await reading.rest({ secret: revoked.secret })).status),
    };
    const answers = Object.fromEntries(Object.keys(probes).map((name) => [name, [] as string[]]));
    const probing = { on: true };
    const load = Object.entries(probes).map(async ([name, probe]) => {
      for (; probing.on; await wait(PAUSE_MS)) answers[name]?.push(await probe());
    });
    const seen = (answer: string) => () => Object.values(answers).every((given) => given.includes(answer));
    const past = new Set<string>();
    const forget = () => Object.values(answers).forEach((given) => given.splice(0).forEach((answer) => past.add(answer)));
    await until(seen('200'), 'all to work');

    await old.query('SET GLOBAL read_only = 1');
    forget();
    await until(() => Boolean(answers.readyz?.includes('503')), 'the process to be unready: it reaches a read-only server alone');
    const [[position]] = await old.query<RowDataPacket[]>('SELECT @@gtid_binlog_pos AS gtid');
    await next.query('SELECT MASTER_GTID_WAIT(?, 20)', [position?.gtid]);
    await next.query('STOP SLAVE');
    other = await createTestApp({ databaseUrl: limited(servers[1]?.port as number) });
    expect([await reads.session(), await reads.key()]).toEqual(['200', '503']); // the old connections still work
    target.port = String(servers[1]?.port);
    const switchedAt = performance.now();
    const leftMs = () => switchedAt + FOLLOWS_IN_MS - performance.now();
    forget();
    await other.graphql('mutation { signOut { session { id } } }', {}, leaving.cookie);
    await other.services.keys.revoke(ORIGIN, { id: revoked.key.id });
    await until(seen('200'), 'all to work on the new primary', leftMs());
    await until(async () => (await reads.session()) === 'UNAUTHENTICATED', 'the session to have ended', leftMs());
    await until(async () => (await reads.key()) === '401', 'the key to be refused', leftMs());
    forget();
    await until(() => Object.values(answers).every((given) => given.length >= 5), 'five answers of each kind');
    probing.on = false;
    await Promise.all(load);
    expect(new Set(Object.values(answers).flat())).toEqual(new Set(['200']));
    expect([...past].sort()).toEqual(['200', '503', 'SERVICE_UNAVAILABLE']);
    expect(await faultsOf(other)).toEqual([]);
  });
});
