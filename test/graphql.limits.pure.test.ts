import { getIntrospectionQuery } from 'graphql';
import { createTestApp, type TestApp } from './support/app';
import { buildKey, buildProject, buildWorkspace } from './support/factories';
import { until } from './support/until';

let app: TestApp;
let project: Awaited<ReturnType<typeof buildProject>>;

beforeAll(async () => {
  app = await createTestApp();
  project = await buildProject(app);
});

afterAll(() => app.close());

interface Cost {
  requested: number;
  actual: number;
  left: number;
  max: number;
  refillPerSecond: number;
}

interface Answer {
  status: number;
  headers: Headers;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the shape of its answer
  data?: any;
  errors?: {
    message: string;
    extensions: { code: string; limits?: { limit: string; asked: number; allowed: number }[]; retryAfterMs?: number };
  }[];
  extensions?: { cost?: Cost };
}

/** Sends a request as the operator, or with another secret, or with no credential if `secret` is null. Returns the whole answer. */
async function ask(body: object, secret: string | null = app.rootKey, at = app): Promise<Answer> {
  const response = await fetch(`${at.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(secret === null ? {} : { 'x-api-key': secret }) },
    body: JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, ...((await response.json()) as object) };
}

const costOf = async (query: string, variables: object = {}, secret?: string): Promise<Cost> => {
  const answer = await ask({ query, variables }, secret);
  expect(answer.errors).toBeUndefined();
  return answer.extensions?.cost as Cost;
};

const times = (count: number, make: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => make(index)).join(' ');

/** The points of an answer with this number of objects and values. */
const pointsFor = (objects: number, values: number): number => Math.ceil(objects + values / 10);

describe('the cost of an operation', () => {
  it('is in each answer: requested points, actual points, and points left', async () => {
    const cost = await costOf('{ viewer { id } }', {}, (await buildKey(app)).secret);
    expect(cost).toEqual({ requested: 2, actual: 2, left: expect.any(Number), max: 20_000, refillPerSecond: 1_000 });
    expect(cost.left).toBeGreaterThan(19_900);
  });

  it.each<[string, number, string, object?]>([
    ['a value costs a tenth of a point, and the sum is rounded up', pointsFor(0, 1), '{ __typename }'],
    [
      'a value of a list costs a hundredth, and the maximum length of the list is expected',
      pointsFor(1 + 1 + 1 + 1, (2 * 200) / 10),
      '{ workspaces(first: 1) { nodes { keys(first: 1) { nodes { a: permissions b: permissions } } } } }',
    ],
    ['an object costs one point', pointsFor(2, 2), 'query ($id: ID!) { project(id: $id) { id budget { balance } } }'],
    ['a page costs its requested size', pointsFor(1 + 40 * 2, 40), '{ workspaces(first: 40) { nodes { wallet { id } } } }'],
    [
      'a page size can be a variable',
      pointsFor(1 + 40, 40),
      'query ($first: Int) { workspaces(first: $first) { nodes { id } } }',
      { first: 40 },
    ],
    [
      'a page size can be the default of a variable',
      pointsFor(1 + 40, 40),
      'query ($first: Int = 40) { workspaces(first: $first) { nodes { id } } }',
    ],
    ['a page without a size costs the default size of the list', pointsFor(1 + 25, 25), '{ workspaces { nodes { id } } }'],
    [
      'nested pages multiply',
      pointsFor(1 + 10 * (1 + 1 + 20 * 2), 10 * 20),
      '{ workspaces(first: 10) { nodes { projects(first: 20) { nodes { budget { held } } } } } }',
    ],
    [
      'edges and nodes cost as two lists',
      pointsFor(1 + 1 + 10 + 10 + 10, 10 + 10 + 1),
      '{ workspaces(first: 10) { nodes { id } edges { node { id } } pageInfo { hasNextPage } } }',
    ],
    [
      'a field that is selected twice costs once',
      pointsFor(1 + 10, 2 * 10),
      '{ workspaces(first: 10) { nodes { id } nodes { name } } workspaces(first: 10) { nodes { id } } }',
    ],
    [
      'a field with another alias costs again',
      pointsFor(2 * (1 + 10), 2 * 10),
      '{ a: workspaces(first: 10) { nodes { id } } b: workspaces(first: 10) { nodes { id } } }',
    ],
    [
      'a fragment costs the fields in it',
      pointsFor(1 + 10 + 10, 10 + 10),
      '{ workspaces(first: 10) { ...A } } fragment A on WorkspaceConnection { nodes { ...B ...B ... on Node { id } } } ' +
        'fragment B on Workspace { wallet { id } }',
    ],
    [
      'a skipped field costs nothing',
      pointsFor(1, 1),
      'query ($no: Boolean = false) ' +
        '{ viewer { id } workspaces @include(if: $no) { nodes { id } } actions @skip(if: true) { nodes { id } } }',
    ],
    [
      'a field that is not skipped costs points',
      pointsFor(1 + 25, 25),
      'query ($no: Boolean!) { workspaces @skip(if: $no) { nodes { id } } }',
      { no: false },
    ],
  ])('%s', async (_what, requested, query, variables = {}) => {
    const cost = await costOf(query, query.includes('$id') ? { id: project.id, ...variables } : variables);
    expect(cost.requested).toBe(requested);
    expect(cost.actual).toBeLessThanOrEqual(requested);
  });

  it('includes points for searching with a filter, even if nothing is found, and for every fifty values of the filter', async () => {
    const nothing = { action: times(100, (index) => `none.${index}`).split(' ') };
    const query =
      'query ($id: ID!, $filter: RequestLogFilter) ' +
      '{ project(id: $id) { requestLogs(first: 1, filter: $filter) { totalCount nodes { id } } } }';
    const costWith = (filter?: object) => costOf(query, { id: project.id, filter });
    expect(await costWith()).toMatchObject({ requested: pointsFor(1 + 1 + 10 + 1, 1), actual: pointsFor(1 + 1 + 10, 0) });
    expect(await costWith({ action: ['none'] })).toMatchObject({ requested: pointsFor(1 + 21 + 100 + 1, 1), actual: 1 + 21 + 100 });
    expect(await costWith(nothing)).toMatchObject({ requested: pointsFor(1 + 21 + 2 + 100 + 1, 1), actual: 1 + 21 + 2 + 100 });
    expect(await costWith({})).toMatchObject({ actual: pointsFor(1 + 1 + 10, 0) });
  });

  it('is settled by the objects in the answer; JSON scalars do not count as objects', async () => {
    const { id } = await buildWorkspace(app);
    await app.graphql('mutation ($id: ID!) { updateWorkspace(input: { id: $id, name: "Other" }) { workspace { id } } }', { id });
    const cost = await costOf(
      'query ($id: ID!) { workspace(id: $id) { ' +
        'auditEvents(first: 100) { nodes { before after } } wallet { id } projects { nodes { budget { held } } } } }',
      { id },
    );
    expect(cost).toMatchObject({ requested: pointsFor(1 + (1 + 100) + 1 + (1 + 25 * 2), 2 * 100 + 1 + 25) });
    const events = (await app.graphql('query ($id: ID!) { workspace(id: $id) { auditEvents(first: 100) { nodes { id } } } }', { id })).data
      .workspace.auditEvents.nodes.length;
    expect(cost.actual).toBe(pointsFor(1 + 1 + events + 1 + 1, 2 * events + 1));
  });

  it('includes ten points for each mutation, even if it fails', async () => {
    const answer = await ask({
      query:
        'mutation { a: archiveProject(input: { id: "prj_1" }) { project { id } } ' +
        'b: archiveProject(input: { id: "prj_2" }) { project { id } } }',
    });
    expect(answer.errors?.map(({ extensions }) => extensions.code)).toEqual(['NOT_FOUND', 'NOT_FOUND']);
    expect(answer.extensions?.cost).toMatchObject({ requested: pointsFor(2 * (1 + 10 + 1), 2), actual: 2 * (1 + 10) });
  });

  it('of a page over the maximum size counts the maximum size, and the list refuses the page', async () => {
    const { errors, extensions } = await ask({ query: '{ workspaces(first: 100000) { nodes { id } } }' });
    expect([errors?.[0]?.extensions.code, extensions?.cost?.requested]).toEqual(['INVALID_REQUEST', pointsFor(1 + 100, 100)]);
  });

  it('is the declared complexity of a field that is not a look-up', async () => {
    expect((await costOf('{ auditChain { verify(first: 10) { checked } } }')).requested).toBe(pointsFor(1 + 100, 1));
  });

  it('of introspection is between 100 and 5,000 points', async () => {
    const cost = await costOf(getIntrospectionQuery());
    expect(cost.requested).toBeGreaterThan(100);
    expect(cost.requested).toBeLessThan(5_000);
    expect(cost.actual).toBeGreaterThan(100);
  });

  it('over 10,000 points is refused as QUERY_TOO_COMPLEX with the figures, and no points are taken', async () => {
    const { secret } = await buildKey(app);
    const query = '{ workspaces(first: 100) { nodes { projects(first: 100) { nodes { id } } } } }';
    const { status, data, errors } = await ask({ query }, secret);
    const asked = pointsFor(1 + 100 * (1 + 1 + 100), 100 * 100);
    expect({ status, data }).toEqual({ status: 400, data: undefined });
    expect(errors).toEqual([
      {
        message: expect.stringContaining(`points ${asked}, at most 10000`),
        extensions: { code: 'QUERY_TOO_COMPLEX', limits: [{ limit: 'points', asked, allowed: 10_000 }] },
      },
    ]);
    expect((await costOf('{ __typename }', {}, secret)).left).toBe(19_999);
  });
});

describe('the points of a principal', () => {
  const dear = '{ workspaces(first: 100) { nodes { projects(first: 80) { nodes { id } } } } }';
  /** Costs all its requested points: an error in a non-null field leaves no data. */
  const spend = { query: `${dear.slice(0, -1)} actions(first: 0) { nodes { id } } }` };
  const price = pointsFor(1 + 100 * (1 + 1 + 80) + 1, 100 * 80);

  it('are given back at once if the answer does not use them', async () => {
    const { secret } = await buildKey(app);
    for (let i = 0; i < 5; i++) {
      const cost = await costOf(dear, {}, secret);
      expect(cost).toMatchObject({ requested: pointsFor(1 + 100 * (1 + 1 + 80), 100 * 80), actual: 1 });
      expect(cost.left).toBeGreaterThan(19_900);
    }
  });

  it('can run out: returns 429 RATE_LIMITED with the time until there are enough; other tenants keep their points', async () => {
    const workspace = await buildWorkspace(app);
    const { secret } = await buildKey(app, { workspace });
    const { secret: another } = await buildKey(app, { workspace });
    let refused: Answer | undefined;
    await until(async () => {
      const answers = await Promise.all(Array.from({ length: 4 }, () => ask(spend, secret)));
      refused = answers.find(({ status }) => status === 429);
      return refused !== undefined;
    }, 'a budget to be spent');
    expect(refused?.data).toBeUndefined();
    const [error] = refused?.errors ?? [];
    expect(error?.extensions).toEqual({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
    expect(error?.message).toMatch(new RegExp(`^This asks for ${price} points, and \\d+ are left; 1000 come back each second\\.`));
    const { retryAfterMs = 0 } = error?.extensions ?? {};
    expect(refused?.headers.get('retry-after')).toBe(String(Math.ceil(retryAfterMs / 1000)));
    expect(refused?.extensions?.cost).toMatchObject({ requested: price, actual: 0, max: 20_000 });
    expect(refused?.extensions?.cost?.left).toBeLessThan(price);
    const frozen = jest.spyOn(performance, 'now').mockReturnValue(performance.now()); // no points are added meanwhile
    expect((await ask(spend, another)).status).toBe(429); // all keys of a workspace share the points
    frozen.mockRestore();
    expect((await ask(spend, (await buildKey(app)).secret)).status).toBe(200);
    const started = performance.now();
    await until(async () => (await ask(spend, secret)).status !== 429, 'points to come back');
    expect(performance.now() - started).toBeLessThan(retryAfterMs + 10_000);
  });

  it('are also taken for documents that are refused, by the number of tokens', async () => {
    const { secret } = await buildKey(app);
    const wrong = `query ($id: ID!) { nodes(ids: [${times(9_900, () => '"x"')}]) { nothing } }`;
    const now = jest.spyOn(performance, 'now').mockReturnValue(performance.now()); // no points are added meanwhile
    const answers: Answer[] = [];
    for (let asked = 0; asked < 110; asked += 10)
      answers.push(...(await Promise.all(Array.from({ length: 10 }, () => ask({ query: wrong }, secret)))));
    now.mockRestore();
    expect(answers.find(({ status }) => status === 429)?.errors?.[0]).toMatchObject({
      message: expect.stringMatching(/^This asks for 198 points, /),
      extensions: { code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) },
    });
    expect(answers.filter(({ status }) => status === 400)).toHaveLength(Math.floor(20_000 / 198));
    // An operation that runs costs only its fields
    expect((await ask({ query: '{ viewer { id } }' }, secret)).extensions?.cost).toMatchObject({ requested: 2, actual: 2 });
  });

  it('belong to the address if the request has no credential', async () => {
    const before = await ask({ query: '{ __typename }' }, null);
    const after = await ask({ query: '{ __schema { types { fields { args { type { name } } } } } }' }, null);
    expect(after.extensions?.cost?.actual).toBeGreaterThan(10);
    expect(after.extensions?.cost?.left).toBeLessThan(before.extensions?.cost?.left ?? 0);
  });
});

describe('a document over a limit', () => {
  it.each<[string, number, number, string]>([
    ['length', 65_537, 65_536, `{ __typename } #${'x'.repeat(65_537 - 16)}`],
    ['tokens', 10_004, 10_000, `{ node(id: ["", ${'"" '.repeat(9_991)}]) { id } }`],
    ['nesting', 53, 50, `{ node(id: ${'['.repeat(51)}${']'.repeat(51)}) { id } }`],
    ['directives', 51, 50, `{ viewer ${'@skip(if: false) '.repeat(51)} { id } }`],
    ['operations', 101, 100, times(101, (index) => `query Q${index} { __typename }`)],
    ['fragments', 201, 200, `{ __typename } ${times(201, (index) => `fragment F${index} on Query { __typename }`)}`],
    ['depth', 21, 20, `{ ${'a { '.repeat(20)} id ${'} '.repeat(20)} }`],
    ['rootFields', 51, 50, `{ ${times(51, (index) => `f${index}`)} }`],
    ['breadth', 201, 200, `{ viewer { ${times(201, (index) => `f${index}`)} } }`],
    ['selections', 2_001, 2_000, `{ ${times(40, (index) => `f${index} { ${times(49, (inner) => `g${inner}`)} }`)} ...A }`],
    ['repeats', 51, 50, `{ ${'viewer { id } '.repeat(51)} }`],
    ['variables', 201, 200, `query (${times(201, (index) => `$v${index}: Int`)}) { __typename }`],
    ['aliases', 101, 100, `{ viewer { ${times(101, (index) => `a${index}: id`)} } }`],
  ])(
    'is refused as QUERY_TOO_COMPLEX with the figures, before validation and before authentication: %s',
    async (limit, asked, allowed, query) => {
      for (const secret of [app.rootKey, null]) {
        const { status, data, errors } = await ask({ query }, secret);
        expect({ status, data, code: errors?.[0]?.extensions.code }).toEqual({ status: 400, data: undefined, code: 'QUERY_TOO_COMPLEX' });
        expect(errors?.[0]?.extensions.limits).toContainEqual({ limit, asked, allowed });
        expect(errors?.[0]?.message).toContain(`${limit} ${asked}, at most ${allowed}`);
      }
    },
  );

  it('is refused if its variables have too many values', async () => {
    const query = 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }';
    const { status, errors } = await ask({ query, variables: { ids: Array.from({ length: 6_000 }, () => 'x') } });
    expect([status, errors?.[0]?.extensions.limits]).toEqual([400, [{ limit: 'values', asked: 5_001, allowed: 5_000 }]]);
  });

  it('is counted with its fragments expanded', async () => {
    const spreads = (index: number) => times(2, (inner) => `a${inner}: memberships { ...F${index} }`);
    const fragments = times(7, (index) => `fragment F${index} on Viewer { ${spreads(index + 1)} }`);
    const query = `{ ${times(2, (index) => `a${index}: viewer { ...F0 }`)} } ${fragments} fragment F7 on Viewer { id }`;
    expect((await ask({ query })).errors?.[0]?.extensions.limits).toContainEqual({
      limit: 'aliases',
      asked: expect.any(Number),
      allowed: 100,
    });
  });
});

