import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ATTACKS } from './all';
import { reportOf, tableOf, verdictOf, violationsOf } from './report';
import { runAttacks } from './run';

// `npm run attack -- [--database mysql|sqlite] [--only NAME] [--json] [--report]`: attacks on a real server.
// A probe in the server measures its event loop and memory. A neighbour, which is another tenant, measures the latency. Exits with 1 if a
// limit was broken.

const { values } = parseArgs({
  options: {
    database: { type: 'string', default: 'sqlite' },
    only: { type: 'string', multiple: true },
    json: { type: 'boolean', default: false },
    report: { type: 'boolean', default: false },
  },
});

const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function main(): Promise<void> {
  const { database, only, json, report } = values;
  if (database !== 'mysql' && database !== 'sqlite') throw new Error('--database must be mysql or sqlite.');
  const names = ATTACKS.map(({ name }) => name);
  const unknown = only?.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`--only ${unknown}: there is no such attack. There are ${names.join(', ')}.`);
  const attacks = ATTACKS.filter(({ name }) => only?.includes(name) ?? true);
  const measured = await runAttacks({ database, attacks, progress: say });
  const violations = violationsOf(measured);
  if (json)
    process.stdout.write(
      `${JSON.stringify(
        measured.map((one) => ({ ...one, violations: verdictOf(one) })),
        null,
        2,
      )}\n`,
    );
  else
    process.stdout.write(
      `${tableOf(measured)}\n\n${violations === '' ? 'Every attack was withstood.' : `Bounds were broken:\n\n${violations}`}\n`,
    );
  if (report) {
    const command = ['npm run attack -- --database', database, ...(only ?? []).map((name) => `--only ${name}`)].join(' ');
    writeFileSync(join(__dirname, 'LAST_RUN.md'), reportOf(command, measured, new Date()));
  }
  process.exitCode = violations === '' ? 0 : 1;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130)); // what runs ends with `exit`
main().catch((error: unknown) => {
  say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exit(1);
});
