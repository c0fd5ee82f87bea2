// @ts-check
// README.md's first command, word for word but for the `npm ci` that CI has done: in a copy of this repository that has neither data nor
// a build, and with an empty environment. It pastes the `curl` line that is printed, and then ends the server as a supervisor would.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { cpSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } = require('node:fs');
const { createServer } = require('node:net');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { setTimeout: wait } = require('node:timers/promises');
const { ROOT, runProgram } = require('./checks/tools');

const INSTALL = 'npm ci && ';
const DEFAULT_PORT = 4000;
const START_TIMEOUT_MS = 120_000;

/** The first block for a shell in README.md, without its `npm ci`. */
function firstCommand() {
  const [, block = ''] = /^```sh\n(.*)\n```$/m.exec(readFileSync(join(ROOT, 'README.md'), 'utf8')) ?? [];
  if (!block.startsWith(INSTALL)) throw new Error(`README.md's first command is "${block}", and was to begin with "${INSTALL}".`);
  return block.slice(INSTALL.length);
}

/** @param {string} folder */
async function copyRepository(folder) {
  // The clone may belong to another user than the one who runs this.
  const listed = await runProgram('git', '-c', 'safe.directory=*', 'ls-files', '-z', '--cached', '--others', '--exclude-standard');
  const files = listed.split('\0').filter((file) => file !== '' && statSync(join(ROOT, file), { throwIfNoEntry: false })?.isFile());
  for (const file of files) cpSync(join(ROOT, file), join(folder, file));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
}

/** Whether nobody listens on the port that a start takes by default. */
async function defaultPortIsFree() {
  const server = createServer().listen(DEFAULT_PORT, '127.0.0.1');
  const free = await Promise.race([once(server, 'listening').then(() => true), once(server, 'error').then(() => false)]);
  server.close();
  return free;
}

/**
 * @param {string} command
 * @param {string} folder
 */
async function tryCommand(command, folder) {
  const port = (await defaultPortIsFree()) ? undefined : '0';
  if (port) console.log(`Port ${DEFAULT_PORT} is taken here, so the server picks another one.`);
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, ...(port && { PORT: port }) };
  const child = spawn('bash', ['-c', `exec ${command}`], { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  try {
    const said = await whatItSays(child);
    const line = /^curl .*$/m.exec(said)?.[0] ?? '';
    const answer = await runProgram('bash', '-c', `${line} -w '\\n%{http_code}'`);
    console.log(answer);
    const [body = '', status] = answer.split('\n');
    const { ok, billing } = JSON.parse(body);
    if (status !== '200' || ok !== true || billing.chargedMicroCredits !== 1000) throw new Error('The printed line was not answered with 200, ok and a bill.');

    child.kill('SIGTERM');
    const [code, signal] = await exited;
    if (code !== 0) throw new Error(`On SIGTERM it ended with ${code ?? signal}, and was to end with 0.`);
    const url = /listening on (\S+)/.exec(said)?.[1] ?? '';
    if (await fetch(`${url}/healthz`).catch(() => undefined)) throw new Error(`"${command}" has ended and its server still answers.`);
  } finally {
    killGroup(child);
  }
}

/**
 * Waits for the `curl` line, and answers all that was said up to it.
 * @param {import('node:child_process').ChildProcessByStdio<null, import('node:stream').Readable, null>} child
 */
async function whatItSays(child) {
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
    process.stdout.write(text);
    said += text;
  });
  for (const deadline = Date.now() + START_TIMEOUT_MS; !/^curl .*\n/m.test(said); await wait(50)) {
    if (child.exitCode !== null) throw new Error(`It ended with ${child.exitCode} before it printed a curl line.`);
    if (Date.now() > deadline) throw new Error(`It printed no curl line within ${START_TIMEOUT_MS} ms.`);
  }
  return said;
}

/** @param {import('node:child_process').ChildProcess} child */
function killGroup({ pid }) {
  try {
    if (pid) process.kill(-pid, 'SIGKILL');
  } catch {
    // all of it has ended
  }
}

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-first-command-'));
  try {
    await copyRepository(folder);
    await tryCommand(firstCommand(), folder);
    console.log('It started, billed the printed call, and ended with 0 on SIGTERM.');
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

main().catch((error) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
