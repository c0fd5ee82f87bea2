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

/** SELECTs that were asked lately, the latest last: those of a busy project are the same from tick to tick, and preparing them takes longer than asking. */
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
    statements.clear(); // libsql may leave one unfinished, and that would keep commits from passing for as long as it is kept
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
