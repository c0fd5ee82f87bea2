import type { Counts } from './faults/chaos';
import { violationLines } from './faults/report';
import { runFaults, type RunResult } from './faults/run';
import { createTestApp } from './support/app';

// The short versions of `npm run faults`, with fixed seeds. What is drawn is the same each time; what meets what is up to the machine.

const HOLD_MS = 60_000;
const RECOVERY_BOUND_MS = 60_000; // a server alone needs ten seconds to start where others want the processor too
const TIMEOUT_MS = 600_000; // 40 s where nobody else wants the processor

const COUNTS: Record<typeof TEST_DATABASE, Counts> = {
  mysql: { 'server killed': 6, 'database killed': 1, 'database frozen': 1, 'commit cut': 8, 'link delayed': 1, 'link cut': 1 },
  sqlite: { 'server killed': 3, 'file locked': 4 },
};

/** Ends what the killed servers left behind, without waiting for its expiry: by a node whose clock is ahead. */
async function sweepAhead(databaseUrl: string): Promise<void> {
  const app = await createTestApp({ databaseUrl });
  try {
    app.travel(HOLD_MS);
    await app.sweep.once();
  } finally {
    await app.close();
  }
}

it(
  `keeps every promise while ${TEST_DATABASE === 'mysql' ? 'servers and their database' : 'the server'} are killed under load`,
  async () => {
    const result: RunResult = await runFaults({
      database: TEST_DATABASE,
      seed: 20_261_121,
      counts: COUNTS[TEST_DATABASE],
      meanGapMs: 900,
      clients: 40,
      thinkMs: 100,
      recoveryBoundMs: RECOVERY_BOUND_MS,
      finalSweep: sweepAhead,
    });
    expect(violationLines(result)).toEqual([]);
    expect(result.done).toEqual(COUNTS[TEST_DATABASE]);
    expect(result.evidence.calls.filter(({ ok }) => ok).length).toBeGreaterThan(50); // or nothing was tested
  },
  TIMEOUT_MS,
);
