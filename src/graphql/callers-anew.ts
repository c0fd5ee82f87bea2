import { defaultFieldResolver, type GraphQLSchema } from 'graphql';
import type { GraphQLContext } from './context';

/** Has each mutation of a request but the first read anew what its caller may do: the one before it may have ended that. */
export function readCallersAnew(schema: GraphQLSchema): void {
  for (const field of Object.values(schema.getMutationType()?.getFields() ?? {})) {
    const { resolve = defaultFieldResolver } = field;
    field.resolve = async (source, args, context: GraphQLContext, info) => {
      await context.beginMutation();
      return resolve(source, args, context, info);
    };
  }
}
