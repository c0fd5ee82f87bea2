import { GraphQLScalarType, Kind } from 'graphql';
import { GraphQLDateTime, GraphQLJSONObject } from 'graphql-scalars';
import { MAX_MICRO_CREDITS } from './rules';

/** `MicroCredits`: a JSON integer that JavaScript can store exactly. */
export const MicroCredits = new GraphQLScalarType<number, number>({
  name: 'MicroCredits',
  description:
    'Whole micro-credits, 1 USD = 1,000,000. A JSON integer with |x| <= 2^53 - 1. Anything else is INVALID_REQUEST, and so is a sum ' +
    'outside this range.',
  serialize: (value) => exact(value),
  parseValue: (value) => exact(value),
  parseLiteral: (node) => exact(node.kind === Kind.INT ? Number(node.value) : undefined),
});

function exact(value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= MAX_MICRO_CREDITS) return value;
  throw new TypeError('MicroCredits must be a whole number within 2^53 - 1.');
}

/** `DateTime`: an instant with its offset. RFC 3339 must be able to write it in UTC. */
export const DateTime = new GraphQLScalarType<Date, Date>({
  ...GraphQLDateTime.toConfig(),
  specifiedByURL: 'https://scalars.graphql.org/andimarek/date-time.html',
  description: 'RFC 3339. Any offset is accepted. Answers are in UTC with milliseconds: 2026-11-21T09:30:00.000Z.',
  parseValue: (value) => writable(GraphQLDateTime.parseValue(value)),
  parseLiteral: (node, variables) => writable(GraphQLDateTime.parseLiteral(node, variables)),
});

/** Throws if the year in UTC does not have four digits: an offset can move an instant of the years 0000 or 9999 out of this range. */
function writable(value: Date): Date {
  const year = value.getUTCFullYear();
  if (year >= 0 && year <= 9999) return value;
  throw new TypeError('DateTime must be in the years 0000 to 9999, in UTC.');
}

/** `JSONObject`: an object with any properties. Only for answers, never for input. */
export const JsonObject = new GraphQLScalarType<object, object>({
  ...GraphQLJSONObject.toConfig(),
  description: 'A JSON object with any properties.',
});
