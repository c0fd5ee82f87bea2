// @ts-check
const { TestEnvironment } = require('jest-environment-node');

/**
 * Node's environment, and a hook that comes after a file's last afterAll: an afterAll of a helper would run before the file's own,
 * and drop a database that is still in use.
 */
module.exports = class extends TestEnvironment {
  /** @override */
  async teardown() {
    const { atEndOfFile = [] } = /** @type {{ atEndOfFile?: (() => Promise<void>)[] }} */ (/** @type {unknown} */ (this.global));
    for (const clean of atEndOfFile) await clean();
    await super.teardown();
  }
};
