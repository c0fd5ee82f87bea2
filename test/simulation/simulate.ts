import { createHash } from 'node:crypto';
import { closingProbe } from './probe';
import { World } from './world';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Longer than the hold of a call without renewals, a lock wait and two sweeps together. */
const REST_MS = 120_000;

export interface Simulated {
  seed: number;
  /** The first broken promise, or undefined. */
  failure: string | undefined;
  history: string[];
  /** The same for every run of the same seed. */
  hash: string;
  calls: number;
}

/** Simulates the world of a seed, until its end or the first broken promise. */
export async function simulate(seed: number): Promise<Simulated> {
  await Promise.resolve(); // while the main script runs, Node would run a tick before microtasks, and the first event would end later
  const world = new World(seed);
  const { scheduler, auditor } = world;
  try {
    await busyDay(world);
    if (scheduler.failure === undefined && world.scenario.nextDay) {
      world.scheduler.note('a day passes');
      world.database.clock.jump(DAY_MS);
      await busyDay(world, () => world.callers.repeatAll());
    }
    if (scheduler.failure === undefined) await closingProbe(world);
  } catch (error) {
    scheduler.fail(`the simulation itself failed: ${String((error as Error).stack)}`);
  }
  const { failure, history } = scheduler;
  const hash = createHash('sha256').update(history.join('\n')).digest('hex');
  return { seed, failure, history, hash, calls: auditor.calls.size };
}

async function busyDay(world: World, alsoDoes: () => void = () => undefined): Promise<void> {
  const { scheduler, scenario, network, callers, administrators, mishaps, auditor } = world;
  world.isBusy = true;
  network.rates = scenario.rates;
  callers.start();
  administrators.start();
  mishaps.start();
  alsoDoes();
  await scheduler.runUntil(scheduler.now + scenario.busyMs);
  await world.comeToRest(REST_MS + 1.5 * scenario.longSleepMs);
  if (scheduler.failure === undefined) auditor.atRest();
}

/** Returns the text for a failure, with the command that repeats it. */
export function report({ seed, failure, history }: Simulated): string {
  return [
    `Seed ${seed}: ${failure ?? 'no fault found'}.`,
    `Repeat it with: SEED=${seed} npx jest simulation, or npm run simulate -- --seed ${seed}`,
    ...history.slice(-40),
  ].join('\n');
}
