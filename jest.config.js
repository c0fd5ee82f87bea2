// @ts-check
const { existsSync, statfsSync } = require('node:fs');
const { findMariadb } = require('./test/support/mariadb-server');

// Keeps the databases of tests in memory if there is room: this is faster than a disk, and a commit also survives the kill of a process.
const MEMORY = '/dev/shm';
const ROOM_BYTES = 4 * 1024 ** 3;
if (process.env.TMPDIR === undefined && existsSync(MEMORY)) {
  const { bavail, bsize } = statfsSync(MEMORY);
  if (bavail * bsize >= ROOM_BYTES) process.env.TMPDIR = MEMORY;
}

/** @type {import('jest').Config} */
const base = {
  testEnvironment: '<rootDir>/test/support/environment.js',
  runtime: '<rootDir>/test/support/runtime.js',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  setupFiles: ['reflect-metadata', '<rootDir>/src/graphql-server/production.ts'],
  // These packages are only ES modules, which Node 20.19 can require but jest cannot
  transform: { '^.+\\.ts$': '@swc/jest', '/node_modules/(oidc-provider|jose|openid-client|oauth4webapi)/.+\\.js$': '@swc/jest' },
  transformIgnorePatterns: ['/node_modules/(?!(oidc-provider|jose|openid-client|oauth4webapi)/)'],
  clearMocks: true,
};

/** @type {import('jest').Config} */
const sqlite = { ...base, displayName: 'sqlite', globals: { TEST_DATABASE: 'sqlite' } };

/** The same files on a real server, except `*.pure.test.ts`: these do not depend on the database and run only in the first project. */
const mysql = {
  ...base,
  displayName: 'mysql',
  globals: { TEST_DATABASE: 'mysql' },
  testPathIgnorePatterns: ['/node_modules/', '\\.pure\\.test\\.ts$'],
  globalSetup: '<rootDir>/test/support/mysql-setup.js',
  globalTeardown: '<rootDir>/test/support/mysql-teardown.js',
};

const hasMysql = Boolean(process.env.TEST_MYSQL_URL || findMariadb());
if (!hasMysql) {
  const missing =
    'NOTHING IS TESTED ON MYSQL OR MARIADB: no mariadbd or mysqld on this machine, and TEST_MYSQL_URL is not set.\n' +
    'Either `apt-get install mariadb-server`, or TEST_MYSQL_URL=mysql://user:password@host:port with a user that may create databases.';
  if (process.env.REQUIRE_MYSQL === '1') throw new Error(missing);
  process.stderr.write(`\n${'!'.repeat(80)}\n${missing}\n${'!'.repeat(80)}\n\n`);
}

/** @type {import('jest').Config} */
module.exports = {
  testTimeout: 30_000,
  maxWorkers: '100%', // with one more worker, tests that measure time would fail
  workerIdleMemoryLimit: '1GB', // otherwise the garbage of earlier files slows down later tests of the same worker
  testSequencer: '<rootDir>/test/support/sequencer.js',
  coverageProvider: 'v8',
  collectCoverageFrom: ['src/**/*.ts', '!src/db/migrations/**'],
  projects: hasMysql ? [sqlite, mysql] : [sqlite],
};
