import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, cpSync, existsSync, mkdirSync, openSync, symlinkSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

const ROOT = join(__dirname, '..', '..');
/** A supervisor waits this long before it starts a server again that would not start. */
const RESTART_MS = 300;
const START_TIMEOUT_MS = 120_000;

const hasSetpriv = process.platform === 'linux' && spawnSync('setpriv', ['--version']).status === 0;

/** Servers that run, so that none outlives this process. */
const running = new Set<ChildProcess>();
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** Copies what was built into `folder`, so that a run of half an hour tests one program, whatever is built meanwhile. Answers its folder. */
export function copyProgram(folder: string): string {
  const built = join(ROOT, 'dist', 'src');
  if (!existsSync(join(built, 'main.js'))) throw new Error('There is no dist: run `npm run build` first, as `npm test` does.');
  const program = join(folder, 'program');
  mkdirSync(program, { recursive: true });
  cpSync(built, join(program, 'dist', 'src'), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(program, 'node_modules'));
  return join(program, 'dist', 'src');
}

/** A TCP port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export interface ServerOptions {
  /** As `copyProgram` gave it. */
  program: string;
  port: number;
  /** Of this server's environment, all but PATH and PORT. */
  env: Record<string, string>;
  /** Takes what it says on standard error, of all its starts. */
  logFile: string;
}

/** One server as a supervisor keeps it: the same port and environment at every start. */
export class ServerNode {
  readonly url: string;
  /** Ends that nobody asked for. */
  readonly crashes: string[] = [];
  /** Starts that ended before it listened: the database was away. */
  failedStarts = 0;
  private child: ChildProcess | undefined;
  private closing = false;

  constructor(private readonly options: ServerOptions) {
    this.url = `http://127.0.0.1:${options.port}`;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Starts it, again and again where it would not start. Answers when the start that succeeded was made; resolves once it listens. */
  async start(): Promise<number> {
    for (const deadline = Date.now() + START_TIMEOUT_MS; ; await wait(RESTART_MS)) {
      if (this.closing) throw new Error('The run is over.');
      const startedAt = Date.now();
      if (await this.launch()) return startedAt;
      this.failedStarts += 1;
      if (Date.now() > deadline) throw new Error(`The server at ${this.url} did not start; see ${this.options.logFile}.`);
    }
  }

  /** As the kernel or an operator would; SIGKILL and SIGTERM resolve when it has ended. Answers its exit code. */
  async signal(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.child;
    if (!child) return null;
    if (signal !== 'SIGKILL' && signal !== 'SIGTERM') {
      child.kill(signal);
      return null;
    }
    this.child = undefined; // its end is no crash
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
    const child = spawn(command as string, args, { cwd: program, env: { PATH: process.env.PATH, ...env, PORT: String(port) }, stdio: ['ignore', 'pipe', log] });
    closeSync(log);
    running.add(child);
    this.child = child;
    return new Promise((resolve) => {
      let said = '';
      let listens = false;
      child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        if (listens) return;
        said += text;
        listens = said.includes('listening on');
        if (listens) resolve(true);
      });
      child.once('exit', (code, signal) => {
        running.delete(child);
        if (listens && this.child === child) this.crashes.push(`${this.url} ended by itself: ${signal ?? `exit code ${code}`}`);
        resolve(false);
      });
    });
  }
}

/** Runs `tollgate audit` and answers its exit code with what it printed. */
export async function runAudit(program: string, env: Record<string, string>): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [join(program, 'cli.js'), 'audit'], { cwd: program, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code] = (await once(child, 'close')) as [number | null];
  running.delete(child);
  return { code, output };
}
