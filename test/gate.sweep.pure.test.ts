import type { HoldRow } from '../src/gate/tick/rows';
import { Sweep } from '../src/gate/sweep';
import { processTime } from '../src/lib/time';

const attemptOf = (index: number): string => `log_${String(index).padStart(6, '0')}`;

it('reaches every expired hold, even after many holds that cannot be ended', async () => {
  const holds = Array.from({ length: 1_750 }, (_, index) => ({ attempt: attemptOf(index), startedAt: 0 }) as HoldRow);
  const ended: string[] = [];
  const warnings: string[] = [];
  const sweep = new Sweep({
    store: {
      now: async () => 0,
      findExpiredHolds: async (_now, after) => {
        const next = holds.filter(({ attempt }) => attempt > after && !ended.includes(attempt)).slice(0, 500);
        return { holds: next, last: next.at(-1)?.attempt };
      },
      findExpiredSingleHolds: async () => ({ holds: [], last: undefined }),
      findOldClaims: async () => [],
      forgetClaims: async () => undefined,
    },
    ticker: {
      settle: async ({ hold }) => {
        if (hold.attempt < attemptOf(1_200)) throw new Error('The database refuses this one.');
        ended.push(hold.attempt);
        return { kind: 'gone' };
      },
    },
    time: processTime,
    log: { warn: (_properties, message) => void warnings.push(message), error: (_properties, message) => void warnings.push(message) },
  });
  await sweep.once();
  expect(ended).toHaveLength(550);
  expect(new Set(warnings)).toEqual(new Set(['sweep: holds were left']));
});
