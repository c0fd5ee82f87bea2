import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';

// The processes that the bench starts. It ends these and no others, and reads their processor time from /proc.

/** A server that prints its URL to standard output when it listens. */
export interface ServerProcess {
  pid: number;
  url: string;
  /** The lines that it printed before its URL. */
  printed: string[];
  /** Sends SIGTERM, then SIGKILL if the process does not end in time. May be called again. */
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 40_000;
const POLL_MS = 25;
const SETPRIV = '/usr/bin/setpriv';

const running = new Set<ChildProcess>();

/** Registers a child process, so that endAll ends it. */
export function own(child: ChildProcess): ChildProcess {
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** Kills every process that the bench has started and that still runs. */
export function endAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** Makes the Linux kernel end the child with this process. A handler cannot do it, because none runs after a SIGKILL. */
export function bound(command: string[]): string[] {
  return process.platform === 'linux' && existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL', ...command] : command;
}

/** Starts `node ARGS` and waits until it listens. Of this process's environment, the child gets only PATH and TMPDIR. */
export async function startServer(args: string[], environment: Record<string, string>, logFile: string): Promise<ServerProcess> {
  return launch([process.execPath, ...args], environment, logFile, listening);
}

/** Starts a program that listens at `url` and prints nothing. Waits until it accepts connections. */
export async function startProgram(command: string[], url: string, logFile: string): Promise<ServerProcess> {
  return launch(command, {}, logFile, async (child) => {
    while (child.exitCode === null && !(await accepts(url))) await wait(POLL_MS);
    return url;
  });
}

async function launch(
  command: string[],
  environment: Record<string, string>,
  logFile: string,
  untilReady: (child: ChildProcess, printed: string[]) => Promise<string | undefined>,
): Promise<ServerProcess> {
  const log = openSync(logFile, 'a');
  const env = { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR, NODE_ENV: 'production', ...environment };
  const [program, ...args] = bound(command) as [string, ...string[]];
  const child = own(spawn(program, args, { env, stdio: ['ignore', 'pipe', log] }));
  closeSync(log);
  const gone = once(child, 'exit');
  const printed: string[] = [];
  const url = await Promise.race([
    untilReady(child, printed),
    gone.then(() => undefined),
    wait(START_TIMEOUT_MS, undefined, { ref: false }),
  ]);
  if (url === undefined) {
    child.kill('SIGKILL');
    throw new Error(`A server did not start: ${command.join(' ')}\n${readFileSync(logFile, 'utf8')}`);
  }
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const ended = await Promise.race([gone.then(() => true), wait(STOP_TIMEOUT_MS, false, { ref: false })]);
    if (!ended) child.kill('SIGKILL');
    await gone;
  };
  return { pid: child.pid as number, url, printed, stop };
}

/** Whether a server answers at a URL, with any status. */
async function accepts(url: string): Promise<boolean> {
  return fetch(url).then(() => true, () => false);
}

async function listening(child: ChildProcess, printed: string[]): Promise<string | undefined> {
  if (!child.stdout) return undefined;
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) {
    const [, url] = /listening on (http:\/\/\S+)/.exec(line) ?? [];
    if (url !== undefined) {
      child.stdout.resume(); // discards later output, so that the pipe never fills
      return url;
    }
    printed.push(line);
  }
  return undefined;
}

const TICKS_PER_SECOND = 100; // USER_HZ, which Linux fixes for /proc

/** Processor time that all threads of a process have used, in seconds. NaN if there is no /proc. */
export function cpuSeconds(pid: number): number {
  const fields = statOf(pid);
  return fields ? (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND : NaN;
}

/** Processor time of this process's children that have ended, in seconds. NaN if there is no /proc. */
export function childrensCpuSeconds(): number {
  const fields = statOf('self');
  return fields ? (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND : NaN;
}

/** Processor time of all processes of this machine, in seconds. NaN if there is no /proc. */
export function machinesCpuSeconds(): number {
  const line = read('/proc/stat')?.split('\n', 1)[0]?.split(/\s+/).slice(1).map(Number);
  if (!line) return NaN;
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line;
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND;
}

/** Memory of a process that is in use now, without what the kernel holds for its connections. NaN if there is no /proc. */
export function residentBytes(pid: number): number {
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '') ?? [];
  return Number(kibibytes) * 1_024;
}

/** Returns the fields of /proc/PID/stat after the process name. The name is skipped because it may contain spaces. */
function statOf(pid: number | 'self'): string[] | undefined {
  const text = read(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

const ALONE_MS = 250;

/** Waits until the whole machine uses at most `noise` cores, but no longer than `seconds`. */
export async function untilAlone(seconds: number, noise: number): Promise<void> {
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    const before = machinesCpuSeconds();
    await wait(ALONE_MS);
    if (machinesCpuSeconds() - before <= (noise * ALONE_MS) / 1000) return;
  }
}

const QUIET_MS = 100;
const QUIET_TRIES = 50;

/** Waits until these processes are nearly idle, for at most five seconds. */
export async function untilQuiet(pids: number[]): Promise<void> {
  const used = () => pids.reduce((sum, pid) => sum + (cpuSeconds(pid) || 0), 0);
  for (let tries = 0; tries < QUIET_TRIES; tries += 1) {
    const before = used();
    await wait(QUIET_MS);
    if (used() - before <= 0.02) return;
  }
}
