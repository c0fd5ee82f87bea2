import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import libsql from 'libsql';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { randomBase62 } from '../src/lib/id';
import type { MariadbServer } from '../test/support/mariadb-server';
import { furnish, type Furniture } from './furniture';
import { startNginx } from './nginx';
import { own, startServer, type ServerProcess } from './processes';

// The servers to compare. Each is a separate process.

export const TARGETS = {
  bare: { title: 'a bare Fastify route', onMariadb: false },
  proxy: { title: 'a bare Fastify proxy', onMariadb: false },
  nginx: { title: 'nginx as a proxy', onMariadb: false },
  mariadb: { title: 'Tollgate on MariaDB', onMariadb: true },
  sqlite: { title: 'Tollgate on SQLite', onMariadb: false },
  transaction: { title: 'a transaction per call, MariaDB', onMariadb: true },
  'better-auth': { title: 'better-auth API keys, MariaDB', onMariadb: true },
};

export type TargetName = keyof typeof TARGETS;

/** A server that is ready to be measured. */
export interface RunningTarget {
  name: TargetName;
  server: ServerProcess;
  /** The process of its database, or undefined if the database is inside the server process. */
  databasePid: number | undefined;
  furniture: Furniture;
  /** Returns 0 when no call is in flight. */
  callsInFlight(): Promise<number>;
  /** Returns the faults that the audit of its books found, or undefined if there are none or the server has no books. */
  audit(): Promise<string | undefined>;
}

/** The upstream of the routes and of the proxies. It listens at two URLs, because Tollgate limits the calls at one. */
export interface Upstream {
  server: ServerProcess;
  urls: [string, string];
}

/** The surroundings that all targets share. */
export interface Stage {
  /** Folder for databases, logs and plans, on the disk to measure. */
  folder: string;
  mariadb: { server: MariadbServer; control: Connection } | undefined;
  projectCount: number;
  /** URL of an upstream that answers after two seconds. */
  slowUpstreamUrl: string;
  upstream: Upstream;
  /** Flags for Node, before the script. */
  nodeFlags: string[];
}

const ROOT = join(__dirname, '..');
const SWC = ['-r', '@swc-node/register'];

/** Starts the upstream of the routes and of the proxies. */
export async function startUpstream(folder: string): Promise<Upstream> {
  const server = await startServer([...START_FLAGS, ...SWC, join(__dirname, 'upstream.ts')], {}, join(folder, 'upstream.log'));
  const second = server.printed.find((line) => line.startsWith('second '))?.slice('second '.length) as string;
  return { server, urls: [server.url, second] };
}

/** Starts a target on a new, filled database. */
export async function startTarget(name: TargetName, stage: Stage): Promise<RunningTarget> {
  switch (name) {
    case 'bare':
      return nodeRival(name, stage, [...SWC, join(__dirname, 'bare.ts')], {});
    case 'proxy':
      return nodeRival(name, stage, [...SWC, join(__dirname, 'proxy.ts')], { UPSTREAM_URL: stage.upstream.urls[0] });
    case 'nginx':
      return rival(name, stage, await startNginx(stage.folder, stage.upstream.urls[0]));
    case 'transaction':
      return nodeRival(name, stage, [...SWC, join(__dirname, 'transaction-per-call.ts')], {
        DATABASE_URL: await newDatabase(stage, 'bench_transaction'),
      });
    case 'better-auth':
      await installBetterAuth();
      return nodeRival(name, stage, [join(__dirname, 'better-auth', 'server.mjs')], {
        DATABASE_URL: await newDatabase(stage, 'bench_better_auth'),
        BETTER_AUTH_SECRET: randomBase62(43),
      });
    case 'mariadb': {
      const database = 'bench_gate';
      const environment = gateEnvironment(await newDatabase(stage, database));
      return gate(name, stage, environment, async () => {
        const [rows] = await requireMariadb(stage).control.query<RowDataPacket[]>(`SELECT COUNT(*) AS ticks FROM ${database}.tick_holds`);
        return Number((rows[0] as { ticks: number }).ticks);
      });
    }
    case 'sqlite': {
      const path = join(stage.folder, 'sqlite', 'gate.db');
      mkdirSync(join(stage.folder, 'sqlite'));
      let reader: libsql.Database | undefined;
      return gate(name, stage, gateEnvironment(`sqlite:${path}`), async () => {
        reader ??= new libsql(path, { readonly: true });
        return (reader.prepare('SELECT COUNT(*) AS ticks FROM tick_holds').get() as { ticks: number }).ticks;
      });
    }
  }
}

