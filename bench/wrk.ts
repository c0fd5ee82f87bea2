import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bound, own } from './processes';

/** A call of a plan; a load sends a plan's calls one after the other and round again. */
export interface PlannedCall {
  path: string;
  secret: string;
  body: string;
}

/** What wrk counted. `refused` are answers with a status of 400 and more. */
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

/** wrk's version, or an error that says how to get it. */
export function wrkVersion(): string {
  const { error, stdout, stderr } = spawnSync('wrk', ['--version'], { encoding: 'utf8' });
  if (error) throw new Error('The bench makes its load with wrk, which is not installed: apt-get install wrk.');
  return /wrk (\S+)/.exec(`${stdout}${stderr}`)?.[1] ?? 'unknown';
}

/** A plan as a file that wrk can be given. */
export function writePlan(folder: string, name: string, calls: PlannedCall[]): string {
  const path = join(folder, `${name}.plan`);
  writeFileSync(path, calls.map(({ path: at, secret, body }) => `${at}\t${secret}\t${body}\n`).join(''));
  return path;
}

/** Calls `url` over so many connections, each with one call at a time, for so long. */
export async function runWrk(url: string, plan: string, connections: number, seconds: number): Promise<Load> {
  const command = ['wrk', '--threads', '1', '--connections', String(connections), '--duration', `${seconds}s`, '--timeout', '20s', '--latency'];
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
