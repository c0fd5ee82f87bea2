import { defaultFieldResolver, type GraphQLSchema } from 'graphql';
import type { GraphQLContext } from '../graphql/context';

/** Makes each mutation after the first in a request read the caller's permissions again: an earlier mutation may have revoked them. */
export function readCallersAnew(schema: GraphQLSchema): void {
  for (const field of Object.values(schema.getMutationType()?.getFields() ?? {})) {
    const { resolve = defaultFieldResolver } = field;
    field.resolve = async (source, args, context: GraphQLContext, info) => {
      await context.beginMutation();
      return resolve(source, args, context, info);
    };
  }
}
