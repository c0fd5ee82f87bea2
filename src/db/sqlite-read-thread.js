// @ts-check
// Runs in a separate thread: one SQLite connection that reads, one statement at a time, so that a scan does not block the event loop of the
// process. Written in JavaScript, so that Node and every TypeScript loader can load the same file. See read-thread.ts.

const { parentPort, workerData } = require('node:worker_threads');
const Libsql = require('libsql/promise'); // asynchronous, so that this thread can interrupt a statement

/**
 * @typedef {object} Request
 * @property {number} id
 * @property {string} sql
 * @property {unknown[]} parameters
 * @property {number} until milliseconds since 1970; after this time no reply is needed
 */

/** @type {{ path: string, timeoutMs: number }} */
const { path, timeoutMs } = workerData;
const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);
/** How often a statement that still runs is interrupted while the thread closes. */
const CLOSE_INTERRUPT_MS = 10;
const connection = new Libsql(path, { timeout: 0 });

/** @type {Promise<unknown>} */
let before = connection.exec('PRAGMA query_only = ON');

port.on('message', (/** @type {Request | 'close'} */ request) => {
  if (request === 'close') return void close();
  before = before.then(async () => {
    if (Date.now() < request.until && !isClosing) port.postMessage({ id: request.id, ...(await read(request)) });
  });
});

let isClosing = false;

/** Ends this thread when no statement runs any more. If a statement ends after its thread, libsql aborts the whole process. */
async function close() {
  isClosing = true;
  const timer = setInterval(() => connection.interrupt(), CLOSE_INTERRUPT_MS);
  await before;
  clearInterval(timer);
  connection.close();
  port.close();
}

/** @param {Request} request */
async function read({ sql, parameters }) {
  // Repeats the interrupt: on a slow machine it can come before the first step of the statement, and then has no effect
  const timer = timeoutMs > 0 ? setInterval(() => connection.interrupt(), timeoutMs) : undefined;
  try {
    const statement = await connection.prepare(sql);
    return { rows: await statement.all(parameters) };
  } catch (error) {
    const { message, code } = /** @type {{ message: string, code?: string }} */ (error);
    return { failure: { message, code } };
  } finally {
    clearInterval(timer);
  }
}
