// @ts-check
const { startMariadb } = require('./mariadb-server');

/** One server for all test files of the project `mysql`, unless TEST_MYSQL_URL names one. Workers inherit the environment. */
module.exports = async function setup() {
  if (process.env.TEST_MYSQL_URL) return;
  const server = await startMariadb();
  process.env.TEST_MYSQL_URL = server.url();
  Object.assign(globalThis, { testMysqlServer: server });
};
