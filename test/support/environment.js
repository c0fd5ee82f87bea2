// @ts-check
const { TestEnvironment } = require('jest-environment-node');

/** The environment of this worker, with the globals that it had before its first test file. */
let kept = /** @type {{ environment: Environment, keys: Set<string | symbol>, exit: typeof process.exit } | undefined} */ (undefined);

/**
 * Node's environment, made once for all test files of a worker: src and its packages are loaded once too (see runtime.js).
 * `atEndOfFile` runs after the last afterAll of a file. An afterAll of a helper would run before the file's afterAll and drop a database
 * that is still in use.
 */
class Environment extends TestEnvironment {
  /** @param {ConstructorParameters<typeof TestEnvironment>} args */
  constructor(...args) {
    if (kept) {
      Object.assign(kept.environment.global, args[0].projectConfig.globals);
      return kept.environment;
    }
    super(...args);
    kept = { environment: this, keys: new Set(Reflect.ownKeys(this.global)), exit: this.global.process.exit };
  }

  /** @override */
  async teardown() {
    const global = /** @type {Record<string | symbol, any>} */ (/** @type {unknown} */ (this.global));
    for (const clean of global.atEndOfFile ?? []) await clean();
    delete global.atEndOfFile;
    if (!kept) return;
    global.process.exit = kept.exit;
    // Each file loads the test framework again, and it would reuse the state of the previous file
    for (const key of Reflect.ownKeys(global)) {
      if (typeof key === 'symbol' && !kept.keys.has(key) && /JEST|jest|EVENT_HANDLERS|RETRY|TIMEOUT/.test(String(key))) delete global[key];
    }
  }
}

module.exports = Environment;
