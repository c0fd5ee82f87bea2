import type { SimulatedCall } from './simulated-call';
import type { CallerKey } from './callers';
import type { Prices } from './tables';
import type { World } from './world';

/** Time between two rounds. It is long enough for every call of the earlier round to be answered. */
const ROUND_MS = 30_000;
const HOUR_MS = 60 * 60 * 1000;
const PROBE = 'probe';

/**
 * After the rest and without faults, checks that a new key of every project works at every node, and that a budget for N calls pays for
 * exactly N. This finds what a fault has left behind: a place never given back, a lane that waits for ever, a limit never reached.
 */
export async function closingProbe(world: World): Promise<void> {
  const { scheduler, database, auditor, scenario } = world;
  scheduler.note('the probe begins');
  if (scenario.clockGoesBack) database.clock.jump(-HOUR_MS);
  database.tables.actions.set(PROBE, { ...flat(0), name: PROBE, timeoutMs: 1_000, enabled: true });
  auditor.prices.set(PROBE, [flat(0)]);
  for (let i = 1; i <= scenario.projects && scheduler.failure === undefined; i += 1) {
    const projectId = `prj_${i}`;
    Object.assign(database.tables.projects.get(projectId) ?? {}, { sustainedRps: 1_000, burst: 1_000, archivedAt: null });
    for (const prohibition of auditor.prohibitions) if (prohibition.text === `archive ${projectId}`) prohibition.lifted = true;
    await spend(world, world.administrators.mint(projectId, 'LIVE'));
  }
  if (scheduler.failure === undefined) auditor.atRest();
}

const flat = (priceMicroCredits: number): Prices => ({ priceMicroCredits, unitPrices: [], maxChargeMicroCredits: null });

async function spend(world: World, key: CallerKey): Promise<void> {
  const { scheduler, database, auditor } = world;
  const action = database.tables.actions.get(PROBE);
  if (!action) return;
  if (world.scenario.clockGoesBack) {
    // After this call the project owes at most a full burst, which the pause pays off.
    askAt(world, key, 0);
    await scheduler.runUntil(scheduler.now + ROUND_MS);
  }
  const { balance } = database.tables.account(key.projectId);
  if (balance === 0) return;
  const price = Math.ceil(balance / 5);
  action.priceMicroCredits = price;
  auditor.prices.get(PROBE)?.push(flat(price));
  const calls: SimulatedCall[] = [];
  for (let round = 0; round < 30 && scheduler.failure === undefined; round += 1) {
    const asked = world.nodes.flatMap((_node, index) => [0, 1].map(() => askAt(world, key, index)));
    calls.push(...asked);
    await scheduler.runUntil(scheduler.now + ROUND_MS);
    if (asked.every(({ result }) => result?.kind === 'error' && result.code === 'PAYMENT_REQUIRED')) break;
  }
  if (scheduler.failure !== undefined) return;
  const wrong = calls.find(({ result }) => !result || (result.kind === 'error' && !EXPECTED.has(result.code)));
  if (wrong)
    scheduler.fail(`${wrong.name} should have been served, but was told ${wrong.result?.kind === 'error' ? wrong.result.code : 'nothing'}`);
  const spent = calls.filter(({ result }) => result?.kind === 'succeeded').length;
  if (spent !== Math.floor(balance / price))
    scheduler.fail(`${key.projectId} had ${balance} for calls at ${price}, but ${spent} of them succeeded`);
}

/** Error codes that may still occur: the action may fail or be slow, and the budget may be spent. */
const EXPECTED = new Set(['PAYMENT_REQUIRED', 'UPSTREAM_FAILED', 'UPSTREAM_TIMEOUT', 'INTERNAL']);

function askAt({ callers }: World, key: CallerKey, nodeIndex: number): SimulatedCall {
  const call = callers.draft(key, { action: PROBE, route: undefined }, true);
  callers.send(call, nodeIndex);
  return call;
}
