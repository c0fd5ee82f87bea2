// @ts-check
const { randomBytes } = require('node:crypto');
const { mkdtempSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { createConnection } = require('mysql2/promise');
const { findMariadb, startMariadb } = require('../../test/support/mariadb-server');
const { StepFailure, built } = require('./tools');

/** Checks that the migrations make exactly the tables that the entities describe, on SQLite and on MariaDB or MySQL. */
async function checkMigrations() {
  const onSqlite = await leftOnSqlite();
  const onServer = await withServer(leftOnServer);
  const left = [onSqlite, ...(onServer ? [onServer] : [])].flatMap(({ product, queries }) =>
    queries.map((query) => `${product}: ${query}`),
  );
  if (left.length > 0) throw new StepFailure(`The migrations lack what the entities describe:\n${left.join('\n')}`);
  if (onServer) return `${onSqlite.product} and ${onServer.product}`;
  return `ONLY ${onSqlite.product}: NOTHING WAS CHECKED ON MYSQL OR MARIADB. Install one, or set TEST_MYSQL_URL`;
}

async function leftOnSqlite() {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-check-'));
  try {
    const source = built('db/data-source.js').sqliteDataSource({ type: 'sqlite', path: join(folder, 'check.db') }, parts(), 'writer');
    return { product: 'SQLite', queries: await leftToGenerate(source) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} url of a server, without a database */
async function leftOnServer(url) {
  const { mysqlDataSource } = built('db/data-source.js');
  const { mysqlProduct } = built('db/mysql-session.js');
  const database = `tollgate_check_${randomBytes(6).toString('hex')}`;
  const server = await createConnection(url);
  try {
    await server.query(`CREATE DATABASE ${database} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`);
    const settings = built('config.js').parseDatabaseUrl(Object.assign(new URL(url), { pathname: `/${database}` }).href);
    const product = await mysqlProduct(settings);
    const queries = await leftToGenerate(mysqlDataSource(settings, parts(), product));
    const [rows] = await server.query('SELECT VERSION() AS version');
    const { version } = /** @type {{ version: string }[]} */ (rows)[0] ?? { version: '' };
    return { product: `${product === 'mariadb' ? 'MariaDB' : 'MySQL'} ${version.split('-')[0]}`, queries };
  } finally {
    await server.query(`DROP DATABASE IF EXISTS ${database}`).finally(() => server.end());
  }
}

/**
 * @template T
 * @param {(url: string) => Promise<T>} work
 * @returns {Promise<T | undefined>} undefined if no server is available and none is required
 */
async function withServer(work) {
  if (process.env.TEST_MYSQL_URL) return work(process.env.TEST_MYSQL_URL);
  if (!findMariadb()) {
    if (!process.env.CI && process.env.REQUIRE_MYSQL !== '1') return undefined;
    throw new StepFailure(
      'With CI or REQUIRE_MYSQL=1 a database server is required, but there is no mariadbd or mysqld and TEST_MYSQL_URL is not set. ' +
        'Run: apt-get install mariadb-server.',
    );
  }
  const server = await startMariadb();
  try {
    return await work(server.url());
  } finally {
    await server.stop();
  }
}

/** Returns the entities and migrations that the server gives to its database. */
function parts() {
  return { entities: built('entities.js').entities, migrations: built('db/migrations/index.js').migrations };
}

/**
 * @param {import('typeorm').DataSource} source
 * @returns {Promise<string[]>}
 */
async function leftToGenerate(source) {
  await source.initialize();
  try {
    await built('db/migrate.js').migrate(source);
    const { upQueries } = await source.driver.createSchemaBuilder().log();
    return upQueries.map(({ query }) => query);
  } finally {
    await source.destroy();
  }
}

module.exports = { checkMigrations };
