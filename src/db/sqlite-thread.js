// @ts-check
// Runs in a thread of its own: one SQLite connection that does what it is told, so that no write and no fsync keeps the event loop of the
// process from its callers. JavaScript, so that it is the same file to Node and to every loader of TypeScript. See thread-connection.ts.

const { parentPort, workerData } = require('node:worker_threads');
const Libsql = require('libsql');

/**
 * @typedef {object} Request
 * @property {number} id
 * @property {string} script statements to run first
 * @property {string[]} selects whose rows are answered
 */

const connection = new Libsql(workerData.path, { timeout: 0 }); // who meets a lock tries again by a timer
connection.exec('PRAGMA synchronous = FULL');

/** @type {import('node:worker_threads').MessagePort} */ (parentPort).on('message', (/** @type {Request} */ request) => {
  /** @type {import('node:worker_threads').MessagePort} */ (parentPort).postMessage({ id: request.id, ...run(request) });
});

/** @param {Request} request */
function run({ script, selects }) {
  try {
    if (script !== '') connection.exec(script);
    return { results: selects.map((sql) => connection.prepare(sql).all()) };
  } catch (error) {
    rollBack();
    const { message, code } = /** @type {{ message: string, code?: string }} */ (error);
    return { failure: { message, code } };
  }
}

function rollBack() {
  try {
    connection.exec('ROLLBACK');
  } catch {
    // Nothing is open any more
  }
}
