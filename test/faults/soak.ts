import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { AdminClient } from './admin-client';
import type { CallRecord } from './evidence';
import { Callers } from './load';
import { percentile } from './report';
import { RUN_PEPPER, RUN_ROOT_KEY } from './run';
import { Random } from './random';
import { freePort } from '../support/free-port';
import { ServerNode, copyProgram, runAudit } from './server';
import { startSite } from './sites';
import { startUpstream } from './upstream';
import { World } from './world';

// The soak: `npm run soak -- [--seconds N] [--seed S]` runs a steady load and checks that the server's memory does not grow.

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '300' }, seed: { type: 'string', default: '1' } } });

const CONNECTIONS = [128, 256, 512] as const;
/** Share of the load that does not count. The heap first has to reach its usual size at the highest number of connections. */
const WARM_UP_SHARE = 0.3;
const SAMPLE_EVERY_MS = 1_000;
/**
 * Maximum growth of memory from the first third of the counted time to the last. The minimum of each third is compared, because memory
 * rises and falls between two garbage collections. V8 keeps garbage while it has room, so a leak must exceed that to be seen: 32 MiB are
 * about 60 bytes per call at 2,000 calls a second for five minutes.
 */
const MOST_GROWTH_MIB = 32;
const HEAP_LIMIT_MIB = 192;
/** Factor for the actions' timeouts: the upstream shares a process with 512 callers and may be slow, which is no fault of the server. */
const PATIENCE = 30;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

interface Sample {
  seconds: number;
  rssMiB: number;
  calls: number;
}

function rssMiBOf(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1024;
}

/** Returns the slope of memory in MiB per minute, by least squares. */
function slopeOf(samples: Sample[]): number {
  const meanX = samples.reduce((sum, { seconds }) => sum + seconds, 0) / samples.length;
  const meanY = samples.reduce((sum, { rssMiB }) => sum + rssMiB, 0) / samples.length;
  const above = samples.reduce((sum, { seconds, rssMiB }) => sum + (seconds - meanX) * (rssMiB - meanY), 0);
  const below = samples.reduce((sum, { seconds }) => sum + (seconds - meanX) ** 2, 0);
  return (60 * above) / below;
}

const leastOf = (samples: Sample[]): number => Math.min(...samples.map(({ rssMiB }) => rssMiB));

async function soak(folder: string, durationMs: number, seed: number) {
  const random = new Random(seed);
  const program = copyProgram(folder);
  mkdirSync(join(folder, 'data'));
  const site = await startSite('mysql', join(folder, 'data'), say);
  const upstream = await startUpstream(random.fork('upstream'));
  let stopped = false;
  const env = { DATABASE_URL: site.databaseUrl, ROOT_KEY: RUN_ROOT_KEY, KEY_PEPPER: RUN_PEPPER, LOG_LEVEL: 'error', DEMO: 'false' };
  const node = new ServerNode({
    program,
    port: await freePort(),
    env: { ...env, NODE_OPTIONS: `--max-old-space-size=${HEAP_LIMIT_MIB}` },
    logFile: join(folder, 'server.log'),
  });
  const admin = new AdminClient([node.url], RUN_ROOT_KEY, () => stopped);
  const callers = new Callers([node.url], CONNECTIONS[2]);
  try {
    await node.start();
    const world = new World(admin);
    await world.build(upstream, PATIENCE);
    const secrets = world.liveSecrets('steady');
    const begin = Date.now();
    const elapsed = () => Date.now() - begin;
    const connections = () => {
      const share = elapsed() / durationMs;
      return share < 0.1 || share > 0.8 ? 256 : share < WARM_UP_SHARE ? 512 : (CONNECTIONS[Math.floor(share * 10) % 3] ?? 128);
    };
    const errors = new Map<string, number>();
    let sent = 0;
    let ok = 0;
    const note = (call: CallRecord): void => {
      sent += 1;
      ok += Number(call.ok);
      // Every answer must be ok: `faults.quick` and `demo.echo` always succeed.
      if (!call.ok) errors.set(`${call.status} ${call.code ?? ''}`, (errors.get(`${call.status} ${call.code ?? ''}`) ?? 0) + 1);
    };
    const actions = world.actions.filter(({ name }) => name === 'demo.echo' || name === 'faults.quick');
    const client = async (number: number): Promise<void> => {
      const own = random.fork(`client ${number}`);
      while (elapsed() < durationMs) {
        if (number >= connections()) {
          await wait(200);
          continue;
        }
        const action = own.chance(0.9) ? actions[0] : actions[1];
        if (!action) throw new Error('There is no action.');
        note(await callers.call(0, { secret: own.pick(secrets), action, ...(own.chance(0.2) && { requestId: own.uuid() }) }));
        callers.calls.length = 0; // the soak does not need the records, and they would fill this process's memory
        upstream.executions.length = 0;
      }
    };
    const samples: Sample[] = [];
    const sampling = (async () => {
      for (let last = 0; elapsed() < durationMs; await wait(SAMPLE_EVERY_MS)) {
        if (node.pid === undefined) return;
        samples.push({ seconds: elapsed() / 1000, rssMiB: rssMiBOf(node.pid), calls: sent });
        if (elapsed() - last < 5_000) continue;
        last = elapsed();
        say(
          `${Math.round(last / 1000)} s: ${connections()} connections, ${sent} calls, ${ok} ok, ` +
            `${samples.at(-1)?.rssMiB.toFixed(0)} MiB; not ok: ${JSON.stringify([...errors])}`,
        );
      }
    })();
    await Promise.all([sampling, ...Array.from({ length: CONNECTIONS[2] }, (_, number) => client(number))]);
    const seconds = elapsed() / 1000;
    const idle = await settledRss(node);
    const exitCode = await node.signal('SIGTERM');
    const audit = await runAudit(program, env);
    return { samples, errors, sent, ok, seconds, idle, exitCode, audit, crashes: node.crashes };
  } finally {
    stopped = true;
    await node.close();
    await callers.close();
    await admin.close();
    await upstream.close();
    await site.close();
  }
}

