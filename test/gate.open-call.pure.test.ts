import { OpenCall } from '../src/gate/open-call';
import type { Renewal, Settlement, Verdict } from '../src/gate/items';
import type { HoldRow } from '../src/gate/tick/rows';
import { processTime } from '../src/lib/time';

// A call whose hold is kept open, with a ticker that answers when the test says so.

const PACE = { everyMs: 30_000, lastsMs: 90_000, atMostMs: 3_600_000 };
const SETTLED: Verdict = {
  kind: 'settled',
  outcome: 'SUCCEEDED',
  billing: { chargedMicroCredits: 1, budgetAvailableMicroCredits: 0 },
  answer: undefined,
};

function build() {
  const told = { lost: 0, left: 0 };
  const settlements: Settlement[] = [];
  const cancelled: boolean[] = [];
  const renewals: { renewal: Renewal; answer(verdict: Verdict): void; fail(): void }[] = [];
  let now = 0;
  const ticker = {
    settle: async (settlement: Settlement) => {
      settlements.push(settlement);
      return SETTLED;
    },
    renew: (renewal: Renewal) =>
      new Promise<Verdict>((resolve, reject) => {
        renewals.push({ renewal, answer: resolve, fail: () => reject(new Error('The tick failed.')) });
      }),
    cancel: (_hold: HoldRow, _arrivedAt: number, mayBeSingle = false) => void cancelled.push(mayBeSingle),
  };
  const admitted = { hold: { attempt: 'log_1', startedAt: 1_000, expiresAt: 91_000 }, rate: { asOfMs: 0 } } as never;
  const open = new OpenCall(
    { ticker, time: { ...processTime, now: () => now }, leave: () => void (told.left += 1) },
    { arrivedAt: 0 } as never,
    admitted,
  );
  open.keepOpen(PACE, () => void (told.lost += 1));
  const at = (ms: number): Promise<void> => {
    now = ms;
    return open.renewIfDue();
  };
  const end = () => open.settle({ kind: 'posted', usage: null, httpStatus: 200, answer: () => '', actionMs: 1, arrivedAt: 0 });
  return { open, at, end, told, settlements, cancelled, renewals };
}

it('is not told that its hold is lost if it ends while a renewal waits for its answer', async () => {
  for (const how of ['refused', 'failed'] as const) {
    const { at, end, told, renewals, settlements } = build();
    const renewing = at(30_000);
    await end();
    if (how === 'refused') renewals[0]?.answer(SETTLED); // the settlement came first, so the hold is closed
    else renewals[0]?.fail();
    await renewing;
    await at(200_000);
    expect([told, renewals.length, settlements[0]?.mayBeSingle]).toEqual([{ lost: 0, left: 1 }, 1, true]);
  }
});

it('is told once that its hold is lost, when a renewal is refused or cannot be made before the hold expires', async () => {
  const refused = build();
  const renewing = refused.at(30_000);
  refused.renewals[0]?.answer({ kind: 'gone' });
  await renewing;
  await refused.at(60_000);
  expect([refused.told.lost, refused.renewals.length]).toEqual([1, 1]);

  const failing = build();
  for (const ms of [30_000, 60_000, 95_000]) {
    const tried = failing.at(ms);
    failing.renewals.at(-1)?.fail();
    await tried;
    expect(failing.told.lost).toBe(ms < 90_000 ? 0 : 1);
  }
});

it('that is cancelled after a renewal voids the hold where it is now', async () => {
  const { open, at, renewals, cancelled } = build();
  const renewing = at(30_000);
  renewals[0]?.answer({ kind: 'renewed', expiresAt: 120_000 });
  await renewing;
  open.cancel();
  expect(cancelled).toEqual([true]);
});
