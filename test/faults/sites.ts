import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import Libsql from 'libsql';
import { startMariadb, type MariadbServer } from '../support/mariadb-server';
import type { Victims } from './chaos';
import { DatabaseProxy } from './proxy';
import type { ServerNode } from './server';
import { withTables } from './tables';

/** The surroundings of a run: its database, the proxies in front of it, and the disturbances of both. */
export interface Site {
  /** URL of the database itself, without a proxy. */
  databaseUrl: string;
  /** The database URL of each server. */
  nodeUrls: string[];
  victimsOf(nodes: ServerNode[]): Victims;
  close(): Promise<void>;
  /** Undoes what would outlive a process that exits early. */
  abandon(): void;
}

const DATABASE = 'faults';
/** A cut is cancelled if no COMMIT comes within this time. */
const STRIKE_WITHIN_MS = 10_000;

export function startSite(database: 'mysql' | 'sqlite', folder: string, say: (line: string) => void): Promise<Site> {
  return database === 'mysql' ? startMysqlSite(folder) : startSqliteSite(folder, say);
}

/** Starts a separate MariaDB server with a fixed port and data folder, and two proxies in front of it. */
async function startMysqlSite(folder: string): Promise<Site> {
  let server: MariadbServer = await startMariadb({ dataDir: folder });
  const { port } = server;
  const proxies = [await DatabaseProxy.start(port), await DatabaseProxy.start(port)];
  await withTables(server.url(), (ask) => ask(`CREATE DATABASE ${DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`));
  const databaseUrl = server.url(DATABASE);
  const nodeUrls = proxies.map((proxy) => databaseUrl.replace(`:${port}/`, `:${proxy.port}/`));
  const proxyOf = (node: number) => proxies[node] as DatabaseProxy;

  const victimsOf = (nodes: ServerNode[]): Victims => ({
    ...serverVictims(nodes),
    killDatabase: async (downMs) => {
      await server.kill('SIGKILL');
      const from = Date.now();
      await wait(downMs);
      const to = Date.now();
      server = await startMariadb({ port, dataDir: folder });
      return { from, to };
    },
    freezeDatabase: async (lastsMs) => {
      await server.kill('SIGSTOP');
      try {
        await wait(lastsMs);
      } finally {
        await server.kill('SIGCONT');
      }
    },
    cutCommit: async (node, cut, lateMs) => {
      const proxy = proxyOf(node);
      const calledOff = setTimeout(() => proxy.calm(), STRIKE_WITHIN_MS);
      await proxy.strike(cut, lateMs);
      clearTimeout(calledOff);
      if (cut === 'late' || cut === 'stuck') await wait(lateMs);
    },
    delayLink: async (node, delayMs, lastsMs) => {
      proxyOf(node).delayMs = delayMs;
      await wait(lastsMs);
      proxyOf(node).delayMs = 0;
    },
    freezeLink: async (node, lastsMs) => {
      proxyOf(node).freeze();
      await wait(lastsMs);
      proxyOf(node).thaw();
    },
    cutLink: async (node) => proxyOf(node).cutAll(),
  });
  const close = async (): Promise<void> => {
    await Promise.all(proxies.map((proxy) => proxy.close()));
    await server.stop();
  };
  return { databaseUrl, nodeUrls, victimsOf, close, abandon: () => undefined };
}

const DISK_MEGABYTES = 1_024;

/** Prepares one file for one server. The file is on a separate small disk if this machine allows to mount one. */
async function startSqliteSite(folder: string, say: (line: string) => void): Promise<Site> {
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  const isMounted =
    process.getuid?.() === 0 && spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MEGABYTES}m`, 'tollgate-faults', disk]).status === 0;
  if (!isMounted) say('SKIPPED, NOT TESTED: a full disk. The test needs root and the right to mount a tmpfs.');
  const file = join(disk, 'faults.db');
  const unmount = () => {
    if (isMounted) spawnSync('umount', ['--lazy', disk]);
  };
  const victimsOf = (nodes: ServerNode[]): Victims => ({
    ...serverVictims(nodes),
    lockFile: async (lastsMs) => {
      const connection = new Libsql(file, { timeout: 5_000 });
      try {
        connection.exec('BEGIN IMMEDIATE');
        await wait(lastsMs);
        connection.exec('ROLLBACK');
      } finally {
        connection.close();
      }
    },
    fillDisk: async (lastsMs) => {
      if (!isMounted) return;
      const filler = join(disk, 'filler');
      try {
        fill(filler);
        await wait(lastsMs);
      } finally {
        rmSync(filler, { force: true });
      }
    },
  });
  return { databaseUrl: `sqlite:${file}`, nodeUrls: [`sqlite:${file}`], victimsOf, close: async () => unmount(), abandon: unmount };
}

/** Writes to a file until the disk is full. */
function fill(path: string): void {
  const file = openSync(path, 'w');
  try {
    for (let size = 1_048_576; size >= 1; size = size / 16) {
      const chunk = Buffer.alloc(Math.max(1, Math.floor(size)));
      try {
        for (let written = 0; written <= DISK_MEGABYTES * 1_048_576; written += chunk.length) writeSync(file, chunk);
      } catch {
        // There is no room for a chunk of this size. Try a smaller one.
      }
    }
  } finally {
    closeSync(file);
  }
}

function serverVictims(nodes: ServerNode[]) {
  const nodeOf = (node: number) => nodes[node] as ServerNode;
  return {
    nodes: nodes.length,
    killServer: async (node: number, downMs: number) => {
      await nodeOf(node).signal('SIGKILL');
      await wait(downMs);
      await nodeOf(node).start();
      return Date.now(); // the time of the start depends on the machine and does not count
    },
    stopServer: async (node: number, lastsMs: number) => {
      await nodeOf(node).signal('SIGSTOP');
      try {
        await wait(lastsMs);
      } finally {
        await nodeOf(node).signal('SIGCONT');
      }
    },
  };
}
