import { GraphQLScalarType, Kind } from 'graphql';
import { MAX_MICRO_CREDITS } from './rules';

/** `MicroCredits`: a JSON integer that JavaScript keeps exactly. */
export const MicroCredits = new GraphQLScalarType<number, number>({
  name: 'MicroCredits',
  description:
    'Whole micro-credits, 1 USD = 1,000,000. A JSON integer with |x| <= 2^53 - 1; anything else, and a sum that would leave that range, is INVALID_REQUEST.',
  serialize: (value) => exact(value),
  parseValue: (value) => exact(value),
  parseLiteral: (node) => exact(node.kind === Kind.INT ? Number(node.value) : undefined),
});

function exact(value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= MAX_MICRO_CREDITS) return value;
  throw new TypeError('MicroCredits must be a whole number within 2^53 - 1.');
}
