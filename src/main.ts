import './graphql-server/production';
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

// Runs a server: reads the configuration, opens the database, builds the app, listens, and stops on SIGTERM.

/** Closed by a stop, the last opened one first. */
const opened: { close(): PromiseLike<unknown> }[] = [];
let stopping: Promise<void> | undefined;

async function main(): Promise<void> {
  // A log that cannot be written, because its reader ended or a disk is full, must not end the process
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const config = loadConfig();
  // Handled every time, because with `npm start` Ctrl-C sends the signal twice
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

/** The longest wait for the database to close after the shutdown time-out. */
const LAST_MS = 1_000;
/**
 * Connections that may wait to be accepted. With Node's default of 511 some of a thousand simultaneous callers wait a second for a TCP
 * retry.
 */
const BACKLOG = 4_096;

async function listen(server: FastifyInstance, { host, port }: Config): Promise<void> {
  try {
    await server.listen({ host, port, backlog: BACKLOG });
  } catch (error) {
    throw new ConfigError(
      `HOST=${host} with PORT=${port} cannot be listened on. Choose another address or port: ${(error as Error).message}`,
    );
  }
}

/**
 * Closes everything and exits with 0. Exits with 0 after the time-out too: the sweep of another process or a later start ends open calls.
 */
async function stop({ shutdownTimeoutMs }: Config): Promise<void> {
  setTimeout(() => void giveUp(), shutdownTimeoutMs).unref();
  try {
    for (const part of [...opened].reverse()) await part.close();
    process.exit(0);
  } catch (error) {
    console.error(loggableError(error));
    process.exit(1);
  }
}

/** Closes the database first, because an exit would wait for a statement in a thread, and closing interrupts the statement. */
async function giveUp(): Promise<void> {
  await closeDatabase();
  process.exit(0);
}

async function closeDatabase(): Promise<void> {
  await Promise.race([opened[0]?.close(), wait(LAST_MS)]).catch(() => undefined);
}

main().catch(async (error: unknown) => {
  if (stopping) return; // a stop closed it during the start
  console.error(error instanceof ConfigError ? error.message : (whyNotOpened(error) ?? loggableError(error)));
  await closeDatabase(); // an exit during a statement in a thread would abort the process
  process.exit(1);
});
