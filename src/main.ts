import './graphql/production';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { createApp, urlOf } from './app';
import { openInstallation } from './access/installation';
import { ConfigError, loadConfig, type Config } from './config';
import { Database } from './db/database';
import { migrations } from './db/migrations';
import { whyNotOpened } from './db/failures';
import { curlLine, seedDemo } from './demo';
import { entities } from './entities';
import { loggableError } from './lib/loggable';

// The process: configuration, database, app, listen, stop on SIGTERM.

async function main(): Promise<void> {
  const config = loadConfig();
  const database = await Database.open(config.database, { entities, migrations });
  const installation = await openInstallation(config, database);
  const { server, services, jobs } = await createApp({ config, database, installation, log: process.stderr });
  const demoSecret = config.demo ? await seedDemo(database, services) : undefined;

  await listen(server, config);
  for (const job of jobs) job.start();
  const stop = () => void stopProcess(config, async () => {
    await server.close();
    await database.close();
  });
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);

  const { port } = server.server.address() as AddressInfo;
  const url = urlOf(config.host, port);
  console.log(`Tollgate is listening on ${url}`);
  if (installation.newRootKey) {
    console.log(`The operator's root key, shown this once: ${installation.newRootKey}`);
    console.log(`Explore the admin API at ${config.publicUrl ?? url}/graphql with the header X-Api-Key set to it.`);
  }
  if (demoSecret) console.log(`A demo project is ready. Try its key:\n${curlLine(url, demoSecret)}`);
}

/** Connections that wait to be accepted; the usual 511 make some of a thousand callers that come at once wait a second for TCP to try again. */
const BACKLOG = 4_096;

async function listen(server: FastifyInstance, { host, port }: Config): Promise<void> {
  try {
    await server.listen({ host, port, backlog: BACKLOG });
  } catch (error) {
    throw new ConfigError(`HOST=${host} with PORT=${port} cannot be listened on: ${(error as Error).message}`);
  }
}

/** Ends with 0 when `close` is done, or when the time for it is over: what is left then is the sweep's. */
async function stopProcess(config: Config, close: () => Promise<void>): Promise<void> {
  setTimeout(() => process.exit(0), config.shutdownTimeoutMs).unref();
  try {
    await close();
    process.exit(0);
  } catch (error) {
    console.error(loggableError(error));
    process.exit(1);
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof ConfigError ? error.message : (whyNotOpened(error) ?? loggableError(error)));
  process.exit(1);
});
