import 'reflect-metadata';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';
import { createTestApp, type TestApp } from '../support/app';
import { startMariadb } from '../support/mariadb-server.js';
import { statementsOf } from '../support/statements';
import { explain } from './explain';
import { fill, type Filled } from './fill';
import { CASES, type ListCase } from './lists';

// `npm run scale [-- ROWS [sqlite|mysql]]`: measures a page of a hundred rows of each list over HTTP, in a database with a million rows per
// list and in an almost empty one. Also tells which indexes the database reads.

/** The smallest number of rows that fills every page, even with a filter that matches a quarter. */
const SMALL_ROWS = 404;
const WARM_UPS = 5;
const ROUNDS = 31;
const AIM = 2;

interface Side {
  app: TestApp;
  filled: Filled;
  rows: number;
}

interface Line {
  name: string;
  smallMs: number;
  largeMs: number;
  ratio: number;
  indexes: string;
}

async function measure(list: ListCase, small: Side, large: Side): Promise<Line> {
  const query = list.query.replace('PAGE', list.args);
  const once = async (side: Side): Promise<number> => {
    const { app, filled, rows } = side;
    const started = performance.now();
    const { errors, data, headers } = await app.graphql(query, list.variables(filled, rows));
    if (errors?.[0]?.extensions.code === 'RATE_LIMITED') {
      await wait(1_000 * Number(headers.get('retry-after') ?? 1)); // the caller's points for queries refill every second
      return once(side);
    }
    if (errors) throw new Error(`${list.name}: ${JSON.stringify(errors)}`);
    const nodes = JSON.stringify(data).split('},{').length;
    if (!list.isSparse && nodes < 100) throw new Error(`${list.name}: the page has ${nodes} rows instead of 100`);
    return performance.now() - started;
  };
  for (let round = 0; round < WARM_UPS; round += 1) for (const side of [small, large]) await once(side);
  const times: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round += 1)
    for (const [index, side] of [small, large].entries()) times[index]?.push(await once(side));
  // Other work of the machine only makes a measurement longer, so the minimum is the best estimate.
  const [smallMs, largeMs] = [Math.min(...times[0]), Math.min(...times[1])];
  const statements = await statementsOf(large.app, () => once(large));
  const plans = await Promise.all(
    statements.filter(({ sql }) => /^SELECT .* FROM/s.test(sql)).map((statement) => explain(large.app, statement)),
  );
  const indexes = [
    ...new Set(
      plans.flatMap(({ accesses }) =>
        accesses.flatMap(({ index }) => (index === null || index === 'PRIMARY' || index.startsWith('sqlite_') ? [] : [index])),
      ),
    ),
  ];
  return { name: list.name, smallMs, largeMs, ratio: largeMs / smallMs, indexes: indexes.join(', ') };
}

async function compare(urlOf: (name: string) => Promise<string>, rows: number): Promise<{ lines: Line[]; fillSeconds: number }> {
  const started = performance.now();
  const side = async (name: string, count: number): Promise<Side> => {
    const app = await createTestApp({ databaseUrl: await urlOf(name) });
    return { app, filled: await fill(app, count), rows: count };
  };
  const [small, large] = [await side('small', SMALL_ROWS), await side('large', rows)];
  const fillSeconds = Math.round((performance.now() - started) / 1000);
  const lines: Line[] = [];
  for (const list of CASES) {
    lines.push(await measure(list, small, large));
    const { name, smallMs, largeMs, ratio } = lines.at(-1) as Line;
    process.stdout.write(`${name}: ${smallMs.toFixed(1)} ms, ${largeMs.toFixed(1)} ms, ${ratio.toFixed(2)}\n`);
  }
  await small.app.close();
  await large.app.close();
  return { lines, fillSeconds };
}

async function main(): Promise<void> {
  const rows = Number(process.argv[2] ?? 1_000_000);
  const only = process.argv[3];
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-scale-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  const sections: string[] = [];
  let missed = 0;
  const section = (title: string, { lines, fillSeconds }: { lines: Line[]; fillSeconds: number }) => {
    missed += lines.filter(({ ratio }) => ratio > AIM).length;
    const table = lines.map(
      ({ name, smallMs, largeMs, ratio, indexes }) =>
        `| ${name} | ${smallMs.toFixed(1)} | ${largeMs.toFixed(1)} | ${ratio.toFixed(2)}${ratio > AIM ? ' **missed**' : ''} | ${indexes} |`,
    );
    const head = ['| list | few rows, ms | many rows, ms | ratio | indexes read |', '|---|---:|---:|---:|---|'];
    sections.push([`## ${title}`, '', `Filled in ${fillSeconds} s.`, '', ...head, ...table].join('\n'));
  };
  if (only !== 'mysql') section('SQLite', await compare((name) => Promise.resolve(`sqlite:${join(folder, `${name}.db`)}`), rows));
  if (only !== 'sqlite') {
    const server = await startMariadb();
    try {
      const control = await createConnection({ uri: server.url() });
      await control.query('SET GLOBAL innodb_buffer_pool_size = 1073741824').catch(() => undefined);
      const [[{ version }]] = (await control.query('SELECT VERSION() AS version')) as unknown as [[{ version: string }]];
      const urlOf = async (name: string) => {
        await control.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`);
        return server.url(name);
      };
      section(version, await compare(urlOf, rows));
      await control.end();
    } finally {
      await server.stop();
    }
  }
  const cores = cpus().length;
  const verdict = missed === 0 ? 'All lists reach it.' : `${missed} lists miss it.`;
  const head = `# The last run of \`npm run scale\`

A page of 100 rows of each list, through the app over HTTP: in a database with ${SMALL_ROWS} rows per list, and in one with
${rows.toLocaleString('en')} rows per list. Each time is the shortest of ${ROUNDS}, measured in turns.
Server, database and client share ${cores} cores. The goal is a ratio of ${AIM} at most. ${verdict}`;
  const text = `${[head, ...sections].join('\n\n')}\n`;
  process.stdout.write(text);
  if (!only && rows >= 1_000_000) writeFileSync(join(__dirname, 'LAST_RUN.md'), text);
  process.exit(missed === 0 ? 0 : 1);
}

void main();
