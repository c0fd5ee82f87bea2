import 'reflect-metadata';
import { report, simulate } from './simulate';

// Runs many seeds: `npm run simulate -- --seeds 10000`. With `--seed 42` it runs one seed and prints its whole history.

const print = (text: string): void => void process.stdout.write(`${text}\n`);

function argument(name: string, otherwise: number): number {
  const at = process.argv.indexOf(`--${name}`);
  const value = at < 0 ? otherwise : Number(process.argv[at + 1]);
  if (!Number.isSafeInteger(value)) throw new Error(`Give --${name} a whole number.`);
  return value;
}

async function one(seed: number): Promise<void> {
  const simulated = await simulate(seed);
  print(simulated.history.join('\n'));
  print(`Seed ${seed}: ${simulated.failure ?? 'no fault found'}.`);
  process.exitCode = simulated.failure === undefined ? 0 : 1;
}

async function many(first: number, seeds: number, most: number): Promise<void> {
  const startedAt = performance.now();
  const seconds = (): string => ((performance.now() - startedAt) / 1000).toFixed(0);
  let toldAt = startedAt;
  let found = 0;
  let calls = 0;
  for (let seed = first; seed < first + seeds && found < most; seed += 1) {
    const simulated = await simulate(seed);
    calls += simulated.calls;
    if (simulated.failure !== undefined) {
      found += 1;
      print(`${report(simulated)}\n`);
    }
    if (performance.now() - toldAt < 1_000) continue;
    toldAt = performance.now();
    print(`${seed - first + 1} of ${seeds} seeds, ${calls} calls, ${found} faults, ${seconds()} s`);
    await new Promise(setImmediate);
  }
  print(`${seeds} seeds from ${first}: ${calls} calls, ${found === 0 ? 'no fault found' : `${found} faults found`}, ${seconds()} s.`);
  process.exitCode = found === 0 ? 0 : 1;
}

const single = argument('seed', -1);
void (single >= 0 ? one(single) : many(argument('from', 1), argument('seeds', 1_000), argument('most', 1)));
