import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, cpSync, existsSync, mkdirSync, openSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

const ROOT = join(__dirname, '..', '..');
/** Pause before a server that did not start is started again, as a supervisor would do it. */
const RESTART_MS = 300;
const START_TIMEOUT_MS = 120_000;

const hasSetpriv = process.platform === 'linux' && spawnSync('setpriv', ['--version']).status === 0;

/** The running servers. They are killed when this process ends. */
const running = new Set<ChildProcess>();
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** Copies the build into `folder`, so that a later build does not change the program under test. Returns the copy's folder. */
export function copyProgram(folder: string): string {
  const built = join(ROOT, 'dist', 'src');
  if (!existsSync(join(built, 'main.js'))) throw new Error('There is no dist. Run `npm run build` first, as `npm test` does.');
  const program = join(folder, 'program');
  mkdirSync(program, { recursive: true });
  cpSync(built, join(program, 'dist', 'src'), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(program, 'node_modules'));
  return join(program, 'dist', 'src');
}

export interface ServerOptions {
  /** The folder that `copyProgram` returned. */
  program: string;
  port: number;
  /** The server's environment without PATH and PORT. */
  env: Record<string, string>;
  /** File for the standard error of all starts. */
  logFile: string;
}

/** One server with the same port and environment at every start, as under a supervisor. */
export class ServerNode {
  readonly url: string;
  /** Unexpected ends of the process. */
  readonly crashes: string[] = [];
  /** Number of starts that ended before the server listened, because the database was not reachable. */
  failedStarts = 0;
  private child: ChildProcess | undefined;
  private closing = false;

  constructor(private readonly options: ServerOptions) {
    this.url = `http://127.0.0.1:${options.port}`;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Starts the server, with retries. Resolves once it listens, with the time at which the successful start began. */
  async start(): Promise<number> {
    for (const deadline = Date.now() + START_TIMEOUT_MS; ; await wait(RESTART_MS)) {
      if (this.closing) throw new Error('The run is over.');
      const startedAt = Date.now();
      if (await this.launch()) return startedAt;
      this.failedStarts += 1;
      if (Date.now() > deadline) throw new Error(`The server at ${this.url} did not start. See ${this.options.logFile}.`);
    }
  }

  /** Sends a signal. For SIGKILL and SIGTERM it waits for the end of the process and returns the exit code. */
  async signal(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.child;
    if (!child) return null;
    if (signal !== 'SIGKILL' && signal !== 'SIGTERM') {
      child.kill(signal);
      return null;
    }
    this.child = undefined; // an expected end does not count as a crash
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    }
    return child.exitCode;
  }

  async close(): Promise<void> {
    this.closing = true;
    await this.signal('SIGKILL');
  }

  private launch(): Promise<boolean> {
    const { program, port, env, logFile } = this.options;
    const log = openSync(logFile, 'a');
    const [command, ...args] = [...(hasSetpriv ? ['setpriv', '--pdeathsig', 'KILL'] : []), process.execPath, join(program, 'main.js')];
    const child = spawn(command as string, args, {
      cwd: program,
      env: { PATH: process.env.PATH, ...env, PORT: String(port) },
      stdio: ['ignore', 'pipe', log],
    });
    closeSync(log);
    running.add(child);
    this.child = child;
    return new Promise((resolve) => {
      let output = '';
      let listens = false;
      child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        if (listens) return;
        output += text;
        listens = output.includes('listening on');
        if (listens) resolve(true);
      });
      child.once('exit', (code, signal) => {
        running.delete(child);
        if (listens && this.child === child) this.crashes.push(`${this.url} ended unexpectedly: ${signal ?? `exit code ${code}`}`);
        resolve(false);
      });
    });
  }
}

/** Runs `tollgate audit`. Returns its exit code and its output. */
export async function runAudit(program: string, env: Record<string, string>): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [join(program, 'cli.js'), 'audit'], {
    cwd: program,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code] = (await once(child, 'close')) as [number | null];
  running.delete(child);
  return { code, output };
}
