import { measure, type Cell, type Measurement, type Timing } from './measure';
import { untilQuiet } from './processes';
import { SCENARIOS } from './scenarios';
import type { RunningTarget, Stage } from './targets';
import { runWrk, writePlan, type PlannedCall } from './wrk';

// The scenario `verify`: another server asks about one key, alone and in batches. Both are compared with execute of the same key. Its
// action is built in, so that an upstream does not make execute slower.

export const EXECUTE = 'execute';
export const VERIFY = 'verify';
/** The largest batch that is allowed. */
export const BATCH = 100;
export const VERIFY_BATCHES = `verify, ${BATCH} at once`;
/** 16 batches of 100 are 1,600 questions at once. Much more would reach the limit of calls in flight. */
const BATCH_CONNECTIONS = 16;
const PRICE_MICRO_CREDITS = 1_000;
const CHECK_SECONDS = 1;

/** Measures execute, then verifications one by one, then in batches. A verified key counts as a call, also within a batch. */
export async function measureVerify(target: RunningTarget, stage: Stage, cell: Cell, timing: Timing): Promise<Measurement[]> {
  const { hot, asker } = target.furniture;
  const question = { key: hot, service: 'demo', action: 'demo.echo', mode: 'charge' };
  const batch = { verifications: Array.from({ length: BATCH }, () => question) };
  const ask = (body: object): PlannedCall => ({ path: '/v1/keys/verify', secret: asker, body: JSON.stringify(body) });
  const verify = async (call: PlannedCall, part: string, connections: number, keys: number): Promise<Measurement> => {
    const measured = byKey(await measure(target, stage, [call], { ...cell, part, connections }, timing), keys);
    return { ...measured, errors: measured.errors + (await unbilled(target, stage, call, connections, keys)) };
  };
  return [
    await measure(target, stage, SCENARIOS.hot.plan(target.furniture), { ...cell, part: EXECUTE }, timing),
    await verify(ask(question), VERIFY, cell.connections, 1),
    await verify(ask(batch), VERIFY_BATCHES, BATCH_CONNECTIONS, BATCH),
  ];
}

function byKey(measured: Measurement, keys: number): Measurement {
  const { callsPerSecond, calls, cpuUs } = measured;
  return {
    ...measured,
    callsPerSecond: callsPerSecond * keys,
    calls: calls * keys,
    cpuUs: { server: cpuUs.server / keys, database: cpuUs.database / keys, generator: cpuUs.generator / keys },
  };
}

/**
 * Repeats a load for a second and returns how many of the answered questions were not billed. The status of a batch does not tell whether
 * its questions were refused, but the budget does.
 */
async function unbilled(target: RunningTarget, stage: Stage, call: PlannedCall, connections: number, keys: number): Promise<number> {
  const { server, furniture } = target;
  await untilQuiet([server.pid]);
  const before = await available(server.url, furniture.hot);
  const { requests } = await runWrk(server.url, writePlan(stage.folder, 'load', [call]), connections, CHECK_SECONDS);
  const billed = (before - (await available(server.url, furniture.hot))) / PRICE_MICRO_CREDITS;
  return Math.max(0, requests * keys - billed); // calls that wrk broke off at its end are billed, too
}

async function available(url: string, secret: string): Promise<number> {
  const answer = await fetch(`${url}/v1/self`, { headers: { 'x-api-key': secret } });
  const { budget } = (await answer.json()) as { budget: { availableMicroCredits: number } };
  return budget.availableMicroCredits;
}
