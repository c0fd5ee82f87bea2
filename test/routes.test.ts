import { OWN_PATHS, isOwnPath } from '../src/routes/own-paths';
import { createTestApp, type TestApp } from './support/app';
import { ORIGIN, buildAction, buildKey, buildRoute, ghostOf } from './support/factories';
import { mutations } from './support/mutate';
import { closeNodes } from './support/nodes';
import { serverRoutes } from './support/server-routes';

let app: TestApp;
let mutate: ReturnType<typeof mutations>['mutate'];
let refusal: ReturnType<typeof mutations>['refusal'];
let issuePaths: ReturnType<typeof mutations>['issuePaths'];
let actionId: string;

beforeAll(async () => {
  app = await createTestApp();
  ({ mutate, refusal, issuePaths } = mutations(app));
  actionId = (await buildAction(app, { upstreamUrl: 'http://upstream.invalid' })).id;
});

afterAll(() => closeNodes(app));

const upstreamUrl = 'https://upstream.example';
const ALL = `route {
  id host methods path action { id } upstreamUrl upstreamPath billedStatuses usage { unit pointer } replayable passCredential maxBodyBytes
  idleTimeoutMs maxDurationMs passPreflight enabled version createdAt
}`;

let made = 0;
const input = (values: Record<string, unknown> = {}) => ({ path: `/made-${(made += 1)}`, actionId, upstreamUrl, ...values });
const create = async (values: Record<string, unknown> = {}) => (await mutate('createRoute', input(values), ALL)).route;
/** The id of the route that this process finds. */
const found = (method: string, rawUrl: string, host?: string) => {
  const match = app.routes.table.match(method, host, rawUrl);
  return match.kind === 'route' ? match.route.id : match.kind;
};

