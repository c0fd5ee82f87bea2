import fc from 'fast-check';
import { attemptId, placeOf, tickOf, type HoldRow } from '../src/gate/tick/rows';
import { isOpen, marksAfter, openHoldsOf, toTickHolds } from '../src/gate/tick/tick-reads';

const TICK = 'log_0VbtrPCQP0bwqxlBb8zrm';
const hold = (place: number): HoldRow => ({ attempt: attemptId(TICK, place), expiresAt: 1_000 + place, amount: 1 }) as HoldRow;

it('reads the tick and the place from an attempt id, and attempt ids of one tick sort by their places', () => {
  const attempts = Array.from({ length: 500 }, (_, place) => attemptId(TICK, place));
  expect(attempts.map(tickOf)).toEqual(attempts.map(() => TICK));
  expect(attempts.map(placeOf)).toEqual(attempts.map((_, place) => place));
  expect([...attempts].sort()).toEqual(attempts);
});

it('ends holds of a tick in any order, keeps the others open, and removes the row with the last hold', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat({ max: 499 }), { minLength: 1, maxLength: 40 }), fc.infiniteStream(fc.nat()), (places, order) => {
      const row = toTickHolds({ tick: TICK, process: 'p', holds: [...places].sort((a, b) => a - b).map(hold) });
      expect(row.expiresAt).toBe(1_000 + Math.min(...places));
      let left = [...places];
      let { marks } = row;
      while (left.length > 0) {
        const ending = left.filter((_, at) => at === 0 || (order.next().value as number) % 3 === 0);
        left = left.filter((place) => !ending.includes(place));
        const after = marksAfter(
          new Map([[TICK, marks]]),
          ending.map((place) => attemptId(TICK, place)),
        );
        expect(after.map(([tick]) => tick)).toEqual([TICK]);
        marks = after[0]?.[1] as string;
        const open = marks === '' ? [] : openHoldsOf({ ...row, marks }).map(({ attempt }) => placeOf(attempt));
        expect(open.sort((a, b) => a - b)).toEqual([...left].sort((a, b) => a - b));
        for (const place of ending) expect(isOpen(new Map([[TICK, marks]]), attemptId(TICK, place))).toBe(false);
      }
      expect(marks).toBe('');
    }),
  );
});
