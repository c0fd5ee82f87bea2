import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { freePort } from './free-port';
import { until } from './until';

/** A web server of another project that a test has started. It is stopped when the test file has ended. */
export interface StartedServer {
  url: string;
}

export interface ServerKind {
  /** Its variable `REQUIRE_...` makes it an error if the program is missing. */
  program: string;
  debianPackage: string;
  /** The name and the text of its configuration. */
  file: string;
  text(folder: string, port: number): string;
  options(folder: string): string[];
}

/** Starts a server on a free port, with all files in one folder. Undefined where the program is missing, unless it is required. */
export async function startServer({ program, debianPackage, file, text, options }: ServerKind): Promise<StartedServer | undefined> {
  const path = find(program, debianPackage);
  if (!path) return undefined;
  const folder = await mkdtemp(join(tmpdir(), `tollgate-${program}-`));
  const port = await freePort();
  await writeFile(join(folder, file), text(folder, port));
  const env = { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder };
  const child = spawn(path, options(folder), { stdio: ['ignore', 'ignore', 'pipe'], env });
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (said: string) => (complaints += said));
  const ended = once(child, 'exit');
  (globalThis.atEndOfFile ??= []).unshift(async () => {
    child.kill('SIGKILL');
    await ended;
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  const url = `http://127.0.0.1:${port}`;
  await until(() => {
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}.\n${complaints}`);
    return fetch(`${url}/healthz`).then(() => true, () => false);
  }, `${program} to listen`);
  return { url };
}

function find(program: string, debianPackage: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'].filter((folder) => folder !== '');
  const path = folders.map((folder) => join(folder, program)).find((candidate) => existsSync(candidate));
  if (path) return path;
  const missing = `No ${program}: apt-get install ${debianPackage}.`;
  if (process.env[`REQUIRE_${program.toUpperCase()}`] === '1' || process.env.CI) throw new Error(missing);
  process.stderr.write(`\nSKIPPED, NOT TESTED: ${missing}\n`);
  return undefined;
}
