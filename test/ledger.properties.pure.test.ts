import fc from 'fast-check';
import { decide } from '../src/gate/decide';
import type { RateLimit } from '../src/gate/rate-limit';
import { LedgerKind } from '../src/wallet/ledger-entry.entity';
import { post, type LedgerAccount } from '../src/wallet/ledger-account';
import { PROJECTS } from './support/ledger-model';
import { START_MS, World, endingOf, step, type Step } from './support/ledger-world';

// Compares the gate's decisions with a model that shares no code with them: the answer to each call, and the state of the books.

/** Recomputes the books from the rows, and compares the rows with the model. Makes one comparison per project and step. */
function audit({ memory, model }: World): void {
  for (const projectId of PROJECTS) {
    const entries = memory.entries.filter(({ accountId }) => accountId === projectId);
    const attempts = model.of(projectId);
    const { balance, held, entrySeq } = memory.lock(projectId);
    let sum = 0;
    const wellFormed = entries.every(
      (entry, at) => entry.seq === at + 1 && entry.balanceAfter === (sum += entry.delta) && entry.delta !== 0,
    );
    const open = [memory.holds, memory.singleHolds].flatMap((table) => [...table.values()]).filter((hold) => hold.projectId === projectId);
    expect({
      wellFormed,
      books: { balance, held, entrySeq },
      available: balance - held,
      // Each attempt has one hold or a log row, never both. Each charge has a bill, and nothing else has one.
      attempts: attempts.map(([id]) => [...memory.openHoldsOf(id).map(() => 'OPEN'), memory.logs.get(id)?.outcome].filter(Boolean).join()),
      expiries: open.map(({ attempt, expiresAt }) => `${attempt} ${expiresAt}`).sort(),
      shortfalls: attempts.map(([id]) => memory.logs.get(id)?.shortfallMicroCredits ?? 0),
      bills: entries.flatMap(({ kind, requestLogId, delta }) => (kind === LedgerKind.USAGE ? [`${requestLogId} ${-delta}`] : [])).sort(),
    }).toEqual({
      wellFormed: true,
      books: { balance: sum, held: open.reduce((total, { amount }) => total + amount, 0), entrySeq: entries.length },
      available: Math.max(0, model.spendable(projectId)),
      attempts: attempts.map(([, { state }]) => state),
      expiries: attempts.flatMap(([id, { state, expiresAt }]) => (state === 'OPEN' ? [`${id} ${expiresAt}`] : [])).sort(),
      shortfalls: attempts.map(([, { shortfall }]) => shortfall),
      bills: attempts.flatMap(([id, { charged }]) => (charged > 0 ? [`${id} ${charged}`] : [])).sort(),
    });
    expect(overTheRate(model.passed.get(projectId) as number[], memory.limits.get(projectId) as RateLimit)).toEqual([]);
  }
  const running = [...model.attempts.values()].filter(({ state }) => state === 'OPEN').length;
  expect(memory.holds.size + memory.singleHolds.size).toBe(running);
  expect(memory.logs.size + memory.refusalsCounted).toBe(model.attempts.size - running + model.refusals);
  const rows = [...memory.claims].map(([key, { attempt, state, answer }]) => `${key} ${attempt} ${state} ${answer === null}`).sort();
  const wanted = [...model.claims]
    .map(([key, { attempt, running: runs, large }]) => `${key} ${attempt} ${runs ? 'RUNNING' : 'DONE'} ${runs || large}`)
    .sort();
  expect(rows).toEqual(wanted);
}

/** Returns the starts of the windows that end at the latest call and have more calls than burst + sustained x time. */
function overTheRate(times: number[], { sustainedRps, burst }: RateLimit): number[] {
  const latest = times.at(-1) as number;
  return times.filter((from, at) => times.length - at > burst + (sustainedRps * (latest - from)) / 1000 + 1e-6);
}

