import { readFileSync } from 'node:fs';
import { buildSchema, getNamedType, isObjectType } from 'graphql';
import { createTestApp, type TestApp } from './support/app';
import { statementsOf } from './support/statements';
import { explain, type Plan } from './scale/explain';
import { fill, type Filled } from './scale/fill';
import { ALIKE, CASES } from './scale/lists';

// Checks how the database reads each list: the cost of a page must not grow with the list. test/scale measures this with a million rows.

const ROWS = 4_000;

let app: TestApp;
let filled: Filled;

beforeAll(async () => {
  app = await createTestApp();
  filled = await fill(app, ROWS);
}, 60_000);

afterAll(() => app.close());

it('every list of the schema has a case below', () => {
  const types = Object.values(buildSchema(readFileSync('schema.graphql', 'utf8')).getTypeMap()).filter(isObjectType);
  const named = types.flatMap((type) =>
    Object.values(type.getFields()).flatMap((field) =>
      getNamedType(field.type).name.endsWith('Connection') ? [`${type.name}.${field.name}`] : [],
    ),
  );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((name) => !CASES.some((list) => list.name.startsWith(ALIKE[name] ?? name)))).toEqual([]);
});

it.each(CASES)(
  '$name is read from its index without a sort and without a scan of a whole table',
  async ({ query, args, variables, index, isSparse }) => {
    const plans: Plan[] = [];
    const statements = await statementsOf(app, async () => {
      const { data, errors } = await app.graphql(query.replace('PAGE', args), variables(filled, ROWS));
      expect(errors).toBeUndefined();
      if (!isSparse) expect(JSON.stringify(data).split('},{').length).toBeGreaterThanOrEqual(100);
    });
    for (const statement of statements.filter(({ sql }) => /^SELECT .* FROM/s.test(sql))) plans.push(await explain(app, statement));
    const scans = plans.filter(({ accesses }) => accesses.some(({ isScan }) => isScan)).map(({ text }) => text);
    expect(scans).toEqual([]);
    const sorted = plans.filter(({ sorts }) => sorts).map(({ text }) => text);
    expect(isSparse && index === 'request_logs_by_request_id' ? [] : sorted).toEqual([]); // one requestId has only a few rows to sort
    const used = plans.flatMap(({ accesses }) => accesses.flatMap((access) => access.index ?? []));
    if (typeof index === 'string') expect(used).toContain(index);
    else expect(used.filter((name) => index.test(name)).length).toBeGreaterThan(1);
  },
);
