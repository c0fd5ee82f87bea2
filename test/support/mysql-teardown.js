// @ts-check

/** Ends the server that mysql-setup.js started in this same process. */
module.exports = async function teardown() {
  const { testMysqlServer } = /** @type {{ testMysqlServer?: import('./mariadb-server').MariadbServer }} */ (globalThis);
  await testMysqlServer?.stop();
};
