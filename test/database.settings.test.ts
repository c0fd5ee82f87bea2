import { createConnection, type Connection } from 'mysql2/promise';
import { auditChains } from '../src/audit/chain-reports';
import { parseDatabaseUrl, type MysqlSettings } from '../src/config';
import { mysqlDataSource } from '../src/db/data-source';
import { Database } from '../src/db/database';
import { migrations } from '../src/db/migrations';
import { mysqlProduct } from '../src/db/mysql-session';
import { entities } from '../src/entities';
import { MysqlTickConnections } from '../src/gate/tick/tick-connection.mysql';
import { createTestApp, type TestApp } from './support/app';
import { faultsOf } from './support/books';
import { buildKey, buildProject, buildWorkspace } from './support/factories';
import { startMariadb, type MariadbServer } from './support/mariadb-server';
import { onMysql } from './support/on-database';
import { chainKeys } from './support/trail';

jest.setTimeout(60_000); // other test files use the processors too

/** Bad settings that a server may have, from an operator or from the defaults of an older version. */
const BAD_SETTINGS = {
  sql_mode: "'NO_BACKSLASH_ESCAPES,ANSI_QUOTES,PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE,NO_AUTO_VALUE_ON_ZERO'",
  autocommit: '0',
  completion_type: "'CHAIN'",
  time_zone: "'+09:00'",
  sql_select_limit: '5',
  max_join_size: '100', // turns sql_big_selects off
  sql_safe_updates: '1',
  sql_auto_is_null: '1',
  max_sort_length: '64',
  foreign_key_checks: '0',
  unique_checks: '0',
  check_constraint_checks: '0',
  default_storage_engine: "'MyISAM'",
  old_mode: "'ZERO_DATE_TIME_CAST'",
  in_predicate_conversion_threshold: '2',
  tx_isolation: "'SERIALIZABLE'",
  tx_read_only: '1',
  innodb_lock_wait_timeout: '1',
  lock_wait_timeout: '1',
  wait_timeout: '2',
  max_statement_time: '0.5',
  init_connect: "'SET NAMES latin1, timestamp = 86400'",
};

const SESSION = {
  sql_mode: 'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION',
  autocommit: 1,
  completion_type: 'NO_CHAIN',
  time_zone: '+00:00',
  sql_select_limit: '18446744073709551615',
  sql_big_selects: 1,
  sql_safe_updates: 0,
  sql_auto_is_null: 0,
  max_sort_length: 1024,
  foreign_key_checks: 1,
  unique_checks: 1,
  check_constraint_checks: 1,
  default_storage_engine: 'InnoDB',
  old_mode: '',
  in_predicate_conversion_threshold: 0,
  tx_isolation: 'READ-COMMITTED',
  tx_read_only: 0,
  lock_wait_timeout: 60,
  character_set_client: 'utf8mb4',
  character_set_connection: 'utf8mb4',
  character_set_results: 'utf8mb4',
  collation_connection: 'utf8mb4_bin',
};

const SERVER = { wait_timeout: 10, max_statement_time: 0 };
const COMMAND = { innodb_lock_wait_timeout: 50, wait_timeout: 28_800, max_statement_time: 0 };

/** Converts values to text, because drivers differ in which values they return as numbers. */
const texts = (values: Record<string, unknown>) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));

