import { GraphQLError, NoFragmentCyclesRule, parse, validate, type DocumentNode, type GraphQLSchema } from 'graphql';

/**
 * Throws GRAPHQL_VALIDATION_FAILED for a document with fragments that spread themselves, with its place in `text`. Comes before all other
 * rules: that which compares fields with each other follows a long cycle until the stack overflows.
 */
export function requireNoFragmentCycle(schema: GraphQLSchema, document: DocumentNode, text: string): void {
  if (cycleIn(schema, document) === undefined) return;
  const { message, nodes, source, positions } = cycleIn(schema, parse(text)) as GraphQLError; // for screening parses without places
  const extensions = { code: 'GRAPHQL_VALIDATION_FAILED', http: { status: 400, headers: new Map() } };
  throw new GraphQLError(message, { nodes, source, positions, extensions });
}

function cycleIn(schema: GraphQLSchema, document: DocumentNode): GraphQLError | undefined {
  return validate(schema, document, [NoFragmentCyclesRule])[0];
}
