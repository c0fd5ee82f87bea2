import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './process';
import { until } from './until';

const ROOT = join(__dirname, '..', '..');

/** An example that runs, as its reader sees it. */
export interface Example {
  /** Runs the command under the printed sentence that begins with `sentence`. Returns what the command prints. */
  run(sentence: string): string;
  /** The first match of the group of `pattern` in what the example printed. */
  find(pattern: RegExp): string;
  /** Presses Ctrl-C, and waits for the end. Returns the exit code, and whether no process and no file is left. */
  interrupt(): Promise<{ code: number | null; processesLeft: boolean; filesLeft: string[] }>;
}

/** Starts `examples/NAME/start.mjs` as a reader does, and waits until it has printed its commands. */
export async function startExample(name: string): Promise<Example> {
  const temporary = await temporaryFolder();
  const env = { PATH: process.env.PATH, HOME: temporary, TMPDIR: temporary };
  // A process group of its own, because Ctrl-C in a terminal goes to all processes of a group
  const child = spawn('bash', ['-c', `exec node examples/${name}/start.mjs`], { cwd: ROOT, env, detached: true, stdio: 'pipe' });
  const group = -(child.pid as number);
  const isAlive = (): boolean => {
    try {
      return process.kill(group, 0);
    } catch {
      return false;
    }
  };
  (globalThis.atEndOfFile ??= []).unshift(async () => {
    if (isAlive()) process.kill(group, 'SIGKILL');
    await until(() => !isAlive(), `${name} to end`);
  });
  let said = '';
  for (const output of [child.stdout, child.stderr]) output.setEncoding('utf8').on('data', (text: string) => (said += text));
  await until(() => {
    if (child.exitCode !== null) throw new Error(`It ended with ${child.exitCode}.\n${said}`);
    return said.includes('Ctrl-C');
  }, `${name} to print its commands`);

  return {
    run(sentence) {
      const lines = said.split('\n');
      const command = lines[lines.findIndex((line) => line.startsWith(sentence)) + 1] as string;
      const { stdout, stderr } = spawnSync('bash', ['-c', command], { cwd: ROOT, env, encoding: 'utf8', timeout: 20_000 });
      if (stderr) throw new Error(stderr);
      return stdout;
    },
    find: (pattern) => pattern.exec(said)?.[1] ?? '',
    async interrupt() {
      const end = once(child, 'exit');
      process.kill(group, 'SIGINT');
      const [code] = (await end) as [number | null];
      return { code, processesLeft: isAlive(), filesLeft: readdirSync(temporary) };
    },
  };
}
