// @ts-check
// Runs in a thread of its own: one SQLite connection that reads, a statement at a time, so that no scan keeps the event loop of the process
// from the gate. JavaScript, so that it is the same file to Node and to every loader of TypeScript. See read-thread.ts.

const { parentPort, workerData } = require('node:worker_threads');
const Libsql = require('libsql/promise'); // for its calls leave this thread free to interrupt them

/**
 * @typedef {object} Request
 * @property {number} id
 * @property {string} sql
 * @property {unknown[]} parameters
 * @property {number} until milliseconds since 1970, past which nobody waits for it any more
 */

/** @type {{ path: string, timeoutMs: number }} */
const { path, timeoutMs } = workerData;
const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);
/** How often what still runs at the end is interrupted. */
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

/** Ends this thread when nothing is running any more: libsql aborts the whole process where a statement ends after its thread. */
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
  // Again and again: an interrupt that comes before the first step, on a machine that is late, interrupts nothing
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
