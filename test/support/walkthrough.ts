import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { freePort } from './free-port';
import { Authenticator } from './authenticator';
import { cookieOf, graphqlClient, type Credential } from './clients';
import type { Step } from './markdown';
import { Visitor } from './oauth';
import { temporaryFolder } from './process';
import { until } from './until';

const ROOT = join(__dirname, '..', '..');
/** The file of a program whose first line names no other. */
const UPSTREAM_FILE = 'upstream.mjs';

/** Commands that a reader leaves running, in a terminal of their own. */
const LASTING = /^(npm start|node (upstream|api)\.mjs)$/;

/** The document's name for the user and for the database that it creates on a server. */
const NAME_IN_DOCUMENT = /\btollgate\b/g;

/** Kinds of ids and secrets that answers show. `key_...` in the document stands for the newest shown value of that kind. */
const KINDS = [
  '(?:ws|prj|key|svc|act|rol|usr|inv|invite|ses|log|root|app|con|rte)_',
  '[a-z][a-z0-9]*_(?:live|test|svc)_',
  'tollgate_(?:code|access|refresh|client|svctoken)_',
];
const SHOWN = new RegExp(`(?<!\\w)(${KINDS.join('|')})[0-9A-Za-z]{9,}(?!\\w)`, 'g');

/** A kind with `...` in the document. */
const SHORTENED = /(?<!\w)([a-z][a-z0-9]*_(?:live_|test_|svc_|code_|access_|refresh_|client_|svctoken_)?)\.\.\./g;

interface Server {
  url: URL;
  name: string;
}

/** A reader who does what a document says, step by step, in a folder that looks like a clone of this repository. */
export class Walkthrough {
  private readonly shown = new Map<string, string>();
  private readonly authenticator = new Authenticator();
  /** The session cookie of the person's browser. */
  private cookie: { cookie: string } | undefined;
  private env: Record<string, string>;
  private url = '';

  private constructor(
    private readonly folder: string,
    private readonly upstreamPort: number,
    private readonly apiPort: number,
    /** The server for MySQL's steps, with a unique name for the database and the user. */
    private readonly server: Server | undefined,
  ) {
    this.env = { PATH: process.env.PATH ?? '', HOME: folder, PORT: '0', LOG_LEVEL: 'error', npm_config_update_notifier: 'false' };
  }

  static async begin(): Promise<Walkthrough> {
    const folder = await temporaryFolder();
    for (const name of ['dist', 'node_modules']) symlinkSync(join(ROOT, name), join(folder, name));
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
    manifest.scripts.build = 'true'; // dist is built already, and shared with other tests
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
    const name = `readme_${randomBytes(6).toString('hex')}`;
    const server = TEST_DATABASE === 'mysql' ? { url: new URL(process.env.TEST_MYSQL_URL ?? ''), name } : undefined;
    return new Walkthrough(folder, await freePort(), await freePort(), server);
  }

  /** Does a step and compares its output with the output in the document. */
  async run({ block, variables, outputs }: Step): Promise<void> {
    const text = this.fill(block.text);
    switch (block.language) {
      case 'js':
        return writeFileSync(join(this.folder, /^\/\/ (\w+\.mjs)\n/.exec(text)?.[1] ?? UPSTREAM_FILE), text);
      case 'sql':
        return this.query(text);
      case 'graphql':
        return this.operate(text, variables ? (JSON.parse(this.fill(variables.text)) as Record<string, unknown>) : {});
      default:
        return this.type(
          text,
          outputs.map((output) => ({ language: output.language, text: this.relocate(output.text) })),
        );
    }
  }

  /** Fills this reader's secrets, ids and addresses into the document's text. */
  private fill(text: string): string {
    return this.authenticator.fill(this.relocate(text)).replace(SHORTENED, (whole, kind: string) => {
      const value = this.shown.get(kind);
      if (value === undefined) throw new Error(`${whole} stands for something that no answer has shown yet.`);
      return value;
    });
  }

