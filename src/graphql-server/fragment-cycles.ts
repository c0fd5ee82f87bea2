import { GraphQLError, NoFragmentCyclesRule, parse, validate, type DocumentNode, type GraphQLSchema } from 'graphql';

/**
 * Throws GRAPHQL_VALIDATION_FAILED, with the location in `text`, if fragments spread themselves. Must run before all other rules: the rule
 * that compares fields follows a long cycle until the stack overflows.
 */
export function requireNoFragmentCycle(schema: GraphQLSchema, document: DocumentNode, text: string): void {
  if (cycleIn(schema, document) === undefined) return;
  // Parses again, because screening parses without locations
  const { message, nodes, source, positions } = cycleIn(schema, parse(text)) as GraphQLError;
  const extensions = { code: 'GRAPHQL_VALIDATION_FAILED', http: { status: 400, headers: new Map() } };
  throw new GraphQLError(message, { nodes, source, positions, extensions });
}

function cycleIn(schema: GraphQLSchema, document: DocumentNode): GraphQLError | undefined {
  return validate(schema, document, [NoFragmentCyclesRule])[0];
}
