import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ServerNode, copyProgram } from '../faults/server';
import { freePort } from '../support/free-port';
import { withTables } from '../faults/tables';
import { startMariadb } from '../support/mariadb-server';

/** What the probe wrote: the longest stall since the line before it, and the memory now and at most so far. */
export interface Sample {
  at: number;
  stallMs: number;
  rssBytes: number;
  peakRssBytes: number;
}

export interface AttackedServer {
  port: number;
  url: string;
  /** Starts a fresh process on the same database, so that the memory of one attack does not count for the next attack. */
  restart(): Promise<void>;
  /** Returns the samples since the time `from`. */
  samplesSince(from: number): Sample[];
  /** Returns the unexpected exits since the last call of `crashes`. */
  crashes(): string[];
  close(): Promise<void>;
}

export interface ServerOptions {
  database: 'mysql' | 'sqlite';
  folder: string;
  env: Record<string, string>;
}

/** Prepares the real server as a process with the probe. `restart` starts it. */
export async function makeServer({ database, folder, env }: ServerOptions): Promise<AttackedServer> {
  const data = join(folder, 'data');
  mkdirSync(data);
  const mariadb = database === 'mysql' ? await startMariadb({ dataDir: data }) : undefined;
  if (mariadb) await withTables(mariadb.url(), (ask) => ask('CREATE DATABASE attacks CHARACTER SET utf8mb4 COLLATE utf8mb4_bin'));
  const port = await freePort();
  const probeFile = join(folder, 'probe.jsonl');
  const url = `http://127.0.0.1:${port}`;
  const node = new ServerNode({
    program: copyProgram(folder),
    port,
    logFile: join(folder, 'server.log'),
    env: {
      ...env,
      DATABASE_URL: mariadb?.url('attacks') ?? `sqlite:${join(data, 'attacks.db')}`,
      PUBLIC_URL: url,
      DEMO: 'false',
      LOG_LEVEL: 'warn',
      PROBE_FILE: probeFile,
      NODE_OPTIONS: `--max-semi-space-size=64 --require ${JSON.stringify(join(__dirname, 'probe.js'))}`,
    },
  });
  return {
    port,
    url,
    restart: async () => {
      await node.signal('SIGKILL');
      writeFileSync(probeFile, '');
      await node.start();
    },
    samplesSince: (from) =>
      readFileSync(probeFile, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Sample)
        .filter(({ at }) => at >= from),
    crashes: () => node.crashes.splice(0),
    close: async () => {
      await node.close();
      await mariadb?.stop();
    },
  };
}