/** Starts a second process of the gate on the target's MariaDB database, with extra settings. */
export function startAnotherGate(stage: Stage, extra: Record<string, string>): Promise<ServerProcess> {
  const url = requireMariadb(stage).server.url('bench_gate');
  return startGate(stage, 'another', { ...gateEnvironment(url), ...extra });
}

async function gate(
  name: 'mariadb' | 'sqlite',
  stage: Stage,
  environment: Record<string, string>,
  callsInFlight: () => Promise<number>,
): Promise<RunningTarget> {
  const furniture = await furnish(environment, stage);
  const server = await startGate(stage, name, environment);
  const databasePid = name === 'mariadb' ? stage.mariadb?.server.pid : undefined;
  return { name, server, databasePid, furniture, callsInFlight, audit: () => auditBooks(environment) };
}

/** The flags that `npm start` gives Node. Every server runs with them. */
const START_FLAGS = (require('../package.json') as { scripts: { start: string } }).scripts.start
  .split(' ')
  .filter((word) => word.startsWith('--'));

function startGate({ folder, nodeFlags }: Stage, name: string, environment: Record<string, string>): Promise<ServerProcess> {
  return startServer([...START_FLAGS, ...nodeFlags, join(ROOT, 'dist/src/main.js')], environment, join(folder, `${name}.log`));
}

// Processes that share a database need the same secrets, so all processes of this run have them.
const SECRETS = { KEY_PEPPER: randomBase62(43), ROOT_KEY: `root_${randomBase62(43)}` };

function gateEnvironment(databaseUrl: string): Record<string, string> {
  return { ...SECRETS, DATABASE_URL: databaseUrl, HOST: '127.0.0.1', PORT: '0', DEMO: 'false', LOG_LEVEL: 'warn' };
}

async function auditBooks(environment: Record<string, string>): Promise<string | undefined> {
  const env = { PATH: process.env.PATH, ...environment };
  const child = own(spawn(process.execPath, [join(ROOT, 'dist/src/cli.js'), 'audit'], { env, stdio: ['ignore', 'pipe', 'pipe'] }));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return code === 0 ? undefined : output;
}

async function nodeRival(
  name: TargetName,
  stage: Stage,
  script: string[],
  environment: Record<string, string>,
): Promise<RunningTarget> {
  const flags = [...START_FLAGS, ...stage.nodeFlags];
  return rival(name, stage, await startServer([...flags, ...script], environment, join(stage.folder, `${name}.log`)));
}

function rival(name: TargetName, stage: Stage, server: ServerProcess): RunningTarget {
  const key = server.printed.find((line) => line.startsWith('key '))?.slice('key '.length);
  const secret = key ?? `bench_live_${randomBase62(38)}`;
  const many = Array.from({ length: stage.projectCount }, () => secret);
  return {
    name,
    server,
    databasePid: TARGETS[name].onMariadb ? stage.mariadb?.server.pid : undefined,
    furniture: { hot: secret, many, exhausted: secret, slow: secret, locked: { secret, projectId: '' }, asker: secret },
    callsInFlight: async () => 0,
    audit: async () => undefined,
  };
}

async function newDatabase(stage: Stage, name: string): Promise<string> {
  const { server, control } = requireMariadb(stage);
  await control.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`);
  return server.url(name);
}

/** Returns the MariaDB server of this run and the bench's connection to it. Throws if none was started. */
export function requireMariadb({ mariadb }: Stage): NonNullable<Stage['mariadb']> {
  if (!mariadb) throw new Error('This target needs a MariaDB server, and none was started.');
  return mariadb;
}

async function installBetterAuth(): Promise<void> {
  const folder = join(__dirname, 'better-auth');
  if (existsSync(join(folder, 'node_modules', 'better-auth'))) return;
  console.error('Installing better-auth for the comparison (npm ci in bench/better-auth) ...');
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error('better-auth could not be installed. Leave it out with --targets bare,mariadb,sqlite,transaction.');
}