/** Returns the resident memory five seconds after the last call, in MiB. */
async function settledRss(node: ServerNode): Promise<number> {
  await wait(5_000);
  return node.pid === undefined ? NaN : rssMiBOf(node.pid);
}

async function main(): Promise<void> {
  const seconds = Number(values.seconds);
  const seed = Number(values.seed);
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-soak-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  const result = await soak(folder, seconds * 1_000, seed);
  const counted = result.samples.filter((sample) => sample.seconds > seconds * WARM_UP_SHARE);
  const third = Math.floor(counted.length / 3);
  const growth = leastOf(counted.slice(-third)) - leastOf(counted.slice(0, third));
  const faults = [
    ...(growth > MOST_GROWTH_MIB ? [`The memory grew by ${growth.toFixed(1)} MiB, but only ${MOST_GROWTH_MIB} MiB are allowed.`] : []),
    ...(result.errors.size > 0 ? [`Not every call was ok: ${JSON.stringify([...result.errors])}`] : []),
    ...(result.audit.code === 0 ? [] : [`The audit disagrees: ${result.audit.output}`]),
    ...(result.exitCode === 0 ? [] : [`The server ended with ${result.exitCode}.`]),
    ...result.crashes,
  ];
  const rss = counted.map(({ rssMiB }) => rssMiB);
  const [minimum, median, maximum] = [Math.min(...rss), percentile(rss, 0.5), Math.max(...rss)].map((mib) => mib.toFixed(0));
  const text = `# The last soak

\`npm run soak -- --seconds ${seconds} --seed ${seed}\`, ${new Date().toISOString()}

One server with ${HEAP_LIMIT_MIB} MiB of old space, and ${CONNECTIONS.join(', ')} connections in turn.

${faults.length === 0 ? 'The memory did not grow, no call failed, and the audit agrees.' : `FAILED:\n\n${faults.join('\n')}`}

| figure | value |
|---|---|
| calls | ${result.sent} |
| calls per second | ${(result.sent / result.seconds).toFixed(0)} |
| not ok | ${result.sent - result.ok} |
| resident memory after the warm-up: minimum, median, maximum | ${minimum}, ${median}, ${maximum} MiB |
| slope after the warm-up | ${slopeOf(counted).toFixed(2)} MiB per minute |
| growth from the first third to the last (minimum of each; limit ${MOST_GROWTH_MIB}) | ${growth.toFixed(1)} MiB |
| five seconds after the load | ${result.idle.toFixed(0)} MiB |
| audit | ${result.audit.output.trim().replaceAll('\n', ' ')} |
`;
  writeFileSync(join(__dirname, 'LAST_SOAK.md'), text);
  say(`\n${text}`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}

// The exit handlers end the server and the database.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));
main().catch((error: unknown) => {
  say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exit(1);
});