onMysql('a server with bad settings everywhere', () => {
  const parts = { entities, migrations };
  let server: MariadbServer;
  let admin: Connection;
  let settings: MysqlSettings;
  let app: TestApp;
  let command: Database;
  let other: Awaited<ReturnType<typeof buildKey>>;

  beforeAll(async () => {
    server = await startMariadb();
    admin = await createConnection(server.url());
    await admin.query('CREATE DATABASE tollgate CHARACTER SET utf8mb4 COLLATE utf8mb4_bin');
    // Needed because init_connect does not apply to a user with all privileges
    await admin.query("CREATE USER limited@'127.0.0.1' IDENTIFIED BY 'limited'");
    await admin.query("GRANT ALL ON tollgate.* TO limited@'127.0.0.1'");
    for (const [name, value] of Object.entries(BAD_SETTINGS)) await admin.query(`SET GLOBAL ${name} = ${value}`);
    const databaseUrl = `mysql://limited:limited@127.0.0.1:${server.port}/tollgate`;
    settings = parseDatabaseUrl(databaseUrl) as MysqlSettings;
    app = await createTestApp({ databaseUrl });
    command = await Database.open(settings, parts, { readTimeoutMs: 0 });
    other = await buildKey(app);
  });

  afterAll(async () => {
    await command?.close();
    await app?.close();
    await admin?.end();
    await server?.stop();
  });

  type Ask = (sql: string) => Promise<Record<string, unknown>[]>;
  /** The values of these variables in a session. */
  const sessionOf = async (ask: Ask, names: string[]) => {
    const [row] = await ask(`SELECT ${names.map((name) => `@@SESSION.${name} AS ${name}`).join(', ')}`);
    return texts({ ...row, max_statement_time: Number(row?.max_statement_time) });
  };

  const kinds: [string, object, (work: (ask: Ask) => Promise<void>) => Promise<void>][] = [
    [
      'administration',
      { ...SERVER, innodb_lock_wait_timeout: 5 },
      (work) => app.database.transaction((tx) => work((sql) => tx.query(sql))),
    ],
    ['reads', { ...SERVER, innodb_lock_wait_timeout: 5, max_statement_time: 5 }, (work) => work((sql) => app.database.reader.query(sql))],
    [
      'the gate',
      { ...SERVER, innodb_lock_wait_timeout: 2 },
      async (work) => {
        const gate = new MysqlTickConnections(settings, 'mariadb', 16_777_216);
        await work((sql) => gate.read(sql)).finally(() => gate.close());
      },
    ],
    ['commands', COMMAND, (work) => command.transaction((tx) => work((sql) => tx.query(sql)))],
    [
      'migrations',
      COMMAND,
      async (work) => {
        const source = await mysqlDataSource(settings, parts, await mysqlProduct(settings)).initialize();
        await work((sql) => source.query(sql)).finally(() => source.destroy());
      },
    ],
  ];

  it.each(kinds)('does not change any variable that results depend on in a connection of %s', async (_, times, use) => {
    await use(async (ask) => {
      const wanted = texts({ ...SESSION, ...times });
      expect(await sessionOf(ask, Object.keys(wanted))).toEqual(wanted);
      const [row] = await ask('SELECT UTC_TIMESTAMP() > DATE_SUB(SYSDATE(), INTERVAL 1 HOUR) AS running');
      expect(Number(row?.running)).toBe(1);
    });
  });

  it('does not let a filter value become SQL: it finds no row of another tenant', async () => {
    const { workspaceId, id } = await buildProject(app);
    for (const value of ["') OR 1 = 1 -- ", "\\') OR 1 = 1 -- ", "' OR 1 = 1 OR '", "' OR 1 = 1) OR ('"]) {
      const { data, errors } = await app.graphql(
        `query ($workspace: ID!, $value: String!, $ids: [ID!]) {
          workspace(id: $workspace) {
            auditEvents(filter: { subjectId: $ids }) { nodes { id } }
            projects(filter: { name: $value }) { nodes { id } }
          }
        }`,
        { workspace: workspaceId, value, ids: [value] },
      );
      expect(errors).toBeUndefined();
      expect(data.workspace).toEqual({ auditEvents: { nodes: [] }, projects: { nodes: [] } });
    }
    expect(id).not.toBe(other.project.id);
  });

  it('stores texts exactly, bills calls once, and lists all rows', async () => {
    const workspace = await buildWorkspace(app);
    const created = await app.graphql(
      'mutation ($input: CreateProjectInput!) { createProject(input: $input) { project { id } } }',
      { input: { workspaceId: workspace.id, name: 'Grüße 🚀', slug: 'written' } },
    );
    expect(created.errors).toBeUndefined();
    const projectId = created.data.createProject.project.id as string;
    const minted = await app.graphql('mutation ($input: MintKeyInput!) { mintKey(input: $input) { secret } }', {
      input: { projectId, name: 'Key', environment: 'TEST', permissions: ['demo.*'] },
    });
    expect(minted.errors).toBeUndefined();
    expect((await app.rest({ secret: minted.data.mintKey.secret })).status).toBe(200);
    const { secret, project } = await buildKey(app, { workspace });
    for (let call = 0; call < 8; call += 1) expect((await app.rest({ secret })).status).toBe(200);
    for (let count = 0; count < 6; count += 1) await buildProject(app, { workspace, budget: 0 });
    const { data, errors } = await app.graphql(
      'query ($id: ID!) { workspace(id: $id) { projects(first: 100) { nodes { id name } } } }',
      { id: workspace.id },
    );
    expect(errors).toBeUndefined();
    expect(data.workspace.projects.nodes).toHaveLength(8);
    expect(data.workspace.projects.nodes).toContainEqual({ id: projectId, name: 'Grüße 🚀' });
    expect(project.id).not.toBe(projectId);
  });

  it('causes no fault in an audit', async () => {
    for (let count = 0; count < 6; count += 1) await buildKey(app);
    await app.sealer.once();
    expect(await faultsOf({ database: command })).toEqual([]);
    const reports: { faults: string[] }[] = [];
    for await (const report of auditChains(command.reader, chainKeys)) reports.push(report);
    expect(reports.flatMap(({ faults }) => faults)).toEqual([]);
    expect(reports.length).toBeGreaterThan(6);
  });

  it('is refused with one sentence if a session cannot correct the setting', async () => {
    await admin.query("SET GLOBAL enforce_storage_engine = 'MyISAM'");
    await expect(Database.open(settings, parts)).rejects.toThrow(
      'Unset enforce_storage_engine, which is MyISAM: only InnoDB tables have transactions.',
    );
    await admin.query('SET GLOBAL enforce_storage_engine = NULL');
    await admin.query('ALTER TABLE tollgate.roles ENGINE = Aria');
    await expect(Database.open(settings, parts)).rejects.toThrow(
      'The table roles has the engine Aria: alter it to InnoDB, which has transactions.',
    );
  });
});
