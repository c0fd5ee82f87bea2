import { mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { startMariadb } from '../test/support/mariadb-server.js';
import { measureAlone, measureFull, measureIsolation, startSlowUpstream } from './beside';
import { judge } from './claims';
import { describeMachine } from './machine';
import { measure, probe, type Measurement } from './measure';
import { readOptions, type Options } from './options';
import { endAll } from './processes';
import { profileTarget } from './profile';
import { asMarkdown, asText, type Report } from './report';
import { SCENARIOS, isCallScenario, type Scenario, type ScenarioName } from './scenarios';
import { judgeStreams } from './streams/claims';
import type { StreamFigures } from './streams/figures';
import { measureStreams } from './streams/measure';
import { Results } from './summary';
import { TARGETS, startTarget, startUpstream, type RunningTarget, type Stage, type TargetName } from './targets';
import { measureVerify } from './verify';
import { runWrk, wrkVersion, writePlan, type PlannedCall } from './wrk';

// `npm run bench`: starts the servers to compare, measures them in turns, audits the books and prints the results.

const PROJECTS = 1_000;
const QUICK_PROJECTS = 100;
/** Enough memory for all data that the bench writes, as on a production server. MariaDB's defaults are for a small machine. */
const MARIADB_SETTINGS = ['innodb_buffer_pool_size = 536870912', 'innodb_log_file_size = 536870912'];
const PROFILE_CONNECTIONS = 128;
const WARM_UP_CONNECTIONS = 64;
/** V8's compiler needs this long on two slow cores under load. */
const WARM_UP_SECONDS = 12;

interface Step {
  scenario: ScenarioName;
  connections: number;
  targets: TargetName[];
}

async function main(): Promise<void> {
  const options = readOptions(process.argv);
  wrkVersion(); // fails with an instruction to install wrk before anything is started
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
  const clean = () => {
    endAll();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  process.once('exit', clean);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));
  process.exit(
    await onStage(options, folder, (stage) => (options.profile ? profile(options, options.profile, stage) : bench(options, stage))),
  );
}

/** Runs `work` with a slow upstream, and with a MariaDB server if a target needs one. */
async function onStage(options: Options, folder: string, work: (stage: Stage) => Promise<number>): Promise<number> {
  const slow = await startSlowUpstream();
  const upstream = await startUpstream(folder);
  const targets = options.profile ? [options.profile] : options.targets;
  const mariadb = targets.some((name) => TARGETS[name].onMariadb) ? await startDatabase() : undefined;
  try {
    const projectCount = options.profile || !options.scenarios.includes('projects') ? 1 : options.quick ? QUICK_PROJECTS : PROJECTS;
    return await work({ folder, mariadb, projectCount, slowUpstreamUrl: slow.url, upstream, nodeFlags: [] });
  } finally {
    close(slow.server);
    await upstream.server.stop();
    mariadb?.control.destroy();
    await mariadb?.server.stop();
  }
}

async function startDatabase(): Promise<NonNullable<Stage['mariadb']>> {
  const server = await startMariadb();
  const control = await createConnection({ uri: server.url() });
  for (const setting of MARIADB_SETTINGS) {
    // Only warns on failure: MySQL uses another name for a setting.
    await control.query(`SET GLOBAL ${setting}`).catch((error: Error) => console.error(`${setting}: ${error.message}`));
  }
  return { server, control };
}

function close(server: Server): void {
  server.close();
  server.closeAllConnections();
}

