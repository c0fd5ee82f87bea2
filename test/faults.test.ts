import type { Counts } from './faults/chaos';
import { violationLines } from './faults/report';
import { runFaults, type RunResult } from './faults/run';
import { createTestApp } from './support/app';

// A short version of `npm run faults` with a fixed seed. The plan is the same each time; its timing depends on the machine.

const HOLD_MS = 120_000; // longer than any hold of the run
const RECOVERY_BOUND_MS = 60_000; // on a busy machine a server needs ten seconds just to start
const TIMEOUT_MS = 600_000; // the test takes 40 s on an idle machine

const COUNTS: Record<typeof TEST_DATABASE, Counts> = {
  mysql: { 'server killed': 6, 'database killed': 1, 'database frozen': 1, 'commit cut': 8, 'link delayed': 1, 'link cut': 1 },
  sqlite: { 'server killed': 3, 'file locked': 4 },
};

/** Sweeps the holds of the killed servers without waiting for their expiry: opens an app with its clock ahead. */
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
    expect(result.evidence.calls.filter(({ ok }) => ok).length).toBeGreaterThan(50); // otherwise the run tested nothing
  },
  TIMEOUT_MS,
);
