import type { Attack } from '../attack';
import type { Client } from '../target';

const FRAGMENTS = 199;
const ROUNDS = 5;
const WORKSPACE = 'query { workspace(id: "wsp_x") { ...F0 } }';

/** Fragments on a type. `make` writes the selection of each one from the name of the next one. */
function cycle(type: string, make: (next: string) => string): string {
  return Array.from(
    { length: FRAGMENTS },
    (_, index) => `fragment F${index} on ${type} { ${make(`...F${(index + 1) % FRAGMENTS}`)} }`,
  ).join(' ');
}

/** All of these documents are invalid, so each must get 400. */
const DOCUMENTS: Record<string, string> = {
  'a cycle of 199 fragments': `${WORKSPACE} ${cycle('Workspace', (next) => next)}`,
  'a cycle of 199 fragments with fields': `${WORKSPACE} ${cycle('Workspace', (next) => `id ${next} ${next}`)}`,
  'a cycle of 199 fragments through fields': `${WORKSPACE} ${cycle('Workspace', (next) => `projects { nodes { workspace { ${next} } } }`)}`,
  'a cycle of 199 fragments at the top': `{ ...F0 } ${cycle('Query', (next) => next)}`,
  'a cycle of 199 fragments at the top of a mutation': `mutation { ...F0 } ${cycle('Mutation', (next) => next)}`,
  'a cycle of 199 fragments that no operation spreads': `{ __typename } ${cycle('Workspace', (next) => `id ${next}`)}`,
  'deep nesting': `{ ${'a { '.repeat(2_400)}b${' }'.repeat(2_400)} }`,
  'deep nesting of inline fragments': `{ ${'... { '.repeat(2_400)}__typename${' }'.repeat(2_400)} }`,
  'deep nesting of lists': `{ node(id: ${'['.repeat(4_900)}1${']'.repeat(4_900)}) { id } }`,
};

export const circularFragments: Attack = {
  name: 'graphql.fragments',
  what: 'cycles of 199 fragments, and deep nesting, with a credential and without',
  lastsMs: 10_000,
  run: async (target) => {
    const client = target.client();
    const broken = new Set<string>();
    for (let number = 0; number < ROUNDS && !target.isOver(); number += 1) {
      for (const credential of [target.attacker.ownerSecret, undefined])
        for (const sentence of await ask(client, credential)) broken.add(sentence);
    }
    return [...broken];
  },
};

async function ask(client: Client, credential: string | undefined): Promise<string[]> {
  const broken: string[] = [];
  const expected = credential === undefined ? [400, 401] : [400];
  for (const [name, query] of Object.entries(DOCUMENTS)) {
    const { status, code } = await client.graphql(query, {}, credential === undefined ? {} : { 'x-api-key': credential });
    if (![...expected, 429].includes(status))
      broken.push(`${name} was answered ${status} ${code ?? ''}, and is to be ${expected.join(' or ')}`);
  }
  return broken;
}