async function bench(options: Options, stage: Stage): Promise<number> {
  const started = performance.now();
  const machine = await describeMachine(stage.folder, stage.mariadb?.control);
  const steps = stepsOf(options);
  const names = options.targets.filter((name) => steps.some((step) => step.targets.includes(name)));
  const targets: RunningTarget[] = [];
  for (const name of names) {
    progress(`starting ${name}`);
    const target = await startTarget(name, stage);
    targets.push(target);
    await warmUp(target, stage, steps, options.quick ? 1 : WARM_UP_SECONDS);
  }
  const measurements: Measurement[] = [];
  const streams: StreamFigures[] = [];
  let faults: string[];
  try {
    for (let round = 1; round <= options.rounds; round += 1) {
      for (const step of steps) {
        for (const target of targets) {
          if (!step.targets.includes(target.name)) continue;
          progress(`round ${round} of ${options.rounds}: ${step.scenario}, ${step.connections} connections, ${target.name}`);
          if (step.scenario === 'streams') streams.push(await measureStreams(target, stage, round, options));
          else measurements.push(...(await runStep({ ...step, scenario: step.scenario }, target, stage, round, options)));
        }
      }
    }
  } finally {
    progress('stopping the servers and auditing the books');
    for (const target of targets) await target.server.stop();
    faults = (await Promise.all(targets.map((target) => target.audit()))).flatMap((fault) => (fault === undefined ? [] : [fault]));
    progress('');
  }
  const results = new Results(measurements);
  const books = targets.filter(({ name }) => name === 'mariadb' || name === 'sqlite').length;
  const audited = { sentence: 'The books agree after the run', measured: `${books} audited`, ok: faults.length === 0 };
  const claims = [...judge(results), ...judgeStreams(streams), ...(books > 0 ? [audited] : [])];
  const report: Report = { machine, command: commandLine(), results, streams, claims };
  console.log(`${asText(report)}\n${faults.map((fault) => `\n${fault}`).join('')}`);
  keep(options, report);
  console.log(`It took ${Math.round((performance.now() - started) / 1000)} s.`);
  return faults.length > 0 || (options.strict && claims.some(({ ok }) => !ok)) ? 1 : 0;
}

/** Lets V8 compile the hot code first: a server that has just started is slower. */
async function warmUp({ name, server, furniture }: RunningTarget, { folder }: Stage, steps: Step[], seconds: number): Promise<void> {
  const load = (plan: PlannedCall[]) => runWrk(server.url, writePlan(folder, 'load', plan), WARM_UP_CONNECTIONS, seconds);
  const targets: readonly TargetName[] = SCENARIOS.hot.targets;
  if (targets.includes(name)) await load(SCENARIOS.hot.plan(furniture));
  const isRouted = steps.some((step) => step.scenario === 'route' && step.targets.includes(name));
  if (isRouted) await load(SCENARIOS.route.plan(furniture));
}

function stepsOf(options: Options): Step[] {
  return options.scenarios.flatMap((scenario) => {
    const { connections, targets }: Scenario = SCENARIOS[scenario];
    const wanted = connections.filter((count) => options.connections?.includes(count) ?? true);
    return wanted.map((count) => ({ scenario, connections: count, targets: targets.filter((name) => options.targets.includes(name)) }));
  });
}

async function runStep(
  { scenario, connections }: Step & { scenario: Exclude<ScenarioName, 'streams'> },
  target: RunningTarget,
  stage: Stage,
  round: number,
  timing: Options,
): Promise<Measurement[]> {
  const cell = { scenario, connections, round };
  switch (scenario) {
    case 'alone':
      return measureAlone(target, stage, cell, timing);
    case 'isolation':
      return measureIsolation(target, stage, cell, timing);
    case 'full':
      return measureFull(target, stage, cell, timing);
    case 'verify':
      return measureVerify(target, stage, cell, timing);
    default: {
      const { plan, ...rest } = SCENARIOS[scenario];
      const calls = plan(target.furniture);
      await probe(target.server, { ...rest, plan }, calls);
      return [await measure(target, stage, calls, cell, timing)];
    }
  }
}

function keep(options: Options, report: Report): void {
  if (options.json !== undefined) {
    const { machine, command, results, streams, claims } = report;
    mkdirSync(dirname(options.json), { recursive: true });
    writeFileSync(options.json, `${JSON.stringify({ machine, command, claims, measurements: results.measurements, streams }, null, 2)}\n`);
    console.log(`Written: ${options.json}`);
  }
  if (options.whole) {
    const path = join(__dirname, 'RESULTS.md');
    writeFileSync(path, asMarkdown(report));
    console.log('Written: bench/RESULTS.md');
  }
}

async function profile(options: Options, name: TargetName, stage: Stage): Promise<number> {
  const scenario = options.scenarios.find(isCallScenario) ?? 'hot';
  console.log(await profileTarget(name, scenario, stage, options.connections?.[0] ?? PROFILE_CONNECTIONS, options));
  return 0;
}

function commandLine(): string {
  const given = process.argv.slice(2);
  return given.length === 0 ? 'npm run bench' : `npm run bench -- ${given.join(' ')}`;
}

/** Shows the progress: overwrites one line on a terminal, otherwise prints a new line. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else if (text !== '') console.error(text);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