describe('createRoute', () => {
  it('creates a route that this process matches at once, with defaults', async () => {
    const route = await create({ path: '/v1/items/:id' });
    expect(route).toEqual({
      id: expect.stringMatching(/^rte_[0-9A-Za-z]{22}$/),
      host: null,
      methods: [],
      path: '/v1/items/:id',
      action: { id: actionId },
      upstreamUrl,
      upstreamPath: null,
      billedStatuses: ['2xx'],
      usage: [],
      replayable: false,
      passCredential: false,
      maxBodyBytes: 104_857_600,
      idleTimeoutMs: 60_000,
      maxDurationMs: 600_000,
      passPreflight: false,
      enabled: true,
      version: 1,
      createdAt: expect.any(String),
    });
    expect(found('PUT', '/v1/items/7')).toBe(route.id);
    const query = 'query ($id: ID!) { node(id: $id) { __typename ... on Route { path } } }';
    expect((await app.graphql(query, { id: route.id })).data.node).toEqual({ __typename: 'Route', path: '/v1/items/:id' });
  });

  it('keeps every property', async () => {
    const values = {
      host: 'api.example.com',
      methods: ['GET', 'M-SEARCH'],
      path: '/all/:a/:b_2/*',
      upstreamUrl: 'http://127.0.0.1:8080/base/path',
      upstreamPath: '/:b_2/fixed/:a/*',
      billedStatuses: ['200', '404', '3xx'],
      usage: [{ unit: 'output_tokens', pointer: '/usage/a~1b~0/0' }, { unit: 'all', pointer: '' }],
      replayable: true,
      passCredential: true,
      maxBodyBytes: 0,
      idleTimeoutMs: 1_000,
      maxDurationMs: 3_600_000,
      passPreflight: true,
      enabled: false,
    };
    const { id } = await create(values);
    const [listed] = (await app.graphql(`{ routes(first: 1) { nodes ${ALL.slice('route '.length)} } }`)).data.routes.nodes;
    expect(listed).toMatchObject({ id, ...values });
  });

  it('writes the host in lower case, and lists each method and status once', async () => {
    const route = await create({ host: 'API.Example.COM', methods: ['PUT', 'GET', 'PUT'], billedStatuses: ['200', '200'] });
    expect(route).toMatchObject({ host: 'api.example.com', methods: ['PUT', 'GET'], billedStatuses: ['200'] });
    for (const host of ['a', 'xn--mnchen-3ya.de', '127.0.0.1', '[::1]', 'a_b.example']) expect((await create({ host })).host).toBe(host);
  });

  it.each([
    ['host', '', ' ', 'a b', 'a:80', 'http://a', 'a/b', 'a.', '.a', '*', '*.a', 'a@b', 'x'.repeat(254)],
    ['host', 'münchen.de', '127.1', '::1', '[::01]'],
    ['methods', ['get'], ['CONNECT'], ['TRACE'], ['BREW'], ['*'], ['']],
    ['upstreamUrl', '', 'x', '//x', 'ftp://x', 'https://u@x', 'https://u:p@x', 'https://x?', 'https://x/?a', 'https://x#'],
    ['upstreamUrl', 'https://x\\y', ' https://x', `https://x/${'y'.repeat(2_000)}`, 'https://x/ö'],
    ['billedStatuses', [], ['1xx'], ['100'], ['600'], ['2XX'], ['20'], ['2000'], ['*'], Array(51).fill('200')],
    ['usage', ...['', 'A', '1a', 'a-b', 'a'.repeat(41)].map((unit) => [{ unit, pointer: '/a' }])],
    ['usage', ...['a', '/~', '/~2', '#/a', 'x'.repeat(501)].map((pointer) => [{ unit: 'a', pointer }])],
    ['usage', Array.from({ length: 21 }, (_, index) => ({ unit: `a${index}`, pointer: '' })), Array(2).fill({ unit: 'a', pointer: '/a' })],
    ['maxBodyBytes', -1],
    ['idleTimeoutMs', 999, 300_001],
    ['maxDurationMs', 999, 3_600_001],
  ])('refuses a wrong %s', async (field, ...wrong) => {
    for (const value of wrong) {
      const paths = await issuePaths('createRoute', input({ [field]: value }));
      expect([value, paths]).toEqual([value, [expect.stringMatching(new RegExp(`^input\\.${field}(\\.|$)`))]]);
    }
  });

  it('refuses a usage without any unit that its action prices, and accepts one with other units besides', async () => {
    const priced = await buildAction(app, {
      unitPrices: [{ unit: 'faces', microCredits: 10, per: 1 }],
      maxChargeMicroCredits: 2_000,
    });
    const usage = [{ unit: 'face', pointer: '/faces' }];
    expect(await issuePaths('createRoute', input({ actionId: priced.id, usage }))).toEqual(['input.usage']);
    const { id } = await create({ usage }); // this action has no prices by unit
    expect(await issuePaths('updateRoute', { id, actionId: priced.id })).toEqual(['input.usage']);
    const both = [...usage, { unit: 'faces', pointer: '/faces' }];
    expect((await mutate('updateRoute', { id, actionId: priced.id, usage: both }, ALL)).route).toMatchObject({ usage: both });
    expect(await issuePaths('updateRoute', { id, usage })).toEqual(['input.usage']);
  });

  const WRONG_PATHS: [string, RegExp][] = [
    ['', /begin with \//],
    ['items', /begin with \//],
    ['*', /begin with \//],
    ['/items?page=1', /leave it out/],
    ['/items/:id?', /leave it out/],
    ['/items/(.*)', /%28/],
    ['/items/{id}', /\/items\/:id.*%7B/],
    ['/items/:id(\\d+)', /%28/],
    ['/items::copy', /%3A/],
    ['/items/::id', /names of 1 to 40/],
    ['/items/:', /names of 1 to 40/],
    ['/items/:1', /names of 1 to 40/],
    ['/items/:_a', /names of 1 to 40/],
    ['/items/:a-:b', /names of 1 to 40/],
    ['/items/:id.json', /names of 1 to 40/],
    ['/items/x:id', /whole segment/],
    ['/items/:a/:a', /one name/],
    ['/files/*/x', /only as the last segment/],
    ['/files/*/', /only as the last segment/],
    ['/files/a*', /only as the last segment/],
    ['/files/**', /only as the last segment/],
    ['/a//b', /empty segment/],
    ['//a', /empty segment/],
    ['/a/./b', /segment \. or \.\./],
    ['/a/..', /segment \. or \.\./],
    ['/a/%2e%2E/b', /segment \. or \.\./],
    ['/a%2Fb', /%2F/],
    ['/a%5cb', /%5C/],
    ['/a%00', /%00/],
    ['/a\\b', /backslash/],
    ['/a#b', /#/],
    ['/a b', /percent-encode/],
    ['/é', /percent-encode/],
    ['/a%', /%25/],
    ['/a%zz', /%25/],
    ['/a%E9', /%25/],
    [`/${'x'.repeat(1_000)}`, /at most 1000/],
  ];

  it.each(WRONG_PATHS)('refuses the path %s, and says what to do', async (path, message) => {
    for (const field of ['path', 'upstreamPath']) {
      const { code, issues } = await refusal('createRoute', input({ [field]: path }));
      expect([code, issues]).toEqual(['INVALID_REQUEST', [{ path: ['input', field], message: expect.stringMatching(message) }]]);
    }
  });

  it('refuses an upstreamPath with a parameter that the path does not have', async () => {
    for (const [path, upstreamPath] of [['/p1/:id', '/:other'], ['/p1/:id', '/*'], ['/p1/*', '/:id']])
      expect(await issuePaths('createRoute', input({ path, upstreamPath }))).toEqual(['input.upstreamPath']);
  });

  it('refuses the paths of Tollgate itself, on every host', async () => {
    const own = [...OWN_PATHS, ...OWN_PATHS.map((path) => `${path}/*`), ...OWN_PATHS.map((path) => `${path}/:x`)];
    const others = ['/', '/gr%61phql', '/v1/face/execute', '/v1/:service/execute', '/graphql/'];
    for (const path of [...own, ...others]) {
      const { issues } = await refusal('createRoute', input({ path, host: 'api.example.com' }));
      expect([path, issues]).toEqual([path, [{ path: ['input', 'path'], message: expect.stringMatching(/Tollgate itself/) }]]);
    }
    for (const path of ['/graphqlx', '/v1/:a/:b', '/v1/execute', '/:own', '/*']) await create({ path, host: 'own.example' });
  });

  it('refuses an action that does not exist with NOT_FOUND', async () => {
    expect(await refusal('createRoute', input({ actionId: ghostOf('act') }))).toMatchObject({ code: 'NOT_FOUND' });
    const { id } = await create();
    expect(await refusal('updateRoute', { id, actionId: ghostOf('act') })).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('two routes that match the same requests', () => {
  it.each([
    [{ path: '/same/:id' }, { path: '/same/:name' }],
    [{ path: '/same-any', methods: [] }, { path: '/same-any', methods: ['GET'] }],
    [{ path: '/same-list', methods: ['PUT', 'GET'] }, { path: '/same-list', methods: ['POST', 'GET'] }],
    [{ path: '/same-head', methods: ['GET'] }, { path: '/same-head', methods: ['HEAD'] }],
    [{ path: '/same-caf%C3%A9' }, { path: '/s%61me-caf%c3%a9' }],
    [{ path: '/same-wild/*' }, { path: '/same-wild/*' }],
    [{ path: '/same-host', host: 'a.example' }, { path: '/same-host', host: 'A.example' }],
    [{ path: '/same-off', enabled: false }, { path: '/same-off' }],
  ])('are CONFLICT: %j and %j', async (one, other) => {
    const { id } = await create(one);
    const { code, message } = await refusal('createRoute', input(other));
    expect([code, message]).toEqual(['CONFLICT', expect.stringContaining(id)]);
    const third = await create();
    expect(await refusal('updateRoute', { id: third.id, ...other })).toMatchObject({ code: 'CONFLICT' });
    await mutate('deleteRoute', { id }, '__typename');
    await mutate('updateRoute', { id: third.id, ...other }, '__typename');
  });

  it.each([
    [{ path: '/near/:id' }, { path: '/near/*' }],
    [{ path: '/near-fixed/:id' }, { path: '/near-fixed/new' }],
    [{ path: '/near-slash' }, { path: '/near-slash/' }],
    [{ path: '/near-case' }, { path: '/near-Case' }],
    [{ path: '/near-method', methods: ['GET'] }, { path: '/near-method', methods: ['POST'] }],
    [{ path: '/near-host', host: 'a.example' }, { path: '/near-host' }],
    [{ path: '/near-hosts', host: 'a.example' }, { path: '/near-hosts', host: 'b.example' }],
  ])('are not %j and %j', async (one, other) => {
    const [first, second] = [await create(one), await create(other)];
    expect(first.id).not.toBe(second.id);
  });

  it('cannot be created at the same time', async () => {
    const asked = Array.from({ length: 8 }, (_, index) =>
      buildRoute(app, { path: `/at-once/:p${index}`, actionId }).then(
        () => 'created',
        (error: { code: string }) => error.code,
      ),
    );
    expect((await Promise.all(asked)).sort()).toEqual([...Array<string>(7).fill('CONFLICT'), 'created']);
  });
});

describe('updateRoute', () => {
  it('changes the given properties, keeps the absent ones, and applies at once on this process', async () => {
    const route = await create({ path: '/changes/:id', methods: ['GET'], host: 'c.example', upstreamPath: '/x/:id' });
    const { route: moved } = await mutate('updateRoute', { id: route.id, path: '/moved/:id', host: null }, ALL);
    expect(moved).toEqual({ ...route, path: '/moved/:id', host: null, version: 2 });
    expect([found('GET', '/moved/1'), found('GET', '/changes/1', 'c.example')]).toEqual([route.id, 'noRoute']);
    const { route: bare } = await mutate('updateRoute', { id: route.id, upstreamPath: null, methods: [] }, ALL);
    expect(bare).toEqual({ ...moved, upstreamPath: null, methods: [], version: 3 });
    await mutate('updateRoute', { id: route.id, enabled: false }, ALL);
    expect(found('GET', '/moved/1')).toBe('noRoute');
  });

  it('checks the path at the upstream against the path that the route has after the change', async () => {
    const { id } = await create({ path: '/checked/:id', upstreamPath: '/x/:id' });
    expect(await issuePaths('updateRoute', { id, path: '/checked/:name' })).toEqual(['input.upstreamPath']);
    await mutate('updateRoute', { id, path: '/checked/:name', upstreamPath: '/x/:name' }, '__typename');
  });

  it('refuses null for a property that cannot be absent, and NOT_FOUND for an unknown route', async () => {
    const { id } = await create();
    const required = ['methods', 'path', 'actionId', 'upstreamUrl', 'billedStatuses', 'usage', 'maxBodyBytes', 'idleTimeoutMs', 'enabled'];
    for (const name of required) expect(await issuePaths('updateRoute', { id, [name]: null })).toEqual([`input.${name}`]);
    expect(await refusal('updateRoute', { id: ghostOf('rte'), enabled: true })).toMatchObject({ code: 'NOT_FOUND' });
  });
});

it('deleteRoute deletes a route, and this process stops to match it at once', async () => {
  const { id } = await create({ path: '/gone' });
  expect(found('GET', '/gone')).toBe(id);
  const { route } = await mutate('deleteRoute', { id }, 'route { id path action { id } }');
  expect(route).toEqual({ id, path: '/gone', action: { id: actionId } });
  expect(found('GET', '/gone')).toBe('noRoute');
  expect((await app.graphql('query ($id: ID!) { node(id: $id) { id } }', { id })).data.node).toBeNull();
});

it('the list is filtered by action, host, a text in the path, and enabled', async () => {
  const { id: other } = await buildAction(app, { upstreamUrl: 'http://upstream.invalid' });
  const make = async (values: Record<string, unknown>) => (await create({ actionId: other, ...values })).id as string;
  const [one, two, three] = [
    await make({ path: '/list/one', host: 'one.example' }),
    await make({ path: '/list/Two', host: 'two.example', enabled: false }),
    await make({ path: '/list/three' }),
  ];
  const listed = async (filter: object) => {
    const query = 'query ($filter: RouteFilter) { routes(filter: $filter, first: 100) { nodes { id } } }';
    return (await app.graphql(query, { filter: { actionId: [other], ...filter } })).data.routes.nodes.map(({ id }: { id: string }) => id);
  };
  expect(await listed({})).toEqual([three, two, one]);
  expect(await listed({ host: ['one.example', 'two.example'] })).toEqual([two, one]);
  expect(await listed({ path: 'T/T' })).toEqual([three, two]);
  expect(await listed({ enabled: false })).toEqual([two]);
  expect(await listed({ actionId: [] })).toEqual([]);
});

it('routes are only for the operator', async () => {
  const { secret } = await buildKey(app, { permissions: ['read', 'write', 'admin'] });
  const { id } = await create();
  const { data, errors } = await app.graphql('query ($id: ID!) { routes { nodes { id } } node(id: $id) { id } }', { id }, secret);
  expect([data, errors?.map(({ extensions }) => extensions.code)]).toEqual([{ routes: null, node: null }, ['FORBIDDEN']]);
  for (const [mutation, values] of [['createRoute', input()], ['updateRoute', { id }], ['deleteRoute', { id }]] as const)
    expect(await refusal(mutation, values, secret)).toMatchObject({ code: 'FORBIDDEN' });
});

it('there are at most 1,000 routes', async () => {
  const full = await createTestApp();
  const { id } = await buildAction(full, { upstreamUrl: 'http://upstream.invalid' });
  const first = await buildRoute(full, { actionId: id });
  const idOf = (index: number) => `rte_${String(index).padStart(22, '0')}`;
  const rows = Array.from({ length: 999 }, (_, index) => ({ ...first, id: idOf(index), path: `/row-${index}` }));
  await full.database.transaction(async (tx) => {
    for (let from = 0; from < rows.length; from += 100) await tx.insert('routes', rows.slice(from, from + 100));
  });
  const asked = buildRoute(full, { actionId: id });
  await expect(asked).rejects.toMatchObject({ code: 'CONFLICT', message: expect.stringContaining('1000') });
  await full.services.routes.delete(ORIGIN, { id: first.id });
  const last = await buildRoute(full, { actionId: id, path: '/last' });
  for (const [path, expected] of [['/row-998', idOf(998)], ['/last', last.id]] as const)
    expect(full.routes.table.match('GET', undefined, path)).toMatchObject({ kind: 'route', route: { id: expected } });
  await full.close();
});

describe('the paths of the server', () => {
  it('are all among the paths that no route can take', () => {
    const paths = serverRoutes(app.server).map((name) => (name.split(' ')[1] as string).replace(/:[^/]+/g, 'x'));
    expect(paths.length).toBeGreaterThan(20);
    expect(paths.filter((path) => !isOwnPath(path))).toEqual([]);
  });

  it('are kept free for parts that are planned', () => {
    const planned = ['/console/x', '/account', '/brand/logo', '/v1/keys/verify', '/v1/holds/x/settle', '/v1/self'];
    expect(planned.filter((path) => !isOwnPath(path))).toEqual([]);
  });
});
