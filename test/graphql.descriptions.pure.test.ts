import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSchema, getNamedType, type GraphQLField, type GraphQLInputObjectType } from 'graphql';
import { operationsOf } from './support/operations';
import { FIELDS, ROOT_FIELDS, type Needs } from './support/tenancy-table';

// The descriptions are the reference manual. Compares their permissions and errors with the table of the tenancy tests.

const read = (file: string): string => readFileSync(join(__dirname, '..', file), 'utf8');
const schema = buildSchema(read('schema.graphql'));
const mutations = Object.values(schema.getMutationType()?.getFields() ?? {});
const [, table = ''] = /^type Code =\n([\s\S]*?);$/m.exec(read('src/graphql/errors.ts')) ?? [];
const CODES = [...table.matchAll(/'([A-Z_]+)'/g)].map((match) => match[1] as string);

/** The text of a description that names the required permission. */
function sentenceOf(needs: Needs): string | undefined {
  switch (needs) {
    case 'nothing':
      return 'Public.';
    case 'operator':
      return 'Operator only.';
    case 'person':
    case 'own':
      return 'Only for people who have signed in.';
    case 'credential':
    case 'knowledge':
      return undefined;
    default:
      return `\`${needs}\``;
  }
}

const errorsOf = ({ description }: GraphQLField<unknown, unknown>): string | undefined =>
  /(?:^|\s)(Errors: [\s\S]*)/.exec(description ?? '')?.[1];

describe('the description of each mutation', () => {
  it.each(mutations.map((field) => [field.name, field] as const))('of %s names its permission and its error codes', (name, field) => {
    expect(field.description).toContain(sentenceOf(ROOT_FIELDS[`Mutation.${name}`]?.needs ?? 'knowledge') ?? '');
    const errors = errorsOf(field);
    const coded = [...(errors ?? '').matchAll(/`([A-Z_]{4,})`/g)].map((match) => match[1]);
    expect(errors).toBeDefined();
    expect(CODES).toEqual(expect.arrayContaining(coded));
    expect(coded.length > 0).toBe(errors !== 'Errors: only those that any mutation can have.');
  });

  it('names NOT_FOUND if the mutation takes an id', () => {
    const takers = operationsOf(schema, 'id').filter(({ type, takesId }) => type === 'mutation' && takesId);
    expect(takers.length).toBeGreaterThan(20);
    const silent = takers.filter(
      ({ field }) => !errorsOf(schema.getMutationType()?.getFields()[field] as GraphQLField<unknown, unknown>)?.includes('`NOT_FOUND`'),
    );
    expect(silent).toEqual([]);
  });
});

it('the description of each mutation with expectedVersion names CONFLICT', () => {
  const takers = mutations.filter(
    ({ args: [input] }) =>
      input && 'expectedVersion' in ((getNamedType(input.type) as Partial<GraphQLInputObjectType>).getFields?.() ?? {}),
  );
  expect(takers.length).toBeGreaterThan(3);
  for (const field of takers) expect(errorsOf(field)).toMatch(/`CONFLICT`.*`expectedVersion`/);
});

it('the description of each field that needs a permission names it', () => {
  const permissions = (rows: [string, Needs][]) => rows.filter(([, needs]) => needs.includes('.') || needs === 'operator');
  const rows = permissions([
    ...Object.entries(FIELDS),
    ...Object.entries(ROOT_FIELDS).map(([name, { needs }]): [string, Needs] => [name, needs]),
  ]);
  // These fields need no more permissions than their object
  const reachedByIt = /^(ApiKey\.(project|role)|ServiceAccount\.(workspace|projects|role)|RequestLog\.project)$/;
  for (const [place, needs] of rows.filter(([name]) => !reachedByIt.test(name))) {
    const [type = '', name = ''] = place.replace(/\(.*/, '').split('.');
    const fields =
      (schema.getType(type) as { getFields?(): Record<string, GraphQLField<unknown, unknown>> } | undefined)?.getFields?.() ?? {};
    const sentence = sentenceOf(needs.replace('own or ', '') as Needs) ?? '';
    const asked = needs === 'operator' ? /operator only/i : new RegExp(sentence.replace('.', '\\.'));
    expect({ place, description: fields[name]?.description }).toEqual({ place, description: expect.stringMatching(asked) });
  }
});

it('the description of every amount, duration and limit names the unit', () => {
  const inputs = Object.values(schema.getTypeMap()).flatMap((type) =>
    'getFields' in type && !type.name.startsWith('__') ? Object.values(type.getFields()).map((field) => ({ type: type.name, field })) : [],
  );
  const timed = inputs.filter(({ field }) => /(Ms|Seconds|Rps|Bytes|Days)$/.test(field.name));
  expect(timed.length).toBeGreaterThan(3);
  for (const { type, field } of timed)
    expect({ place: `${type}.${field.name}`, text: field.description }).toMatchObject({
      text: expect.stringMatching(/milliseconds|second|bytes|days/i),
    });
  expect(schema.getType('MicroCredits')?.description).toContain('1 USD = 1,000,000');
});
