import './graphql/production';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
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

/** What a stop closes, the last one first. */
const opened: { close(): PromiseLike<unknown> }[] = [];
let stopping: Promise<void> | undefined;

async function main(): Promise<void> {
  // Whoever reads the log may go away, or its disk be full: that is to end no call
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const config = loadConfig();
  // From now on, and every time: with `npm start` a terminal's Ctrl-C comes twice
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void (stopping ??= stop(config)));

  const database = await Database.open(config.database, { entities, migrations });
  opened.push(database);
  const installation = await openInstallation(config, database);
  if (installation.newRootKey) console.log(`The operator's root key, shown this once: ${installation.newRootKey}`);
  const { server, services, jobs } = await createApp({ config, database, installation, log: process.stderr });
  opened.push(server);
  await listen(server, config);
  for (const job of jobs) job.start();

  const { port } = server.server.address() as AddressInfo;
  const url = urlOf(config.host, port);
  console.log(`Tollgate is listening on ${url}`);
  if (installation.newRootKey)
    console.log(`Explore the admin API at ${config.publicUrl ?? url}/graphql with the header X-Api-Key set to the root key.`);
  const demoSecret = config.demo ? await seedDemo(database, services) : undefined;
  if (demoSecret) console.log(`A demo project is ready. Try its key:\n${curlLine(url, demoSecret)}`);
}

/** How long the database may take to close once the time of a stop is over. */
const LAST_MS = 1_000;
/** Connections that wait to be accepted; the usual 511 make some of a thousand callers that come at once wait a second for TCP to try again. */
const BACKLOG = 4_096;

async function listen(server: FastifyInstance, { host, port }: Config): Promise<void> {
  try {
    await server.listen({ host, port, backlog: BACKLOG });
  } catch (error) {
    throw new ConfigError(`HOST=${host} with PORT=${port} cannot be listened on: ${(error as Error).message}`);
  }
}

/** Ends the process with 0 when all is closed, or when the time for it is over: what is left then is the sweep's. */
async function stop({ shutdownTimeoutMs }: Config): Promise<void> {
  setTimeout(() => void giveUp(), shutdownTimeoutMs).unref();
  try {
    for (const one of [...opened].reverse()) await one.close();
    process.exit(0);
  } catch (error) {
    console.error(loggableError(error));
    process.exit(1);
  }
}

/** An exit waits for a statement that runs in a thread: closing the database interrupts it. */
async function giveUp(): Promise<void> {
  await Promise.race([opened[0]?.close(), wait(LAST_MS)]).catch(() => undefined);
  process.exit(0);
}

main().catch((error: unknown) => {
  if (stopping) return; // it was closed as it began
  console.error(error instanceof ConfigError ? error.message : (whyNotOpened(error) ?? loggableError(error)));
  process.exit(1);
});
