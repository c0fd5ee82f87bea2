import { GraphQLError, defaultFieldResolver, getNamedType, isLeafType, isObjectType, type GraphQLFieldResolver, type GraphQLSchema } from 'graphql';
import type { GraphQLContext } from './context';
import { toGraphQLError } from './errors';
import { tooComplex } from './limits';

/** The longest answer of a request, in characters of its values. Exports are for what is longer. */
const MAX_ANSWER_LENGTH = 2_000_000;

/**
 * Bounds what an answer is long. Points are counted before anything is known of the values; and a value can be long, and asked for by many
 * names. Past the bound no value is given any more: `context.asked.excess` says why, once.
 */
export function boundAnswers(schema: GraphQLSchema): void {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue;
    for (const field of Object.values(type.getFields())) if (isLeafType(getNamedType(field.type))) field.resolve = counted(field.resolve ?? defaultFieldResolver);
  }
}

function counted(resolve: GraphQLFieldResolver<unknown, GraphQLContext>): GraphQLFieldResolver<unknown, GraphQLContext> {
  return (source, args, context, info) => {
    if (context.asked.excess) throw context.asked.excess;
    const value = resolve(source, args, context, info);
    return value instanceof Promise ? value.then((resolved: unknown) => count(resolved, context)) : count(value, context);
  };
}

function count(value: unknown, { asked }: GraphQLContext): unknown {
  asked.answerLength += lengthOf(value);
  if (asked.answerLength <= MAX_ANSWER_LENGTH) return value;
  const { message, extensions } = toGraphQLError(tooComplex([{ limit: 'answer', asked: asked.answerLength, allowed: MAX_ANSWER_LENGTH }]));
  throw (asked.excess ??= new GraphQLError(message, { extensions, path: [] })); // with a path it is told as it is, however many fields it ends
}

/** As JSON, more or less. */
function lengthOf(value: unknown): number {
  if (typeof value === 'string') return value.length;
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + 3 + lengthOf(item), 0);
  return typeof value === 'object' && value !== null && !(value instanceof Date) ? JSON.stringify(value).length : 8;
}
