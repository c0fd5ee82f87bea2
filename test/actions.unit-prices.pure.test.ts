import fc from 'fast-check';
import { costOf, usageFrom } from '../src/actions/unit-prices';

const per = fc.integer({ min: 1, max: 2 ** 31 - 1 });
const price = fc.record({ unit: fc.constantFrom('a', 'b', 'c'), microCredits: fc.nat(1_000_000), per });
const prices = fc.record({ flatMicroCredits: fc.nat(1_000), units: fc.uniqueArray(price, { selector: ({ unit }) => unit }) });
const usage = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.nat(2 ** 31 - 1), { noNullPrototype: true });

describe('the cost of a call', () => {
  it('is the smallest whole number that is not below the exact sum', () => {
    fc.assert(
      fc.property(prices, usage, ({ flatMicroCredits, units }, used) => {
        const { microCredits } = costOf({ flatMicroCredits, units }, used);
        // With the product of all `per` as the common denominator, every part is a whole number.
        const denominator = units.reduce((product, { per }) => product * BigInt(per), 1n);
        const exact = units.reduce(
          (sum, { unit, microCredits: each, per }) => sum + (BigInt(used[unit] ?? 0) * BigInt(each) * denominator) / BigInt(per),
          BigInt(flatMicroCredits) * denominator,
        );
        expect(BigInt(microCredits) * denominator >= exact).toBe(true);
        expect((BigInt(microCredits) - 1n) * denominator < exact).toBe(true);
      }),
    );
  });

  it('counts as 2^53 - 1 if it is above that', () => {
    const units = [{ unit: 'a', microCredits: Number.MAX_SAFE_INTEGER, per: 1 }];
    expect(costOf({ flatMicroCredits: 1, units }, { a: Number.MAX_SAFE_INTEGER }).microCredits).toBe(Number.MAX_SAFE_INTEGER);
  });

  it('misses its usage only if there are unit prices and none of their units was reported', () => {
    const units = [{ unit: 'a', microCredits: 1, per: 1 }];
    expect(costOf({ flatMicroCredits: 3, units }, null)).toEqual({ microCredits: 3, isMissing: true });
    expect(costOf({ flatMicroCredits: 3, units }, { b: 1 }).isMissing).toBe(true);
    expect(costOf({ flatMicroCredits: 3, units }, { a: 0 })).toEqual({ microCredits: 3, isMissing: false });
    expect(costOf({ flatMicroCredits: 3, units: [] }, null).isMissing).toBe(false);
  });
});

describe('a reported usage', () => {
  it.each([[null], [12], ['a=1'], [[]], [{}], [{ a: -1 }], [{ A: 1 }], [{ ['x'.repeat(41)]: 1 }]])('of %j is none', (reported) => {
    expect(usageFrom(reported)).toBeNull();
  });

  it('keeps valid quantities of at most 20 units', () => {
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`unit_${index}`, index]));
    expect(Object.keys(usageFrom({ ...many, bad: -1 }) ?? {})).toHaveLength(20);
  });
});
