import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  buildClientSchema,
  buildSchema,
  findBreakingChanges,
  getIntrospectionQuery,
  isEnumType,
  isInputObjectType,
  getNullableType,
  isInterfaceType,
  isIntrospectionType,
  isListType,
  isObjectType,
  isScalarType,
  isSpecifiedScalarType,
  lexicographicSortSchema,
  printSchema,
  validateSchema,
  type GraphQLSchema,
} from 'graphql';
import { maxItemsOf } from '../src/lib/graphql-types';
import { describeSchema } from '../src/schema';
import type { Workspace } from '../src/tenancy/workspace.entity';
import { ROOT_KEY, createTestApp, type TestApp } from './support/app';
import { buildProject, buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';

const contract = buildSchema(readFileSync(join(__dirname, 'contract/contract.graphql'), 'utf8'));

let app: TestApp;
let served: GraphQLSchema;
let workspace: Workspace;

beforeAll(async () => {
  app = await createTestApp();
  const { data } = await app.graphql(getIntrospectionQuery({ specifiedByUrl: true }), {}, null);
  served = buildClientSchema(data);
  workspace = await buildWorkspace(app);
});

afterAll(() => app.close());

/** All documented parts of a schema, as `Type`, `Type.field`, `Type.field(argument)` or `Enum.VALUE`. */
function* partsOf(schema: GraphQLSchema): Generator<{ place: string; description: string | null | undefined; defaultValue?: unknown }> {
  for (const type of Object.values(schema.getTypeMap())) {
    if (isIntrospectionType(type) || isSpecifiedScalarType(type)) continue;
    yield { place: type.name, description: type.description };
    if (isEnumType(type))
      for (const value of type.getValues()) yield { place: `${type.name}.${value.name}`, description: value.description };
    if (isInputObjectType(type))
      for (const field of Object.values(type.getFields())) yield { ...field, place: `${type.name}.${field.name}` };
    if (!isObjectType(type) && !isInterfaceType(type)) continue;
    for (const field of Object.values(type.getFields())) {
      yield { place: `${type.name}.${field.name}`, description: field.description };
      for (const arg of field.args) yield { ...arg, place: `${type.name}.${field.name}(${arg.name})` };
    }
  }
}

describe('the schema', () => {
  it('states the maximum number of items of each list that is not paged, because it is the price of the list', () => {
    const lists = Object.values(describeSchema().getTypeMap()).flatMap((type) =>
      isObjectType(type) && !isIntrospectionType(type) && !type.name.endsWith('Connection')
        ? Object.values(type.getFields()).filter((field) => isListType(getNullableType(field.type)))
        : [],
    );
    expect(lists.length).toBeGreaterThan(10);
    expect(lists.filter((field) => maxItemsOf(field) === undefined)).toEqual([]);
  });

  it('keeps the contract: no type, field, argument or value is removed, renamed or has another type', () => {
    expect(findBreakingChanges(contract, served)).toEqual([]);
  });

  it('is valid; building the schema does not check this', () => {
    expect(validateSchema(describeSchema())).toEqual([]);
  });

  it('keeps the default values of the contract', () => {
    const defaultsOf = (schema: GraphQLSchema) =>
      [...partsOf(schema)].flatMap(({ place, defaultValue }) => (defaultValue === undefined ? [] : [[place, defaultValue]]));
    expect(defaultsOf(contract)).toHaveLength(8);
    expect(Object.fromEntries(defaultsOf(served))).toMatchObject(Object.fromEntries(defaultsOf(contract)));
  });

  it('names the specifications of its scalars', () => {
    for (const type of Object.values(contract.getTypeMap())) {
      if (!isScalarType(type) || !type.specifiedByURL) continue;
      expect(served.getType(type.name)).toMatchObject({ specifiedByURL: type.specifiedByURL });
    }
  });

  it('describes every type, field, argument, input field and enum value', () => {
    const undescribed = [...partsOf(served)].filter(({ description }) => !description?.trim()).map(({ place }) => place);
    expect(undescribed).toEqual([]);
  });

  it('is served exactly as in schema.graphql', () => {
    const committed = buildSchema(readFileSync(join(__dirname, '../schema.graphql'), 'utf8'));
    expect(printSchema(lexicographicSortSchema(served))).toBe(printSchema(lexicographicSortSchema(committed)));
  });
});

describe('DateTime', () => {
  const mintUntil = async (expiresAt: string, asLiteral: boolean): Promise<string> => {
    const project = await buildProject(app, { workspace, budget: 0 });
    const rest = `projectId: "${project.id}", name: "Key", permissions: []`;
    const operation = asLiteral
      ? `mutation { mintKey(input: { ${rest}, expiresAt: "${expiresAt}" }) { key { expiresAt } } }`
      : `mutation ($at: DateTime) { mintKey(input: { ${rest}, expiresAt: $at }) { key { expiresAt } } }`;
    const { data, errors } = await app.graphql(operation, asLiteral ? {} : { at: expiresAt });
    expect(errors).toBeUndefined();
    return data.mintKey.key.expiresAt;
  };

  it.each([
    ['2099-11-21T09:30:00Z', '2099-11-21T09:30:00.000Z'],
    ['2099-11-21T09:30:00.5Z', '2099-11-21T09:30:00.500Z'],
    ['2099-11-21T09:30:00.123987Z', '2099-11-21T09:30:00.123Z'],
    ['2099-11-21T09:30:00+02:00', '2099-11-21T07:30:00.000Z'],
    ['2099-12-31T23:30:00.001-05:30', '2100-01-01T05:00:00.001Z'],
    ['2096-02-29t00:00:00z', '2096-02-29T00:00:00.000Z'],
  ])('accepts %s, as a variable and in the document, and returns %s', async (given, returned) => {
    expect(await mintUntil(given, false)).toBe(returned);
    expect(await mintUntil(given, true)).toBe(returned);
  });

  const from = (value: unknown) =>
    app.graphql(
      'query ($id: ID!, $from: DateTime) { workspace(id: $id) { wallet { ledger(filter: { from: $from }) { nodes { id } } } } }',
      { id: workspace.id, from: value },
    );

  it.each([
    ['2026-11-21'],
    ['2026-11-21T09:30:00'],
    ['2026-02-30T00:00:00Z'],
    ['2026-11-21T24:00:00Z'],
    ['2026-11-21T09:30:00|02:00'],
    ['2026-12-31T23:59:60Z'],
    ['9999-12-31T23:59:59-14:00'],
    ['0000-01-01T00:00:00+01:00'],
    ['tomorrow'],
    [''],
    [1_795_253_400_000],
    [true],
    [{}],
  ])('refuses %j with INVALID_REQUEST and its path', async (value) => {
    const { status, errors } = await from(value);
    expect(status).toBe(400);
    expect(errors).toEqual([
      expect.objectContaining({
        extensions: { code: 'INVALID_REQUEST', issues: [{ path: ['from'], message: expect.stringContaining('DateTime') }] },
      }),
    ]);
  });

  it('refuses an invalid DateTime in the document as a validation error of GraphQL', async () => {
    const { status, errors } = await app.graphql(
      '{ workspaces { nodes { wallet { ledger(filter: { from: "tomorrow" }) { nodes { id } } } } } }',
    );
    expect(status).toBe(400);
    expect(errors?.[0]?.extensions.code).toBe('GRAPHQL_VALIDATION_FAILED');
  });
});

describe('MicroCredits', () => {
  const MAX = 9_007_199_254_740_991;
  const TOP_UP = 'mutation ($input: TopUpWalletInput!) { topUpWallet(input: $input) { wallet { balance } entry { delta balanceAfter } } }';

  it('are exact up to 2^53 - 1, as a variable and in the document', async () => {
    const [one, other] = [await buildWorkspace(app), await buildWorkspace(app)];
    const byVariable = await app.graphql(TOP_UP, { input: { workspaceId: one.id, amount: MAX, reference: 'max' } });
    const byLiteral = await app.graphql(
      TOP_UP.replace('$input)', `{ workspaceId: "${other.id}", amount: ${MAX}, reference: "max" })`).replace(
        '($input: TopUpWalletInput!)',
        '',
      ),
    );
    for (const { data } of [byVariable, byLiteral])
      expect(data.topUpWallet).toEqual({ wallet: { balance: MAX }, entry: { delta: MAX, balanceAfter: MAX } });
  });

  it.each([[MAX + 1], [-MAX - 1], [1e300], [1.5], ['5'], [''], [true], [null], [[]], [{}]])(
    'refuses %j with INVALID_REQUEST and its path',
    async (amount) => {
      const { status, data, errors } = await app.graphql(TOP_UP, { input: { workspaceId: workspace.id, amount, reference: 'refused' } });
      expect({ status, data }).toEqual({ status: 400, data: undefined });
      expect(errors).toEqual([
        expect.objectContaining({
          extensions: {
            code: 'INVALID_REQUEST',
            issues: [{ path: ['input', 'amount'], message: expect.stringContaining('MicroCredits') }],
          },
        }),
      ]);
    },
  );

  it.each(['9007199254740992', '9007199254740993', '-9007199254740992', '1.0', '1e3', '"5"', 'true', 'null', '[]', '{}'])(
    'refuses %s in the document as a validation error of GraphQL',
    async (literal) => {
      const { status, errors } = await app.graphql(
        `mutation { topUpWallet(input: { workspaceId: "${workspace.id}", amount: ${literal}, reference: "refused" }) { entry { id } } }`,
      );
      expect(status).toBe(400);
      expect(errors?.map(({ extensions }) => extensions.code)).toEqual(['GRAPHQL_VALIDATION_FAILED']);
    },
  );

  const INEXACT = [
    ...['1.00000000000000001', '4503599627370497.4', '9007199254740991.3', '12345678901234567890', '1e400', '1e-400'],
    `1${'0'.repeat(900_000)}1`,
  ];
  it.each(INEXACT)('refuses a request with a number that a double cannot represent exactly (case %#)', async (amount) => {
    const input = { workspaceId: workspace.id, amount: 'AMOUNT', reference: 'refused' };
    const body = JSON.stringify({ query: TOP_UP, variables: { input } }).replace('"AMOUNT"', amount);
    const headers = { 'content-type': 'application/json', 'x-api-key': ROOT_KEY };
    const response = await fetch(`${app.url}/graphql`, { method: 'POST', headers, body });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      errors: [{ message: expect.stringContaining('digits'), extensions: { code: 'INVALID_REQUEST' } }],
    });
  });

  it('accepts any notation of a number that a double represents exactly', async () => {
    const { id } = await buildWorkspace(app);
    const input = { workspaceId: id, amount: 'AMOUNT', reference: '12345678901234567890' };
    const body = JSON.stringify({ query: TOP_UP, variables: { input } }).replace('"AMOUNT"', '9.007199254740991E15');
    const headers = { 'content-type': 'application/json', 'x-api-key': ROOT_KEY };
    const response = await fetch(`${app.url}/graphql`, { method: 'POST', headers, body });
    expect(await response.json()).toMatchObject({ data: { topUpWallet: { wallet: { balance: MAX } } } });
  });

  it('credited nothing with the refused mutations', async () => {
    const { data } = await app.graphql('query ($id: ID!) { workspace(id: $id) { wallet { balance ledger { nodes { id } } } } }', {
      id: workspace.id,
    });
    expect(data.workspace.wallet).toEqual({ balance: 0, ledger: { nodes: [] } });
  });

  it('refuses sums beyond 2^53 - 1, and keeps the balance', async () => {
    const { mutate, issuePaths } = mutations(app);
    const { id } = await buildWorkspace(app);
    await mutate('topUpWallet', { workspaceId: id, amount: MAX, reference: 'all' }, '__typename');
    expect(await issuePaths('topUpWallet', { workspaceId: id, amount: 1, reference: 'more' })).toEqual(['input.amount']);
    expect(await issuePaths('adjustBalance', { workspaceId: id, delta: 1, reason: 'more' })).toEqual(['input.delta']);
    const { entry } = await mutate('adjustBalance', { workspaceId: id, delta: -1, reason: 'less' }, 'entry { balanceAfter }');
    expect(entry.balanceAfter).toBe(MAX - 1);
  });
});
