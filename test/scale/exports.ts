import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createConnection } from 'mysql2/promise';
import { openInstallation } from '../../src/access/installation';
import { createServices } from '../../src/services';
import { loadConfig } from '../../src/config';
import { Database } from '../../src/db/database';
import { migrations } from '../../src/db/migrations';
import { entities } from '../../src/entities';
import { buildKey, buildProject, buildWorkspace } from '../support/factories';
import { startMariadb } from '../support/mariadb-server';
import { callRow, insertBulk, usageRow } from '../support/bulk';

// `npm run scale:exports -- [--rows N] [--report]`: exports a million rows from a real server, and measures the server's memory and the
// gate's latency meanwhile.

const { values } = parseArgs({ options: { rows: { type: 'string', default: '1000000' }, report: { type: 'boolean', default: false } } });
const ROWS = Number(values.rows);
const ROOT_KEY = 'root-key-of-the-scale-runs-0123456789';
const PEPPER = 'pepper-of-the-scale-runs-0123456789abc';
const BEGIN_MS = Date.UTC(2026, 0, 1);
const CALLERS = 4;
/** Time for which the gate is measured without an export. */
const ALONE_MS = 10_000;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

interface Times {
  calls: number;
  seconds: number;
  latenciesMs: number[];
}

interface Outcome {
  title: string;
  lines?: number;
  mebibytes?: number;
  seconds: number;
  callsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  peakRssMiB: number;
}

/** Fills a database. Returns two keys of its workspace: a key for calls and a key for reads. */
async function furnish(environment: Record<string, string>) {
  const config = loadConfig(environment);
  const database = await Database.open(config.database, { entities, migrations });
  const { digest } = await openInstallation(config, database);
  const services = createServices(database, digest);
  await services.actions.ensureBuiltIns();
  const app = { services };
  const workspace = await buildWorkspace(app);
  const calling = await buildKey(app, { workspace, budget: 1e12 });
  const reading = await buildKey(app, { workspace, budget: 0, permissions: ['read.logs', 'read.keys', 'read.wallet'] });
  const spent = await buildProject(app, { workspace, budget: 0 });
  const of = { workspaceId: workspace.id, projectId: spent.id, keyId: reading.key.id };
  say(`  ${ROWS} calls`);
  await insertBulk(database, 'request_logs', ROWS, (index) => callRow(of, BEGIN_MS, index));
  say(`  ${ROWS} entries`);
  await insertBulk(database, 'ledger_entries', ROWS, (index) => usageRow(spent.id, 1e12, BEGIN_MS, index));
  await database.close();
  return { calling: calling.secret, reading: reading.secret, projectId: spent.id };
}

async function startServer(environment: Record<string, string>): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, ['--max-semi-space-size=64', 'dist/src/main.js'], {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  for await (const text of child.stdout) {
    output += String(text);
    const [, url] = /listening on (http:\/\/\S+)\n/.exec(output) ?? [];
    if (url) return { child, url };
  }
  throw new Error(`The server ended. Its output: ${output}`);
}

function rssMiBOf(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1024;
}

/** Runs a few callers until `done` settles. Each sends its next call as soon as the last one is answered. */
async function load(url: string, secret: string, done: Promise<unknown>): Promise<Times> {
  const end = new AbortController();
  void done.finally(() => end.abort());
  const started = performance.now();
  const latenciesMs: number[] = [];
  const caller = async () => {
    while (!end.signal.aborted) {
      const sent = performance.now();
      const answer = await fetch(`${url}/v1/demo/execute`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-api-key': secret },
        body: '{"action":"demo.echo","params":{}}',
      });
      await answer.text();
      if (answer.status !== 200) throw new Error(`A call was answered with ${answer.status}.`);
      latenciesMs.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return { calls: latenciesMs.length, seconds: (performance.now() - started) / 1000, latenciesMs };
}

/** Reads an export to its end. Keeps only the counts of lines and bytes. */
async function read(url: string, path: string, secret: string): Promise<{ lines: number; bytes: number }> {
  const outgoing = get(`${url}${path}`, { headers: { 'x-api-key': secret } });
  const [answer] = (await once(outgoing, 'response')) as [import('node:http').IncomingMessage];
  if (answer.statusCode !== 200) throw new Error(`${path} was answered with ${answer.statusCode}.`);
  let [lines, bytes] = [0, 0];
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    for (const byte of chunk) if (byte === 10) lines += 1;
  }
  return { lines, bytes };
}

