import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

const PROGRAMS = join(__dirname, '..', '..', 'dist', 'src');

/** How a process ended. */
export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** A separate server process, as `npm start` runs it. */
export interface TollgateProcess {
  /** The URL that it listens on. Rejects with its output if it ends before it listens. */
  listening: Promise<string>;
  ended: Promise<Ending>;
  /** Its output so far. */
  stdout(): string;
  kill(signal: NodeJS.Signals): void;
  /** Stops reading its output: its pipes break. */
  hangUp(): void;
}

export interface ProcessOptions {
  /** Its whole environment, except PATH. Without PORT it uses a free port. */
  env?: Record<string, string>;
  /** Default: a temporary folder. */
  cwd?: string;
}

/** Creates a folder. It is removed when the test file has ended. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-process-'));
  (globalThis.atEndOfFile ??= []).push(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** Starts dist/src/main.js. If it still runs when the test file has ended, it is killed. */
export async function startProcess({ env = {}, cwd }: ProcessOptions = {}): Promise<TollgateProcess> {
  const { child, output, ended } = launch('main.js', [], { PORT: '0', LOG_LEVEL: 'error', ...env }, cwd ?? (await temporaryFolder()));
  const listening = new Promise<string>((resolve, reject) => {
    child.stdout.on('data', () => {
      const [, url] = /listening on (http:\/\/\S+)\n/.exec(output.stdout) ?? [];
      if (url) resolve(url);
    });
    void ended.then((ending) => reject(new Error(`It ended before it listened: ${JSON.stringify(ending)}`)));
  });
  listening.catch(() => undefined); // for callers that use only `ended`
  return {
    listening,
    ended,
    stdout: () => output.stdout,
    kill: (signal) => void child.kill(signal),
    hangUp: () => [child.stdout, child.stderr].forEach((pipe) => pipe.destroy()),
  };
}

/** Runs dist/src/cli.js until it ends. */
export async function runCli(args: string[], { env = {}, cwd }: ProcessOptions = {}): Promise<Ending> {
  return launch('cli.js', args, env, cwd ?? (await temporaryFolder())).ended;
}

/** Runs a main.js that cannot start, until it ends. */
export const refusalOf = async (env: Record<string, string>, cwd?: string): Promise<Ending> =>
  (await startProcess({ env, ...(cwd ? { cwd } : {}) })).ended;

/** Expects that it ended with 1 and one readable line: without a stack and without the name of a source file. */
export function expectRefusal(ending: Ending, sentence: RegExp): void {
  expect(ending).toMatchObject({ code: 1, stdout: '' });
  expect(ending.stderr).toMatch(sentence);
  expect(ending.stderr).not.toMatch(/\n\s+at |node_modules|\.js\b/);
  expect(ending.stderr.trim().split('\n')).toHaveLength(1);
}

function launch(program: string, args: string[], env: Record<string, string>, cwd: string) {
  const path = join(PROGRAMS, program);
  if (!existsSync(path)) throw new Error('The folder dist does not exist. Run `npm run build` first, as `npm test` does.');
  // Without source maps and coverage, as for an operator
  const child: ChildProcessByStdio<null, Readable, Readable> = spawn(process.execPath, [path, ...args], {
    cwd,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // Registered first, so that the process ends before its database is dropped
  (globalThis.atEndOfFile ??= []).unshift(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const ended = once(child, 'close').then(([code, signal]): Ending => ({ code, signal, ...output }));
  return { child, output, ended };
}
