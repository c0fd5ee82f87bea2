import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createConnection } from 'mysql2/promise';
import { commitPairsOnMariadb, commitPairsOnSqlite, type CommitTimes } from './commits';
import { SLOW_ACTION } from './furniture';
import { measure, type Cell, type Meanwhile, type Measurement, type Timing } from './measure';
import type { ServerProcess } from './processes';
import { SCENARIOS } from './scenarios';
import { requireMariadb, startAnotherGate, type RunningTarget, type Stage } from './targets';
import { runWrk, writePlan, type PlannedCall } from './wrk';

// The scenarios in which something else happens during the load.

const UPSTREAM_MS = 2_000;
const SLOW_CALLERS = 100;
const LOCKED_CALLERS = 16;
/** Small enough that nearly every call of the load finds the gate full. */
const CALLS_IN_FLIGHT_WHEN_FULL = 16;

/** Starts an upstream that answers "ok" after two seconds. */
export async function startSlowUpstream(): Promise<{ url: string; server: Server }> {
  const server = createServer((request, response) => {
    request.resume();
    setTimeout(() => response.setHeader('content-type', 'application/json').end('{"ok":true,"data":{}}'), UPSTREAM_MS);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, server };
}

/** Measures one caller alone, then two commits in a row on the same database. */
export async function measureAlone(target: RunningTarget, stage: Stage, cell: Cell, timing: Timing): Promise<Measurement[]> {
  const call = await measure(target, stage, hotCalls(target), { ...cell, part: 'a call' }, timing);
  const seconds = Math.ceil(timing.seconds / 2);
  const times = target.name === 'mariadb' ? await commitPairsOnMariadb(stage, seconds) : commitPairsOnSqlite(stage, seconds);
  return [call, asMeasurement(times, seconds, call)];
}

function asMeasurement({ pairs, p50Us, p99Us }: CommitTimes, seconds: number, beside: Measurement): Measurement {
  const cpuUs = { server: 0, database: 0, generator: 0 };
  return { ...beside, part: 'two commits', callsPerSecond: pairs / seconds, calls: pairs, p50Us, p99Us, errors: 0, refused: 0, cpuUs };
}

/** Measures the hot project alone, beside a project with a slow upstream, and beside a project with a permanently locked budget. */
export async function measureIsolation(target: RunningTarget, stage: Stage, cell: Cell, timing: Timing): Promise<Measurement[]> {
  const seconds = timing.warmUpSeconds + timing.seconds + 1;
  const { slow, locked } = target.furniture;
  const neighbours = (name: string, connections: number, call: PlannedCall) => {
    const plan = writePlan(stage.folder, name, [call]);
    return runWrk(target.server.url, plan, connections, seconds);
  };
  const besideSlow: Meanwhile = async () => {
    const body = JSON.stringify({ action: SLOW_ACTION.name, params: {} });
    const load = neighbours('slow', SLOW_CALLERS, { path: `/v1/${SLOW_ACTION.service}/execute`, secret: slow, body });
    return async () => void (await load);
  };
  const besideLocked: Meanwhile = async () => {
    const connection = await createConnection({ uri: requireMariadb(stage).server.url('bench_gate') });
    await connection.query('START TRANSACTION');
    await connection.query('SELECT balance FROM budgets WHERE project_id = ? FOR UPDATE', [locked.projectId]);
    const [call] = hotCalls(target);
    const load = neighbours('locked', LOCKED_CALLERS, { ...(call as PlannedCall), secret: locked.secret });
    return async () => {
      await load;
      await connection.query('ROLLBACK');
      await connection.end();
    };
  };
  const run = (part: string, meanwhile?: Meanwhile) => measure(target, stage, hotCalls(target), { ...cell, part }, timing, meanwhile);
  const measured = [await run('alone'), await run('beside a slow upstream', besideSlow)];
  // SQLite can lock only the whole database, not one budget.
  return target.name === 'mariadb' ? [...measured, await run('beside a locked budget', besideLocked)] : measured;
}

/** Measures the latency of the 503 answers of a gate that has reached its limit of calls in flight. */
export async function measureFull(target: RunningTarget, stage: Stage, cell: Cell, timing: Timing): Promise<Measurement[]> {
  const server: ServerProcess = await startAnotherGate(stage, { MAX_CALLS_IN_FLIGHT: String(CALLS_IN_FLIGHT_WHEN_FULL) });
  try {
    const measured = await measure({ ...target, server }, stage, hotCalls(target), { ...cell, part: '503s' }, timing);
    return [{ ...measured, errors: measured.errors - (measured.calls - measured.refused) }]; // admitted calls are no errors
  } finally {
    await server.stop();
  }
}

function hotCalls({ furniture }: RunningTarget): PlannedCall[] {
  return SCENARIOS.hot.plan(furniture);
}