it('admits a refused caller after the promised time, even if the limit has changed', () => {
  const world = new World();
  const call = { do: 'call', key: 0, price: 0, timeout: 0, requestId: null, body: 0 } as const;
  const calls = (count: number): Step => ({
    do: 'tick',
    items: Array.from({ length: count }, () => call),
    fate: 'committed',
    locked: null,
  });
  world.take({ do: 'limit', project: 0, sustainedRps: 1, burst: 10 });
  world.take(calls(10));
  world.take({ do: 'limit', project: 0, sustainedRps: 0.5, burst: 5 }); // the same time for a full burst, twice the time per call
  world.take(calls(1));
  expect(world.seen).toEqual({ admitted: 10, RATE_LIMITED: 1 });
  world.take({ do: 'pass', ms: 2_000 });
  world.take(calls(1));
  expect(world.seen).toEqual({ admitted: 11, RATE_LIMITED: 1 });
});

it('keeps the books and the promises: calls, renewals, endings, allocations, refunds, lost ticks, clock moves in any order', () => {
  const seen: Record<string, number> = {};
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
      const world = new World();
      world.take({ do: 'allocate', project: 0, amount: 2_003 });
      world.take({ do: 'allocate', project: 1, amount: 3 }); // few, so that calls compete for the last credits
      for (const next of steps) {
        world.take(next);
        audit(world);
      }
      for (const [label, count] of Object.entries(world.seen)) seen[label] = (seen[label] ?? 0) + count;
    }),
    { numRuns: 200 },
  );
  // The sequences must reach every outcome of a call, otherwise the property would prove little.
  const reached = [
    'admitted',
    'settled',
    'renewed',
    'shortfall',
    'gone',
    'locked',
    'replay',
    'RATE_LIMITED',
    'PAYMENT_REQUIRED',
    'REQUEST_IN_PROGRESS',
    'REQUEST_ID_REUSED',
    'REPLAY_UNAVAILABLE',
    'REVOKED_API_KEY',
  ];
  expect(reached.filter((label) => !seen[label])).toEqual([]);
});

it('bills nothing when it settles a hold that was never committed', () => {
  const world = new World();
  const hold = {
    ...{ attempt: 'log_never', claimed: true, amount: 1000, startedAt: 0, expiresAt: 0 },
    ...{ credentialKind: 'API_KEY', credentialId: 'key_a1', workspaceId: 'ws_a', projectId: 'prj_a', environment: 'LIVE' },
    ...{ service: 'demo', action: 'demo.echo', requestId: 'r', ip: null, userAgent: null },
  };
  const state = { ...world.memory.read(START_MS * 1000, ['log_never']), credentials: new Map(), actions: new Map() };
  const { writes, verdicts } = decide([{ kind: 'settlement', hold, ending: endingOf('post') }], state, {
    tick: 'log_tick',
    process: 'p',
    httpStatusOf: () => 400,
    canRun: () => true,
    logsRefusal: () => true,
    monotonicMs: 0,
  });
  expect(verdicts).toEqual([{ kind: 'gone' }]);
  expect(Object.values(writes).filter(Array.isArray).flat()).toEqual([]);
});

it('posts entries that add up to the balance, and refuses to overdraw, for amounts of any size in any order', () => {
  const amount = fc.oneof(fc.integer({ min: -10_000, max: 10_000 }), fc.maxSafeInteger());
  fc.assert(
    fc.property(fc.array(amount, { maxLength: 40 }), fc.nat({ max: 5_000 }), (deltas, held) => {
      const account: LedgerAccount = { id: 'prj_a', balance: held, held, entrySeq: 0 };
      let balance = BigInt(held);
      let entries = 0;
      for (const delta of deltas) {
        const after = balance + BigInt(delta);
        const fits = delta !== 0 && after <= 9_007_199_254_740_991n && (delta > 0 || after >= BigInt(held));
        const draft = { kind: LedgerKind.ADJUSTMENT, delta, at: START_MS };
        if (!fits) {
          expect(() => post(account, draft)).toThrow(RangeError);
        } else {
          balance = after;
          expect(post(account, draft)).toMatchObject({ seq: (entries += 1), delta, balanceAfter: Number(after) });
        }
        expect(account).toEqual({ id: 'prj_a', balance: Number(balance), held, entrySeq: entries });
      }
    }),
    { numRuns: 500 },
  );
});
