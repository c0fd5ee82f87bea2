// @ts-check
// Starts an app, reads an export, and prints the growth of the heap without garbage. Run with --expose-gc.

const { get } = require('node:http');
const { openInstallation } = require('../../dist/src/access/installation');
const { createApp } = require('../../dist/src/app');
const { loadConfig } = require('../../dist/src/config');
const { Database } = require('../../dist/src/db/database');
const { migrations } = require('../../dist/src/db/migrations');
const { entities } = require('../../dist/src/entities');

/** Number of chunks between two measurements of the heap. */
const EVERY = 25;

/** Collects garbage and returns the used memory in bytes. */
function alive() {
  /** @type {() => void} */ (global.gc)();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/**
 * @param {string} url
 * @param {string} secret
 * @param {(chunk: Buffer) => void} take
 * @returns {Promise<void>}
 */
function read(url, secret, take) {
  return new Promise((resolve, reject) => {
    const request = get(url, { headers: { 'x-api-key': secret, connection: 'close' } }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`${url} was answered ${answer.statusCode}.`));
      answer.on('data', take).once('end', resolve).once('error', reject);
    });
    request.once('error', reject);
  });
}

async function main() {
  const [secret = '', path = ''] = process.argv.slice(2);
  const config = loadConfig(process.env);
  const database = await Database.open(config.database, { entities, migrations });
  const installation = await openInstallation(config, database);
  const { server } = await createApp({ config, database, installation, log: { write: () => undefined } });
  const url = await server.listen({ host: '127.0.0.1', port: 0 });
  await read(`${url}/v1/export/keys`, secret, () => undefined); // loads everything that is loaded only once
  const before = alive();
  let [bytes, chunks, most] = [0, 0, before];
  await read(`${url}${path}`, secret, (chunk) => {
    bytes += chunk.length;
    chunks += 1;
    if (chunks % EVERY === 0) most = Math.max(most, alive());
  });
  process.stdout.write(JSON.stringify({ bytes, grownBytes: most - before }));
  await server.close();
  await database.close();
}

void main();
