import { Field, InputType, Int, ObjectType } from 'type-graphql';
import { z } from 'zod';
import { MAX_UNITS, priceRule } from '../lib/rules';
import { MicroCredits } from '../lib/scalars';

// The prices of an action, and what a call costs by them. Pure.

@ObjectType({ description: 'A price for a quantity that the action reports, such as 150000 for each 1,000,000 `input_tokens`.' })
export class UnitPrice {
  @Field({ description: 'The unit in the usage that the action reports: `input_tokens`.' })
  unit: string;

  @Field(() => MicroCredits, { description: 'The price of `per` units: zero or more.' })
  microCredits: number;

  @Field(() => Int, { description: 'The number of units that the price is for: 1 or more.' })
  per: number;
}

@InputType({ description: 'A price for a quantity that the action reports.' })
export class UnitPriceInput {
  @Field({ description: 'The unit: 1 to 40 of a-z, 0-9 and _, a letter first.' })
  unit: string;

  @Field(() => MicroCredits, { description: 'The price of `per` units: zero or more.' })
  microCredits: number;

  @Field(() => Int, { description: 'The number of units that the price is for: 1 or more.' })
  per: number;
}

/** The quantity of each unit that a call used: whole numbers from 0 to 2^53 - 1. */
export type Usage = Readonly<Record<string, number>>;

/** The prices that a call was admitted with. */
export interface Price {
  flatMicroCredits: number;
  units: readonly UnitPrice[];
}

const unitRule = z.string().regex(/^[a-z][a-z0-9_]{0,39}$/, 'must be 1 to 40 of a-z, 0-9 and _, a letter first');
const quantityRule = z
  .number('must be a number')
  .refine((value) => Number.isSafeInteger(value) && value >= 0, 'must be a whole number from 0 to 2^53 - 1');

export const unitPricesRule = z
  .array(z.object({ unit: unitRule, microCredits: priceRule, per: z.int('must be a whole number').min(1, 'must be at least 1') }))
  .max(MAX_UNITS, `must be at most ${MAX_UNITS} prices`)
  .refine((prices) => new Set(prices.map(({ unit }) => unit)).size === prices.length, 'must name each unit once');

/** The rule for the usage that a caller of Tollgate states. What an upstream reports is read by `usageFrom`, which refuses nothing. */
export const usageRule = z
  .record(unitRule, quantityRule)
  .refine((usage) => Object.keys(usage).length <= MAX_UNITS, `must be at most ${MAX_UNITS} units`);

/**
 * Reads the usage that an upstream reports. Leaves out quantities and units that are not valid, because a call that succeeded must be
 * billed. Returns null if nothing is left.
 */
export function usageFrom(reported: unknown): Usage | null {
  if (typeof reported !== 'object' || reported === null) return null;
  const isValid = ([unit, value]: [string, unknown]) => unitRule.safeParse(unit).success && quantityRule.safeParse(value).success;
  const valid = Object.entries(reported).filter(isValid);
  return valid.length === 0 ? null : (Object.fromEntries(valid.slice(0, MAX_UNITS)) as Usage);
}

/**
 * Returns what a call costs: the flat price and the quantity of each unit at its price. The sum is exact, and is rounded up once, at its
 * end. A cost above 2^53 - 1 counts as 2^53 - 1. `isMissing`: the action prices units, and the usage has none of them.
 */
export function costOf({ flatMicroCredits, units }: Price, usage: Usage | null): { microCredits: number; isMissing: boolean } {
  const used = units.flatMap((price) => {
    const isUsed = usage !== null && Object.hasOwn(usage, price.unit);
    return isUsed ? [{ ...price, quantity: usage[price.unit] as number }] : [];
  });
  const isMissing = units.length > 0 && used.length === 0;
  const denominator = used.reduce((product, { per }) => product * BigInt(per), 1n);
  const parts = used.map(({ quantity, microCredits, per }) => (BigInt(quantity) * BigInt(microCredits) * denominator) / BigInt(per));
  const ofUnits = parts.reduce((sum, part) => sum + part, 0n);
  const cost = BigInt(flatMicroCredits) + (ofUnits + denominator - 1n) / denominator;
  const most = BigInt(Number.MAX_SAFE_INTEGER);
  return { microCredits: Number(cost < most ? cost : most), isMissing };
}
