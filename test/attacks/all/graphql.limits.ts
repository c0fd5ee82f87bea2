import { getIntrospectionQuery } from 'graphql';
import type { Attack } from '../attack';

const times = (count: number, make: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => make(index)).join(' ');
const ids = (count: number): string[] => Array.from({ length: count }, (_, index) => `prj_${index}`);

/** Each fragment spreads the next one twice. */
const CHAIN = times(150, (index) => `fragment F${index} on Workspace { id ...F${index + 1} ...F${index + 1} }`);

/** Documents that are just within the limits of src/graphql/limits.ts, with their variables. */
const OPERATIONS: { query: string; variables?: object }[] = [
  { query: `query ($id: ID!) { ${times(49, (root) => `r${root}: workspace(id: $id) { ${times(1, () => 'a: id name slug')} }`)} }` },
  { query: `{ viewer { ${times(99, (index) => `a${index}: id`)} } }` },
  { query: `{ viewer { ${times(199, (index) => `f${index}`)} } }` },
  { query: `{ ${'viewer { id name } '.repeat(50)} }` },
  { query: `query ($id: ID!) { workspace(id: $id) { ${'projects(first: 1) { nodes { workspace { '.repeat(6)}id${' } } }'.repeat(6)} } }` },
  { query: getIntrospectionQuery() },
  { query: `{ __schema { ${times(8, (index) => `t${index}: types { name fields { name type { name } } }`)} } }` },
  { query: `{ ${times(20, (index) => `t${index}: __type(name: "Workspace") { fields { args { name type { name } } } }`)} }` },
  { query: 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', variables: { ids: ids(100) } },
  { query: 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', variables: { ids: ids(4_900) } },
  { query: 'query ($id: ID!) { workspace(id: $id) { projects(first: 100) { nodes { id name keys(first: 20) { nodes { id } } } } } }' },
  { query: 'query ($id: ID!) { workspace(id: $id) { auditEvents(first: 100) { nodes { id action actor { id } before after } } } }' },
  { query: `{ node(id: """${'\n '.repeat(30_000)}""") { id } }` },
  {
    query: `query ($id: ID!) { workspace(id: $id) { ...F0 } } ${CHAIN} fragment F150 on Workspace { name }`,
  },
];

const AT_ONCE = 4;

export const documentsAtTheLimits: Attack = {
  name: 'graphql.limits',
  what: 'documents just within the limits, large lists and introspection, four at a time',
  lastsMs: 5_000,
  run: async (target) => {
    const { workspaceId, ownerSecret } = target.attacker;
    const client = target.client();
    const attack = async (): Promise<void> => {
      while (!target.isOver()) {
        for (const { query, variables } of OPERATIONS)
          await client.graphql(query, { id: workspaceId, ...variables }, { 'x-api-key': ownerSecret });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, attack));
    return [];
  },
};
