// What the examples share: starts a Tollgate and an API, and sets up Tollgate by its public GraphQL API. Everything is in a temporary
// folder. Ctrl-C ends all processes and removes the folder.

import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SERVER = join(ROOT, 'dist', 'src', 'main.js');

const folder = mkdtempSync(join(tmpdir(), 'tollgate-example-'));
const programs = [];
let isStopping = false;

process.on('exit', () => {
  for (const program of programs) program.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void stop(0));

async function stop(code) {
  if (isStopping) process.exit(1); // somebody asks a second time
  isStopping = true;
  const running = programs.filter((program) => program.exitCode === null && program.signalCode === null);
  const ends = running.map((program) => once(program, 'exit'));
  for (const program of running) program.kill('SIGTERM');
  await Promise.all(ends);
  process.exit(code);
}

/** Starts a program of Node on a free port. Returns the URL that it prints. If the program ends by itself, the example ends too. */
export async function startProgram(file, env = {}) {
  const program = spawn(process.execPath, [file], {
    cwd: folder,
    env: { PATH: process.env.PATH, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  programs.push(program);
  program.on('exit', (code, signal) => {
    if (isStopping) return;
    console.error(`${file} ended with ${code ?? signal}.`);
    void stop(1);
  });
  let said = '';
  for await (const text of program.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    said += text;
    const [, url] = /listening on (http:\S+)\n/.exec(said) ?? [];
    if (url) {
      program.stdout.resume();
      return url;
    }
  }
  return new Promise(() => undefined); // it has ended, and the example ends
}

/** Starts a Tollgate with an empty SQLite database and a workspace with 1,000 credits. Builds Tollgate first if it was never built. */
export async function startTollgate() {
  if (!existsSync(SERVER)) {
    console.log('Building Tollgate. This is needed once.');
    const { status } = spawnSync('npm', ['run', 'build', '--silent'], { cwd: ROOT, stdio: 'inherit' });
    if (status !== 0) process.exit(1);
  }
  const rootKey = `root_${randomBytes(24).toString('hex')}`;
  const url = await startProgram(SERVER, { DATABASE_URL: 'sqlite:tollgate.db', ROOT_KEY: rootKey, LOG_LEVEL: 'warn' });
  const tollgate = new Tollgate(url, rootKey);
  await tollgate.createWorkspace();
  return tollgate;
}

/** Amounts are whole micro-credits. */
export const CREDIT = 1_000_000;

class Tollgate {
  #workspaceId = '';

  constructor(url, rootKey) {
    this.url = url;
    this.rootKey = rootKey;
  }

  async createWorkspace() {
    const { workspace } = await this.#mutate('createWorkspace', { name: 'Acme', slug: 'acme' }, 'workspace { id }');
    this.#workspaceId = workspace.id;
    await this.#mutate('topUpWallet', { workspaceId: workspace.id, amount: 1_000 * CREDIT, reference: 'payment-1' }, 'entry { id }');
  }

  /** Creates an action, which has the price, and its route, which says where requests go. */
  async createRoute({ action, route }) {
    const created = await this.#mutate('createAction', action, 'action { id }');
    await this.#mutate('createRoute', { actionId: created.action.id, ...route }, 'route { id }');
  }

  /** Creates a project with a budget, and a key that may use all actions of the service. Returns the project's id and the key. */
  async createProject({ name, service, budget, rateLimit = { sustainedRps: 100, burst: 200 } }) {
    const slug = name.toLowerCase();
    const { project } = await this.#mutate('createProject', { workspaceId: this.#workspaceId, name, slug, rateLimit }, 'project { id }');
    if (budget > 0) await this.#mutate('allocateBudget', { projectId: project.id, amount: budget, reference: slug }, 'project { id }');
    const { secret } = await this.#mutate('mintKey', { projectId: project.id, name, permissions: [`${service}.*`] }, 'secret');
    return { projectId: project.id, apiKey: secret };
  }

  /** A shell command that shows the budget and the newest calls of a project. */
  billsLine(projectId) {
    const calls = 'nodes { action outcome httpStatus chargedMicroCredits usage { unit quantity } }';
    const query = `{ project(id: "${projectId}") { budget { available } requestLogs(first: 10) { ${calls} } } }`;
    const headers = `-H 'X-Api-Key: ${this.rootKey}' -H 'Content-Type: application/json'`;
    return `curl -sS ${this.url}/graphql ${headers} -d '${JSON.stringify({ query })}'`;
  }

  async #mutate(name, input, selection) {
    const inputType = `${name[0].toUpperCase()}${name.slice(1)}Input`;
    const query = `mutation ($input: ${inputType}!) { ${name}(input: $input) { ${selection} } }`;
    const headers = { 'X-Api-Key': this.rootKey, 'Content-Type': 'application/json' };
    const answer = await fetch(`${this.url}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query, variables: { input } }) });
    const { data, errors } = await answer.json();
    if (errors) throw new Error(`${name} was refused: ${JSON.stringify(errors)}`);
    return data[name];
  }
}

/** Prints what a reader can run now: pairs of a sentence and a shell command. */
export function invite(...pairs) {
  for (const [sentence, command] of pairs) console.log(`${sentence}\n  ${command}\n`);
  console.log('Press Ctrl-C to end everything.');
}
