import { report, simulate } from './simulation/simulate';

// Runs the real gate, ticker, lanes and sweep of several nodes on a model of the database, with many faults. A seed decides which faults
// happen and in which order. See test/simulation/README.md.

const { SEED } = process.env;
const SEEDS = SEED === undefined ? Array.from({ length: 200 }, (_, index) => index + 1) : [Number(SEED)];

describe('the gate, simulated', () => {
  it('keeps its promises while processes die, messages are lost and answers are late', async () => {
    for (const seed of SEEDS) {
      const simulated = await simulate(seed);
      if (simulated.failure !== undefined) throw new Error(report(simulated));
    }
  }, 120_000);

  it('repeats the same history for the same seed', async () => {
    for (const seed of SEEDS.slice(0, 10)) expect((await simulate(seed)).hash).toBe((await simulate(seed)).hash);
  });
});
