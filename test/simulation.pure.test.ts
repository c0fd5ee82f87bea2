import { report, simulate } from './simulation/simulate';

// The real gate, ticker, lanes and sweep of several nodes on a model of the database, with everything that can go wrong going
// wrong, in an order that follows from a seed: see test/simulation/README.md.

const { SEED } = process.env;
const SEEDS = SEED === undefined ? Array.from({ length: 200 }, (_, index) => index + 1) : [Number(SEED)];

describe('the gate, simulated', () => {
  it(
    'keeps its promises whatever dies, waits or is lost',
    async () => {
      for (const seed of SEEDS) {
        const simulated = await simulate(seed);
        if (simulated.failure !== undefined) throw new Error(report(simulated));
      }
    },
    120_000,
  );

  it('does the same for the same seed', async () => {
    for (const seed of SEEDS.slice(0, 10)) expect((await simulate(seed)).hash).toBe((await simulate(seed)).hash);
  });
});
