import type { Attack } from '../attack';

const ACCOUNTS_OF_A_PAGE = 20;
const ALIASES = 6;

/** Each level is a page of service accounts with a hundred projects each. The workspace of a project lists the same accounts again. */
function nested(levels: number, leaf: string, accounts = ACCOUNTS_OF_A_PAGE): string {
  const level = `serviceAccounts(first: ${accounts}) { nodes { projects { workspace { `;
  return `query ($id: ID!) { workspace(id: $id) { ${level.repeat(levels)}${leaf}${' } } } }'.repeat(levels)} } }`;
}

const aliased = Array.from({ length: ALIASES }, (_, index) => `w${index}: workspace { __typename }`).join(' ');
const DOCUMENTS = [
  nested(1, 'id'),
  nested(2, '__typename'),
  nested(2, 'id name'),
  // Each of these fields costs a point and adds no text to the answer
  `query ($id: ID!) { workspace(id: $id) { serviceAccounts(first: ${ACCOUNTS_OF_A_PAGE}) { nodes { projects { ${aliased} } } } } }`,
  nested(1, `serviceAccounts(first: 20) { nodes { projects { ${aliased} } } }`, 4),
];

export const nestedLists: Attack = {
  name: 'graphql.nested',
  what: 'service accounts of the workspace of each project of each service account, and aliases on top',
  lastsMs: 5_000,
  run: async (target) => {
    const { workspaceId, ownerSecret } = target.attacker;
    const client = target.client();
    while (!target.isOver()) {
      for (const document of DOCUMENTS) await client.graphql(document, { id: workspaceId }, { 'x-api-key': ownerSecret });
    }
    return [];
  },
};
