import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bound, own } from './processes';

/** A call of a plan. A load sends the calls of a plan in order, again and again. */
export interface PlannedCall {
  path: string;
  secret: string;
  body: string;
}

/** The counts of one wrk run. `refused` counts answers with a status of 400 or more. */
export interface Load {
  requests: number;
  durationUs: number;
  p50Us: number;
  p99Us: number;
  connect: number;
  read: number;
  write: number;
  timeout: number;
  refused: number;
}

const SCRIPT = join(__dirname, 'load.lua');

/** Returns wrk's version. Throws an error that says how to install it if it is missing. */
export function wrkVersion(): string {
  const { error, stdout, stderr } = spawnSync('wrk', ['--version'], { encoding: 'utf8' });
  if (error) throw new Error('wrk, which makes the load, is not installed. Run: apt-get install wrk.');
  return /wrk (\S+)/.exec(`${stdout}${stderr}`)?.[1] ?? 'unknown';
}

/** Writes a plan to a file for wrk. Returns its path. */
export function writePlan(folder: string, name: string, calls: PlannedCall[]): string {
  const path = join(folder, `${name}.plan`);
  writeFileSync(path, calls.map(({ path: at, secret, body }) => `${at}\t${secret}\t${body}\n`).join(''));
  return path;
}

/** Calls `url` for `seconds` over `connections` connections, each with one call at a time. Throws if wrk fails. */
export async function runWrk(url: string, plan: string, connections: number, seconds: number): Promise<Load> {
  const command = [
    'wrk',
    '--threads',
    '1',
    '--connections',
    String(connections),
    '--duration',
    `${seconds}s`,
    '--timeout',
    '20s',
    '--latency',
  ];
  const [program, ...args] = bound([...command, '--script', SCRIPT, url, '--', plan]) as [string, ...string[]];
  const child = own(spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] }));
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  const report = output.split('\n').find((line) => line.startsWith('{'));
  if (code !== 0 || report === undefined) throw new Error(`wrk failed:\n${output}`);
  return JSON.parse(report) as Load;
}