describe('without a credential', () => {
  it('an operation that is not public is refused with 401 before validation', async () => {
    const { status, errors } = await ask({ query: '{ viewer { nope } nope }' }, null);
    expect({ status, codes: errors?.map(({ extensions }) => extensions.code) }).toEqual({ status: 401, codes: ['UNAUTHENTICATED'] });
    expect((await ask({ query: 'mutation { signIn { nope } }' }, null)).errors?.[0]?.extensions.code).toBe('GRAPHQL_VALIDATION_FAILED');
  });
});

describe('configuration', () => {
  it('can disable introspection for all callers; errors and documentation then show no names of the schema', async () => {
    const closed = await createTestApp({ config: { graphqlIntrospection: false } });
    try {
      for (const secret of [app.rootKey, null]) {
        for (const query of [getIntrospectionQuery(), '{ __type(name: "Viewer") { name } }']) {
          const { status, data, errors } = await ask({ query }, secret, closed);
          expect({ status, data, code: errors?.[0]?.extensions.code }).toEqual({
            status: 400,
            data: undefined,
            code: 'GRAPHQL_VALIDATION_FAILED',
          });
          expect(errors?.[0]?.message).not.toContain('Apollo');
        }
      }
      expect((await ask({ query: '{ viewer { idd } }' }, app.rootKey, closed)).errors?.[0]?.message).not.toContain('Did you mean');
      expect((await ask({ query: '{ viewer { id } }' }, app.rootKey, closed)).data).toEqual({ viewer: { id: 'viewer_operator' } });
      const docs = async (page: string) =>
        fetch(`${closed.url}/docs/${page}`).then(async (answer) => [answer.status, answer.status === 200 ? await answer.text() : '']);
      for (const page of ['queries.html', 'mutations.html', 'subscriptions.html', 'types.html', 'inputs.html'])
        expect(await docs(page)).toEqual([404, '']);
      for (const page of ['', 'errors.html', 'limits.html', 'rest.html', 'enums.html'])
        expect(await docs(page)).toEqual([200, expect.not.stringMatching(/mintKey|RequestOutcome|ApiKeyFilter/)]);
    } finally {
      await closed.close();
    }
  });

  it('can enable batches; the limits apply to all operations of a batch together', async () => {
    const open = await createTestApp({ config: { graphqlBatching: true } });
    const batch = async (operations: object[], secret: string | null = app.rootKey): Promise<{ status: number; answers: Answer[] }> => {
      const response = await fetch(`${open.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(secret === null ? {} : { 'x-api-key': secret }) },
        body: JSON.stringify(operations),
      });
      const answers = (await response.json()) as Answer | Answer[];
      return { status: response.status, answers: Array.isArray(answers) ? answers : [answers] };
    };
    const codesOf = (answers: Answer[]) => answers.map(({ errors }) => errors?.[0]?.extensions.code);
    const limitsOf = (answers: Answer[]) => answers.flatMap(({ errors }) => errors?.[0]?.extensions.limits ?? []);
    try {
      const two = await batch([{ query: '{ viewer { id } }' }, { query: '{ workspaces { nodes { id } } }' }]);
      expect([two.status, two.answers.map(({ data }) => data)]).toEqual([
        200,
        [{ viewer: { id: 'viewer_operator' } }, { workspaces: { nodes: [] } }],
      ]);
      const many = await batch(Array.from({ length: 11 }, () => ({ query: '{ __typename }' })));
      expect([many.status, limitsOf(many.answers)]).toEqual([400, [{ limit: 'batch', asked: 11, allowed: 10 }]]);
      const aliased = await batch(Array.from({ length: 2 }, () => ({ query: `{ viewer { ${times(51, (index) => `a${index}: id`)} } }` })));
      expect([aliased.status, limitsOf(aliased.answers)]).toEqual([400, [{ limit: 'aliases', asked: 102, allowed: 100 }]]);
      const dear = await batch(
        Array.from({ length: 3 }, () => ({ query: '{ workspaces(first: 100) { nodes { projects(first: 40) { nodes { id } } } } }' })),
      );
      expect(codesOf(dear.answers)).toEqual([undefined, undefined, 'QUERY_TOO_COMPLEX']);
      const nobody = await batch([{ query: '{ __typename }' }, { query: '{ viewer { id } }' }], null);
      expect([nobody.status, codesOf(nobody.answers)]).toEqual([401, ['UNAUTHENTICATED']]);
    } finally {
      await open.close();
    }
  });
});
