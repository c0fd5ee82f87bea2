// @ts-check
// Runs README.md's first command in a copy of this repository without data and without a build, and with an empty environment. Only the
// `npm ci` is left out, because CI has run it. Then runs the printed `curl` line, and ends the server with SIGTERM.

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

/** Returns the first shell block of README.md without its `npm ci`. */
function firstCommand() {
  const [, block = ''] = /^```sh\n(.*)\n```$/m.exec(readFileSync(join(ROOT, 'README.md'), 'utf8')) ?? [];
  if (!block.startsWith(INSTALL)) throw new Error(`README.md's first command is "${block}". It must begin with "${INSTALL}".`);
  return block.slice(INSTALL.length);
}

/** @param {string} folder */
async function copyRepository(folder) {
  // The clone may belong to another user than this process, which git refuses otherwise.
  const listed = await runProgram('git', '-c', 'safe.directory=*', 'ls-files', '-z', '--cached', '--others', '--exclude-standard');
  const files = listed.split('\0').filter((file) => file !== '' && statSync(join(ROOT, file), { throwIfNoEntry: false })?.isFile());
  for (const file of files) cpSync(join(ROOT, file), join(folder, file));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
}

/** Returns whether the default port of the server is free. */
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
    const output = await outputUntilCurlLine(child);
    const line = /^curl .*$/m.exec(output)?.[0] ?? '';
    const answer = await runProgram('bash', '-c', `${line} -w '\\n%{http_code}'`);
    console.log(answer);
    const [body = '', status] = answer.split('\n');
    const { ok, billing } = JSON.parse(body);
    if (status !== '200' || ok !== true || billing.chargedMicroCredits !== 1000)
      throw new Error('The printed line did not get a 200 with ok and a bill.');

    child.kill('SIGTERM');
    const [code, signal] = await exited;
    if (code !== 0) throw new Error(`On SIGTERM it ended with ${code ?? signal} instead of 0.`);
    const url = /listening on (\S+)/.exec(output)?.[1] ?? '';
    if (await fetch(`${url}/healthz`).catch(() => undefined)) throw new Error(`"${command}" has ended, but its server still answers.`);
  } finally {
    killGroup(child);
  }
}

/**
 * Waits for the `curl` line. Returns all output up to it.
 * @param {import('node:child_process').ChildProcessByStdio<null, import('node:stream').Readable, null>} child
 */
async function outputUntilCurlLine(child) {
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
    process.stdout.write(text);
    output += text;
  });
  for (const deadline = Date.now() + START_TIMEOUT_MS; !/^curl .*\n/m.test(output); await wait(50)) {
    if (child.exitCode !== null) throw new Error(`It ended with ${child.exitCode} before it printed a curl line.`);
    if (Date.now() > deadline) throw new Error(`It printed no curl line within ${START_TIMEOUT_MS} ms.`);
  }
  return output;
}

/** @param {import('node:child_process').ChildProcess} child */
function killGroup({ pid }) {
  try {
    if (pid) process.kill(-pid, 'SIGKILL');
  } catch {
    // every process of the group has ended
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