async function measure(
  title: string,
  pid: number,
  times: (done: Promise<unknown>) => Promise<Times>,
  work: () => Promise<{ lines: number; bytes: number } | undefined>,
): Promise<Outcome> {
  let peakRssMiB = rssMiBOf(pid);
  const watch = setInterval(() => (peakRssMiB = Math.max(peakRssMiB, rssMiBOf(pid))), 100);
  const started = performance.now();
  const working = work();
  const ended = working.then(() => performance.now());
  const [found, { calls, seconds, latenciesMs }, endedAt] = await Promise.all([working, times(working), ended]);
  clearInterval(watch);
  const sorted = latenciesMs.sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
  const outcome = {
    title,
    ...(found && { lines: found.lines, mebibytes: found.bytes / 2 ** 20 }),
    seconds: (endedAt - started) / 1000,
    callsPerSecond: calls / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    peakRssMiB,
  };
  say(`  ${JSON.stringify(outcome)}`);
  return outcome;
}

async function run(databaseUrl: string): Promise<Outcome[]> {
  const environment = { DATABASE_URL: databaseUrl, ROOT_KEY, KEY_PEPPER: PEPPER, PORT: '0', LOG_LEVEL: 'error', DEMO: 'false' };
  const { calling, reading, projectId } = await furnish(environment);
  const { child, url } = await startServer(environment);
  const pid = child.pid as number;
  try {
    const meanwhile = (done: Promise<unknown>) => load(url, calling, done);
    const exported = (path: string) => () => read(url, `/v1/export/${path}`, reading);
    const lastQuarter = `request-logs?format=csv&from=${new Date(BEGIN_MS + ROWS * 7.5).toISOString()}`;
    const four = async () => {
      const all = await Promise.all(Array.from({ length: 4 }, exported(lastQuarter)));
      return all.reduce((sum, { lines, bytes }) => ({ lines: sum.lines + lines, bytes: sum.bytes + bytes }));
    };
    await load(url, calling, wait(3_000)); // warms up
    const outcomes: Outcome[] = [];
    const alone = async () => outcomes.push(await measure('no export', pid, meanwhile, async () => void (await wait(ALONE_MS))));
    await alone();
    for (const path of [
      'request-logs?format=ndjson',
      'request-logs?format=csv',
      'request-logs?format=csv&outcome=REFUSED',
      `ledger?format=csv&projectId=${projectId}`,
    ]) {
      outcomes.push(await measure(path.replace(/=prj_.*/, '=...'), pid, meanwhile, exported(path)));
    }
    outcomes.push(await measure('four times request-logs?format=csv&from=... at once, each of the last quarter', pid, meanwhile, four));
    await alone();
    return outcomes;
  } finally {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
}

function table(outcomes: Outcome[]): string {
  const head = '| meanwhile | lines | MiB | seconds | calls/s | p50 ms | p99 ms | maximum ms | maximum RSS of the server, MiB |';
  const rows = outcomes.map(({ title, lines, mebibytes, seconds, callsPerSecond, p50Ms, p99Ms, maxMs, peakRssMiB }) => {
    const exported = [title, lines ?? '', mebibytes?.toFixed(0) ?? '', seconds.toFixed(1)];
    const gate = [callsPerSecond.toFixed(0), p50Ms.toFixed(1), p99Ms.toFixed(1), maxMs.toFixed(0)];
    return `| ${[...exported, ...gate, peakRssMiB.toFixed(0)].join(' | ')} |`;
  });
  return [head, head.replace(/[^|]+/g, '---'), ...rows].join('\n');
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-scale-'));
  const mariadb = await startMariadb();
  try {
    const server = await createConnection(mariadb.url());
    await server.query('CREATE DATABASE scale CHARACTER SET utf8mb4 COLLATE utf8mb4_bin');
    await server.end();
    const parts = [
      `The database has ${ROWS.toLocaleString('en')} calls and as many ledger entries. ${CALLERS} callers call again as soon as they are ` +
        `answered.\nServer, callers, readers and database share ${cpus().length} processors.`,
    ];
    for (const [name, url] of [
      ['SQLite', `sqlite:${join(folder, 'scale.db')}`],
      ['MariaDB', mariadb.url('scale')],
    ] as const) {
      say(name);
      parts.push(`## ${name}`, table(await run(url)));
    }
    const command = `\`npm run scale:exports\` on ${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}.`;
    const report = `# Exports at scale\n\n${command}\n${parts.join('\n\n')}\n`;
    process.stdout.write(report);
    if (values.report) writeFileSync('test/scale/EXPORTS.md', report);
  } finally {
    await mariadb.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

void main();