  private relocate(text: string): string {
    const moved = text
      .replaceAll('http://127.0.0.1:4000', this.url || 'http://127.0.0.1:4000')
      .replace(/\b8080\b/g, String(this.upstreamPort))
      .replace(/\b8090\b/g, String(this.apiPort));
    if (!this.server || !/mysql|mariadb|\bSQL\b|CREATE DATABASE/.test(text)) return moved;
    const { url, name } = this.server;
    return moved
      .replace(/127\.0\.0\.1(?=:3306|\s)/g, url.hostname)
      .replace(/\b3306\b/g, url.port || '3306')
      .replace(NAME_IN_DOCUMENT, name);
  }

  private learn(answer: string): void {
    const first = new Map<string, string>();
    for (const [value, kind] of answer.matchAll(SHOWN)) if (!first.has(kind as string)) first.set(kind as string, value);
    for (const [kind, value] of first) this.shown.set(kind, value);
    this.authenticator.learn(answer);
  }

  private async query(sql: string): Promise<void> {
    const { url, name } = this.server as Server;
    const administrator = await createConnection({ uri: url.href, multipleStatements: true });
    (globalThis.atEndOfFile ??= []).push(async () => {
      const cleaner = await createConnection({ uri: url.href, multipleStatements: true });
      const statements = `SET SESSION lock_wait_timeout = 10; DROP DATABASE IF EXISTS ${name}; DROP USER IF EXISTS '${name}'@'%'`;
      await cleaner.query(statements).finally(() => cleaner.end());
    });
    await administrator.query(sql).finally(() => administrator.end());
  }

  private async operate(query: string, variables: Record<string, unknown>): Promise<void> {
    const rootKey = this.shown.get('root_') ?? '';
    const elsewhere = query.startsWith("# Ada's, in another browser");
    const credential: Credential = elsewhere ? null : /^# (Ada's|Wants)/.test(query) ? (this.cookie ?? null) : rootKey;
    const { status, data, errors, headers } = await graphqlClient(this.url, rootKey)(query, variables, credential);
    if (query.startsWith('# Wants SMTP_URL')) {
      expect(errors).toEqual([expect.objectContaining({ extensions: { code: expect.stringMatching(/^(CONFLICT|NOT_FOUND)$/) } })]);
      return; // this reader has no mail server
    }
    expect({ status, errors }).toEqual({ status: 200, errors: undefined });
    const begun = cookieOf({ headers });
    if (begun.cookie && !elsewhere) this.cookie = begun;
    for (const value of Object.values(data as object)) expect(value).not.toBeNull();
    this.learn(JSON.stringify(data));
  }

  private async type(text: string, outputs: { language: string; text: string }[]): Promise<void> {
    const lines = text.trimEnd().split('\n');
    const last = (lines.at(-1) as string).replace(/^npm ci && /, ''); // CI runs that, and this clone has its packages
    const lasting = LASTING.test(last);
    const output = this.shell((lasting ? lines.slice(0, -1) : lines).join('\n'));
    this.learn(output);
    await this.visit(output);
    if (!lasting) {
      for (const expected of outputs) compare(output, expected);
      return;
    }
    const said = await this.leaveRunning(last);
    this.learn(said);
    for (const expected of outputs) compare(said, { ...expected, text: this.relocate(expected.text) });
    this.paste(said);
  }

  /** Opens the authorization address that an application printed, as the person who has signed in, and allows the access. */
  private async visit(output: string): Promise<void> {
    const address = /^http\S+\/oauth\/authorize\?\S+$/m.exec(output)?.[0];
    if (address === undefined) return;
    const visitor = new Visitor(this.url, this.cookie);
    const asked = await visitor.go(address);
    const projectId = /<option value="(prj_\w+)">Kiosk</.exec(asked.body)?.[1] ?? '';
    this.learn((await visitor.go(asked.address, { decision: 'allow', projectId })).address);
  }

  /** Runs commands until they end and keeps the variables that they export. */
  private shell(commands: string): string {
    const exported = join(this.folder, '.exported');
    const script = `set -euo pipefail\n${commands}\nenv -0 > "$0"\n`;
    const options = { cwd: this.folder, env: this.env, encoding: 'utf8', timeout: 60_000 } as const;
    const { status, stdout, stderr } = spawnSync('bash', ['-c', script, exported], options);
    if (status !== 0) throw new Error(`It ended with ${status}.\n${stdout}\n${stderr}`);
    const pairs = readFileSync(exported, 'utf8').split('\0').filter((pair) => pair !== '');
    this.env = Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
    return stdout;
  }

