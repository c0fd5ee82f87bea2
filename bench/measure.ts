import { setTimeout as wait } from 'node:timers/promises';
import type { RowDataPacket } from 'mysql2/promise';
import { childrensCpuSeconds, cpuSeconds, machinesCpuSeconds, untilAlone, untilQuiet, type ServerProcess } from './processes';
import { SCENARIOS, type Scenario, type ScenarioName } from './scenarios';
import { requireMariadb, type RunningTarget, type Stage, type TargetName } from './targets';
import { runWrk, writePlan, type Load, type PlannedCall } from './wrk';

/** The measurement of one cell in one round. */
export interface Measurement {
  scenario: ScenarioName;
  /** The part of the scenario, or the empty string if it has no parts. */
  part: string;
  target: TargetName;
  connections: number;
  round: number;
  callsPerSecond: number;
  p50Us: number;
  p99Us: number;
  calls: number;
  /** Unexpected answers, broken connections and calls without an answer. */
  errors: number;
  /** Answers with a status of 400 or more. */
  refused: number;
  /** Processor time per call, in microseconds. */
  cpuUs: { server: number; database: number; generator: number };
  /** Processor cores that unrelated processes of this machine used, on average. */
  strangersCores: number;
  /** Statements that the database received during the load, if the scenario counts them. */
  sqlStatements?: number;
}

export interface Cell {
  scenario: ScenarioName;
  part?: string;
  connections: number;
  round: number;
}

export interface Timing {
  seconds: number;
  warmUpSeconds: number;
  /** Seconds to wait before each cell until unrelated processes are quiet. If above 0, a disturbed cell is measured again. */
  patience: number;
}

const IDLE_TIMEOUT_MS = 10_000;
const MOST_REPETITIONS = 3;
/** Share of one core. If unrelated processes use more, a measurement counts as disturbed. */
const NOISE = 0.25;

/** Starts something that runs beside a load. Returns a function that ends it. */
export type Meanwhile = () => Promise<() => Promise<void>>;

/**
 * Measures a target under a plan: waits until nothing is in flight, warms up, then counts. With patience it also waits until unrelated
 * processes are quiet, and repeats a disturbed measurement up to MOST_REPETITIONS times. Returns the least disturbed try, not the fastest.
 */
export async function measure(
  target: RunningTarget,
  stage: Stage,
  calls: PlannedCall[],
  cell: Cell,
  timing: Timing,
  meanwhile?: Meanwhile,
): Promise<Measurement> {
  let quietest: Measurement | undefined;
  for (let tries = 0; tries <= (timing.patience > 0 ? MOST_REPETITIONS : 0); tries += 1) {
    await untilIdle(target, stage);
    await untilAlone(timing.patience, NOISE);
    const end = await meanwhile?.();
    const measured = await load(target, stage, calls, cell, timing).finally(() => end?.());
    if (quietest === undefined || measured.strangersCores < quietest.strangersCores) quietest = measured;
    if (meanwhile || quietest.strangersCores <= NOISE) break; // the neighbour itself counts as an unrelated process
  }
  return quietest as Measurement;
}

async function load(target: RunningTarget, stage: Stage, calls: PlannedCall[], cell: Cell, timing: Timing): Promise<Measurement> {
  const { server } = target;
  const plan = writePlan(stage.folder, 'load', calls);
  await runWrk(server.url, plan, cell.connections, timing.warmUpSeconds);
  const countsSql = cell.scenario === 'garbage' && target.name === 'mariadb';
  const statementsBefore = countsSql ? await statements(stage) : 0;
  const before = cpu(target, stage);
  const counted = await runWrk(server.url, plan, cell.connections, timing.seconds);
  const after = cpu(target, stage);
  const measured = { ...summary(target.name, cell, counted, SCENARIOS[cell.scenario]), ...costs(before, after, counted) };
  // The query that counts the statements is one of them.
  return countsSql ? { ...measured, sqlStatements: (await statements(stage)) - statementsBefore - 1 } : measured;
}

/** Makes one call of each kind. Throws if an answer has another status than the scenario expects. */
export async function probe({ url }: ServerProcess, scenario: Scenario, calls: PlannedCall[]): Promise<void> {
  for (const { path, secret, body } of calls.slice(0, 2)) {
    const headers = { 'content-type': 'application/json', 'x-api-key': secret };
    const once = async () => (await fetch(url + path, { method: 'POST', headers, body })).status;
    const wanted = path.includes('?') ? (scenario.status ?? 200) : 200;
    await once(); // the first call uses up the rate limit
    const status = await once();
    if (status !== wanted) throw new Error(`${scenario.title}: a call was answered ${status} instead of ${wanted}.`);
  }
}

async function untilIdle(target: RunningTarget, { mariadb }: Stage): Promise<void> {
  await untilQuiet([target.server.pid, ...(mariadb ? [mariadb.server.pid] : [])]);
  for (const deadline = Date.now() + IDLE_TIMEOUT_MS; (await target.callsInFlight()) > 0; await wait(50)) {
    if (Date.now() > deadline) throw new Error(`${target.name} still has calls in flight.`);
  }
}

/** Returns the number of statements that MariaDB has received since its start. */
async function statements(stage: Stage): Promise<number> {
  const [rows] = await requireMariadb(stage).control.query<RowDataPacket[]>("SHOW GLOBAL STATUS LIKE 'Questions'");
  return Number((rows[0] as { Value: string }).Value);
}

interface Cpu {
  server: number;
  database: number;
  generator: number;
  upstream: number;
  machine: number;
  self: number;
  at: number;
}

function cpu({ server, databasePid }: RunningTarget, { upstream }: Stage): Cpu {
  return {
    server: cpuSeconds(server.pid),
    database: databasePid === undefined ? 0 : cpuSeconds(databasePid),
    generator: childrensCpuSeconds(),
    upstream: cpuSeconds(upstream.server.pid),
    machine: machinesCpuSeconds(),
    self: cpuSeconds(process.pid),
    at: performance.now() / 1000,
  };
}

function costs(before: Cpu, after: Cpu, { requests }: Load): Pick<Measurement, 'cpuUs' | 'strangersCores'> {
  const used = (part: keyof Cpu) => after[part] - before[part];
  const aCall = (part: keyof Cpu) => (used(part) * 1e6) / Math.max(1, requests);
  const ours = used('server') + used('database') + used('generator') + used('upstream') + used('self');
  return {
    cpuUs: { server: aCall('server'), database: aCall('database'), generator: aCall('generator') },
    strangersCores: Math.max(0, (used('machine') - ours) / used('at')),
  };
}

function summary(
  target: TargetName,
  { scenario, part = '', connections, round }: Cell,
  load: Load,
  { refused: wanted }: Scenario,
): Omit<Measurement, 'cpuUs' | 'strangersCores'> {
  const { requests, durationUs, p50Us, p99Us, refused } = load;
  const inTurns = wanted > 0 && wanted < 1 ? connections : 0; // each connection may stop after any of the alternating calls
  const otherThanWanted = Math.max(0, Math.abs(refused - Math.round(wanted * requests)) - inTurns);
  const errors = load.connect + load.read + load.write + load.timeout + otherThanWanted;
  const callsPerSecond = requests / (durationUs / 1e6);
  return { scenario, part, target, connections, round, callsPerSecond, p50Us, p99Us, calls: requests, errors, refused };
}
