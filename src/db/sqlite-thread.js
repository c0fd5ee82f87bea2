// @ts-check
// Runs in a separate thread: one SQLite connection that runs the scripts it receives, so that no write and no fsync blocks the event loop
// of the process. Written in JavaScript, so that Node and every TypeScript loader can load the same file. See thread-connection.ts.

const { parentPort, workerData } = require('node:worker_threads');
const Libsql = require('libsql');

/**
 * @typedef {object} Request
 * @property {number} id
 * @property {string} script statements to run first
 * @property {string[]} selects SELECTs to run next; the reply has their rows
 */

const connection = new Libsql(workerData.path, { timeout: 0 }); // a locked transaction is retried by a timer
connection.exec('PRAGMA synchronous = FULL');

/** @type {import('node:worker_threads').MessagePort} */ (parentPort).on('message', (/** @type {Request} */ request) => {
  /** @type {import('node:worker_threads').MessagePort} */ (parentPort).postMessage({ id: request.id, ...run(request) });
});

/**
 * Cached prepared SELECTs, the most recent last. The ticks of a busy project repeat the same SELECTs, and preparing one takes longer than
 * running it.
 */
const MAX_STATEMENTS = 100;
/** @type {Map<string, Libsql.Statement>} */
const statements = new Map();

/** @param {string} sql */
function prepared(sql) {
  const statement = statements.get(sql) ?? connection.prepare(sql);
  statements.delete(sql);
  statements.set(sql, statement);
  if (statements.size > MAX_STATEMENTS) statements.delete(/** @type {string} */ (statements.keys().next().value));
  return statement;
}

/** @param {Request} request */
function run({ script, selects }) {
  try {
    if (script !== '') connection.exec(script);
    return { results: selects.map((sql) => prepared(sql).all()) };
  } catch (error) {
    statements.clear(); // libsql may leave a statement unfinished; no commit succeeds until it is collected
    rollBack();
    const { message, code } = /** @type {{ message: string, code?: string }} */ (error);
    return { failure: { message, code } };
  }
}

function rollBack() {
  try {
    connection.exec('ROLLBACK');
  } catch {
    // No transaction is open
  }
}