  /** Starts a server and waits until it listens. Returns its output so far. The server is stopped at the end of the test file. */
  private async leaveRunning(command: string): Promise<string> {
    const child = spawn('bash', ['-c', command], { cwd: this.folder, env: this.env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    (globalThis.atEndOfFile ??= []).unshift(() => stopGroup(child));
    let said = '';
    let complaints = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));
    await until(() => {
      if (child.exitCode !== null) throw new Error(`It ended with ${child.exitCode}.\n${said}\n${complaints}`);
      return /listening on \S+\n/.test(said);
    }, `"${command}" to listen`);
    if (command === 'npm start') {
      await until(() => said.includes('curl '), 'the line to paste'); // printed in several writes
      this.url = /listening on (http:\S+)/.exec(said)?.[1] ?? '';
    }
    return said;
  }

  /** Runs the `curl` line that the first start prints. */
  private paste(said: string): void {
    const line = /^curl .*$/m.exec(said)?.[0];
    if (line === undefined) return;
    const billing = { chargedMicroCredits: 1000, budgetAvailableMicroCredits: 999_000 };
    expect(JSON.parse(this.shell(line))).toMatchObject({ ok: true, billing });
  }
}

/** Returns jest's `it`. If this machine lacks a program, warns and returns `it.skip`, or throws in CI. */
export function itWith(...programs: string[]): jest.It {
  const missing = programs.filter((name) => spawnSync('bash', ['-c', `command -v ${name}`]).status !== 0);
  if (missing.length === 0) return it;
  const problem = `These tests need ${missing.join(' and ')}, which this machine does not have.`;
  if (process.env.CI) throw new Error(problem);
  process.stderr.write(`\nSKIPPED, NOT TESTED: ${problem}\n`);
  return it.skip;
}

/** Makes a regular expression of a text of the document. `...` matches any text; everything else must be equal. */
function pattern(text: string): string {
  return text
    .split('...')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('[^"\\n]*');
}

function compare(output: string, expected: { language: string; text: string }): void {
  if (expected.language === 'text') {
    expect(output).toMatch(new RegExp(`^${pattern(expected.text.trimEnd())}$`, 'm'));
    return;
  }
  const answer = parseHttp(output.slice(output.lastIndexOf('HTTP/1.1 ')));
  const shown = parseHttp(expected.text);
  expect(answer.status).toBe(shown.status);
  for (const [name, value] of shown.headers) expect(answer.headers.get(name)).toMatch(new RegExp(`^${pattern(value)}$`));
  const told = JSON.parse(answer.body) as { extensions?: { cost?: object } };
  const document = JSON.parse(shown.body) as { extensions?: { cost?: object } };
  if (!document.extensions?.cost) delete told.extensions?.cost; // only one example of the document shows the cost
  if (!document.extensions) delete told.extensions;
  expect(told).toEqual(withPatterns(document));
}

function parseHttp(text: string): { status: string; headers: Map<string, string>; body: string } {
  const [head = '', ...rest] = text.replace(/\r\n/g, '\n').split('\n\n');
  const [status = '', ...lines] = head.trim().split('\n');
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [name, value] = [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()];
    headers.set(name, headers.has(name) ? `${headers.get(name)}, ${value}` : value); // like fetch, which joins repeated headers
  }
  return { status, headers, body: rest.join('\n\n') };
}

function withPatterns(value: unknown): unknown {
  if (typeof value === 'string') return value.includes('...') ? expect.stringMatching(new RegExp(`^${pattern(value)}$`)) : value;
  if (Array.isArray(value)) return value.map(withPatterns);
  if (typeof value !== 'object' || value === null) return value;
  // `left` varies: the budget of points refills with time
  const entries = Object.entries(value).map(([name, part]) => [name, name === 'left' ? expect.any(Number) : withPatterns(part)]);
  return Object.fromEntries(entries) as unknown;
}

async function stopGroup(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return;
  const alive = (): boolean => {
    try {
      return process.kill(-(child.pid as number), 0);
    } catch {
      return false;
    }
  };
  if (alive()) process.kill(-child.pid, 'SIGKILL');
  await until(() => !alive(), 'a process group to end');
}
