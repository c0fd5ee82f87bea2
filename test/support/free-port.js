// @ts-check
const { once } = require('node:events');
const { createServer } = require('node:net');

/** Returns a port of the loopback address that is free now, for a program that cannot choose one itself. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  server.close();
  await once(server, 'close');
  return port;
}

module.exports = { freePort };
