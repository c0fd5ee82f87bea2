import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Counts } from './chaos';
import { violationLines, summaryOf } from './report';
import { runFaults, type RunOptions } from './run';

// The long fault run: `npm run faults -- [--kills N] [--seed S] [--database mysql|sqlite]`.

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string' },
    database: { type: 'string', default: 'mysql' },
    clients: { type: 'string', default: '48' },
    gap: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});

const say = (line: string): void => void process.stderr.write(`${line}\n`);

function numberOf(name: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  throw new Error(`--${name} must be a whole number of at least ${least}.`);
}

/** Returns the number of each disturbance in proportion to the kills: 200 kills bring 20 database kills, 20 freezes and 120 commit cuts. */
function countsFor(database: 'mysql' | 'sqlite', kills: number): Counts {
  const share = (part: number) => Math.max(1, Math.round(kills * part));
  if (database === 'sqlite') return { 'server killed': kills, 'file locked': share(0.5), 'disk full': share(0.25) };
  return {
    'server killed': kills,
    'server stopped': 1,
    'database killed': share(0.1),
    'database frozen': share(0.1),
    'commit cut': share(0.6),
    'link delayed': share(0.1),
    'link frozen': share(0.05),
    'link cut': share(0.1),
  };
}

async function main(): Promise<void> {
  const { database } = values;
  if (database !== 'mysql' && database !== 'sqlite') throw new Error('--database must be mysql or sqlite.');
  const kills = numberOf('kills', values.kills, 1);
  const seed = numberOf('seed', values.seed ?? process.env.SEED ?? String(Date.now() % 1_000_000_000), 0);
  const options: RunOptions = {
    database,
    seed,
    counts: countsFor(database, kills),
    meanGapMs: numberOf('gap', values.gap ?? (database === 'mysql' ? '3000' : '2500'), 1),
    clients: numberOf('clients', values.clients, 1),
    thinkMs: 80,
    recoveryBoundMs: 30_000,
    progress: say,
    keepFolder: values.keep,
  };
  const load = `${values.gap ? ` --gap ${values.gap}` : ''} --clients ${options.clients}`;
  const command = `npm run faults -- --kills ${kills} --seed ${seed} --database ${database}${load}`;
  say(`seed ${seed}: ${command}`);
  const result = await runFaults(options);
  const summary = summaryOf(result);
  const found = violationLines(result);
  const verdict = found.length === 0 ? 'Every promise was kept.' : `PROMISES WERE BROKEN:\n\n${found.join('\n')}`;
  const text = `# The last fault run\n\n\`${command}\`, ${new Date().toISOString()}\n\n${verdict}\n\n${summary}\n`;
  writeFileSync(join(__dirname, database === 'mysql' ? 'LAST_RUN.md' : 'LAST_RUN_SQLITE.md'), text);
  say(`\n${text}`);
  if (result.complaints.length > 0) say(result.complaints.join('\n'));
  process.exitCode = found.length === 0 ? 0 : 1;
}

// The exit handlers end the servers and databases of the run.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));
main().catch((error: unknown) => {
  say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exit(1);
});
