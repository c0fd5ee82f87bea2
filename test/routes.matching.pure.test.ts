import { array, assert, asyncProperty, constantFrom, property, record, string as text, uniqueArray } from 'fast-check';
import { hostOf, readPath, shapeOf } from '../src/routes/paths';
import type { Route } from '../src/routes/route.entity';
import { RouteTable, type Match } from '../src/routes/route-table';
import { upstreamTarget } from '../src/routes/upstream-target';

/** A route. Its id is its path by default. */
const route = (path: string, values: Partial<Route> = {}): Route =>
  ({ id: path, host: null, methods: [], path, enabled: true, upstreamUrl: 'https://up.example', upstreamPath: null, ...values }) as Route;

/** The outcome of a match as a short text: the id of the route with its parameters, the allowed methods, or the kind. */
function told(match: Match): string {
  if (match.kind === 'route') return [match.route.id, ...Object.entries(match.params).map(([name, value]) => `${name}=${value}`)].join(' ');
  return match.kind === 'methodNotAllowed' ? `405 ${match.allow.join(',')}` : match.kind;
}

const ask = async (routes: Route[], rawUrl: string, method = 'GET', host = 'api.example.com') =>
  told((await RouteTable.of(routes)).match(method, host, rawUrl));

describe('a path', () => {
  const routes = [
    route('/v1/items'),
    route('/v1/items/:id'),
    route('/v1/items/newest'),
    route('/v1/items/:id/parts/:part'),
    route('/files/*'),
    route('/files/:name'),
    route('/caf%C3%A9/:drink'),
    route('/slash/'),
    route('/batch/items%3Acopy'),
    route('/odata/Products%281%29'),
  ];

  it.each([
    ['/v1/items', '/v1/items'],
    ['/v1/items?page=2', '/v1/items'],
    ['/v1/items/', 'noRoute'],
    ['/v1/items/7', '/v1/items/:id id=7'],
    ['/v1/items/7?x=/../', '/v1/items/:id id=7'],
    ['/v1/items/newest', '/v1/items/newest'],
    ['/v1/items/Newest', '/v1/items/:id id=Newest'],
    ['/V1/items', 'noRoute'],
    ['/v1/items/7/', 'noRoute'],
    ['/v1/items/7/parts/8', '/v1/items/:id/parts/:part id=7 part=8'],
    ['/v1/items/7/parts/', 'noRoute'],
    ['/v1/items/newest/parts/8', '/v1/items/:id/parts/:part id=newest part=8'],
    ['/v1/%69tems/a%20b', '/v1/items/:id id=a%20b'],
    ['/v1/items/50%25', '/v1/items/:id id=50%25'],
    ['/v1/items/a%252Fb', '/v1/items/:id id=a%252Fb'],
    ['/v1/items/%3F%23', '/v1/items/:id id=%3F%23'],
    ['/v1/items/(x)*!', '/v1/items/:id id=(x)*!'],
    ['/v1/items/...', '/v1/items/:id id=...'],
    ['/v1/items/.hidden', '/v1/items/:id id=.hidden'],
    ['/v1/items/a;b=c', '/v1/items/:id id=a;b=c'],
    ['/v1/items/a:b', '/v1/items/:id id=a:b'],
    ['/files', 'noRoute'],
    ['/files/', '/files/* *='],
    ['/files/a', '/files/:name name=a'],
    ['/files/a/', '/files/* *=a/'],
    ['/files/a/b%20c?d', '/files/* *=a/b%20c'],
    ['/caf%C3%A9/tea', '/caf%C3%A9/:drink drink=tea'],
    ['/caf%c3%a9/tea', '/caf%C3%A9/:drink drink=tea'],
    [`/${Buffer.from('café').toString('latin1')}/tea`, '/caf%C3%A9/:drink drink=tea'],
    ['/slash/', '/slash/'],
    ['/slash', 'noRoute'],
    ['/batch/items:copy', '/batch/items%3Acopy'],
    ['/odata/Products(1)', '/odata/Products%281%29'],
    ['*', 'noRoute'],
  ])('%s is matched as %s', async (rawUrl, expected) => {
    expect(await ask(routes, rawUrl)).toBe(expected);
  });

  it.each([
    '/v1//items',
    '//v1/items',
    '/v1/items//',
    '/v1/a%2Fb',
    '/v1/a%2fb',
    '/v1/a%5Cb',
    '/v1/a%5cb',
    '/v1/a\\b',
    '/v1/./items',
    '/v1/../items',
    '/v1/items/.',
    '/v1/items/..',
    '/v1/%2e%2e/items',
    '/v1/.%2E/items',
    '/v1/%2e',
    '/v1/..;x/items',
    '/v1/..%3Bx/items',
    '/v1/a%00',
    '/v1/%',
    '/v1/%zz',
    '/v1/%e9',
    '/v1/\xe9',
    '/v1/%C3',
    '/v1/%ED%A0%80',
    '/v1/items#x',
    '/v1/a b',
    '/v1/a\u0007',
    'v1/items',
    '',
  ])('%j is refused, because an upstream could read it as another path', async (rawUrl) => {
    expect(await ask([...routes, route('/*')], rawUrl)).toBe('badPath');
  });

  it('of any length is matched: a long parameter does not fall to the wildcard', async () => {
    const long = 'x'.repeat(16_000);
    expect(await ask(routes, `/files/${long}`)).toBe(`/files/:name name=${long}`);
  });

  it('of Tollgate itself is never matched, in any form', async () => {
    const all = [route('/*'), route('/:a'), route('/v1/:a/:b')];
    for (const own of ['/', '/graphql', '/graphql/stream', '/gr%61phql', '/v1/any/execute', '/v1/keys/x', '/console/x', '/.well-known/x'])
      expect([own, await ask(all, own)]).toEqual([own, 'noRoute']);
    for (const other of ['/graphqlx', '/GraphQL', '/graphql.json', '/v1/any/execute/', '/v1/any', '/v1/keysx'])
      expect([other, await ask(all, other)]).not.toEqual([other, 'noRoute']);
  });
});

describe('a host', () => {
  const routes = [
    route('/a', { id: 'named', host: 'api.example.com' }),
    route('/:x', { id: 'any' }),
    route('/a/:x', { id: 'any below' }),
    route('/six', { id: 'six', host: '[::1]' }),
  ];

  it.each([
    ['api.example.com', '/a', 'named'],
    ['API.Example.com:8443', '/a', 'named'],
    ['api.example.com.', '/a', 'named'],
    ['api.example.com:', '/a', 'named'],
    ['other.example.com', '/a', 'any x=a'],
    ['api.example.com', '/b', 'any x=b'],
    ['api.example.com', '/a/b', 'any below x=b'],
    ['[::1]:4000', '/six', 'six'],
    ['[0:0:0:0:0:0:0:1]', '/six', 'six'],
    ['other.example.com', 'http://api.example.com/a', 'named'],
    ['other.example.com', 'HTTPS://API.example.com:443/a?b', 'named'],
    ['api.example.com', 'http://other.example.com/a', 'any x=a'],
    ['api.example.com', 'http://api.example.com', 'noRoute'],
    ['api.example.com', 'ftp://api.example.com/a', 'badPath'],
    ['', '/a', 'any x=a'],
  ])('%s with the target %s is matched as %s', async (host, rawUrl, expected) => {
    expect(await ask(routes, rawUrl, 'GET', host)).toBe(expected);
  });

  it('may be missing', async () => {
    expect(told((await RouteTable.of(routes)).match('GET', undefined, '/a'))).toBe('any x=a');
    expect(hostOf('')).toBe('');
  });
});

describe('a method', () => {
  const routes = [
    route('/x', { id: 'reads', methods: ['GET'] }),
    route('/x', { id: 'writes', methods: ['POST', 'PUT'] }),
    route('/all', { id: 'all' }),
    route('/:any', { id: 'purges', methods: ['PURGE'] }),
    route('/x', { id: 'named', host: 'api.example.com', methods: ['PATCH'] }),
  ];

  it.each([
    ['GET', '/x', 'reads'],
    ['HEAD', '/x', 'reads'],
    ['PUT', '/x', 'writes'],
    ['PATCH', '/x', 'named'],
    ['PURGE', '/x', 'purges any=x'],
    ['DELETE', '/x', '405 GET,HEAD,PATCH,POST,PURGE,PUT'],
    ['OPTIONS', '/x', '405 GET,HEAD,PATCH,POST,PURGE,PUT'],
    ['get', '/x', '405 GET,HEAD,PATCH,POST,PURGE,PUT'],
    ['GET', '/y', '405 PURGE'],
    ['GET', '/all', 'all'],
    ['OPTIONS', '/all', 'all'],
    ['PROPFIND', '/all', 'all'],
    ['GET', '/x/y', 'noRoute'],
  ])('%s %s is matched as %s', async (method, rawUrl, expected) => {
    expect(await ask(routes, rawUrl, method)).toBe(expected);
  });

  it('that no route can have is refused, even where a route has all methods', async () => {
    for (const method of ['TRACE', 'CONNECT', 'BREW', 'constructor', '__proto__', ''])
      expect([method, await ask(routes, '/all', method)]).toEqual([method, expect.stringMatching(/^405 .*GET,HEAD.*POST/)]);
  });

  it('is matched per route: a route of another method does not hide a less specific one', async () => {
    const both = [route('/a/b', { methods: ['POST'] }), route('/a/:x', { methods: ['GET'] })];
    expect(await ask(both, '/a/b')).toBe('/a/:x x=b');
  });
});

it('a request of a disabled route matches nothing, not even a wider route: its price would be another', async () => {
  const wider = [route('/:x'), route('/*', { host: 'a.example' })];
  expect(await ask([route('/a', { enabled: false }), ...wider], '/a')).toBe('noRoute');
  expect(await ask([route('/a', { enabled: false }), ...wider], '/b')).toBe('/:x x=b');
  expect(await ask([route('/a', { enabled: false })], '/a')).toBe('noRoute');
  expect(told(RouteTable.EMPTY.match('GET', 'a', '/a'))).toBe('noRoute');
});

describe('the target at the upstream', () => {
  it.each([
    ['https://up.example', null, '/v1/:id', '/v1/7?a=b&c', 'https://up.example/v1/7?a=b&c'],
    ['https://up.example/', null, '/v1/:id', '/v1/7', 'https://up.example/v1/7'],
    ['http://up.example:8080/base/', null, '/v1/:id', '/v1/7', 'http://up.example:8080/base/v1/7'],
    ['https://up.example/base', '/items/:id', '/v1/:id', '/v1/a%20b%3F?', 'https://up.example/base/items/a%20b%3F?'],
    ['https://up.example', '/:b/x/:a', '/:a/:b', '/1/2', 'https://up.example/2/x/1'],
    ['https://up.example', '/archive/*', '/files/*', '/files/a/%62//'.slice(0, -1), 'https://up.example/archive/a/%62/'],
    ['https://up.example', '/archive/*', '/files/*', '/files/', 'https://up.example/archive/'],
    ['https://up.example', '/fixed', '/files/*', '/files/a?b', 'https://up.example/fixed?b'],
    ['https://up.example', null, '/v1/:id', 'http://api.example.com/v1/7?a', 'https://up.example/v1/7?a'],
    ['https://up.example', null, '/caf%C3%A9', '/%63af%c3%a9', 'https://up.example/%63af%c3%a9'],
  ])('of %s with upstreamPath %s for %s asked as %s', async (upstreamUrl, upstreamPath, path, rawUrl, expected) => {
    const match = (await RouteTable.of([route(path, { upstreamUrl, upstreamPath })])).match('GET', 'api.example.com', rawUrl);
    if (match.kind !== 'route') throw new Error(match.kind);
    const { origin, path: at } = upstreamTarget(match.route, match.params, rawUrl);
    expect(origin + at).toBe(expected);
  });
});

describe('for any paths', () => {
  const segment = constantFrom('a', 'b', 'a-b', 'a.b', 'A', '%61', '%2561', 'x~', '%C3%A9', '7', '!', '(', '%28', '*', ':a', '@', '%40');
  const requestPath = array(segment, { minLength: 1, maxLength: 4 }).map((segments) => `/r/${segments.join('/')}`);
  const routeSegment = constantFrom('a', 'b', 'a-b', 'a.b', '%61b', '%C3%A9', '%28', '%2A', ':p', ':q');
  const routePath = record({ fixed: array(routeSegment, { minLength: 1, maxLength: 4 }), end: constantFrom('', '/', '/*') })
    .map(({ fixed, end }) => `/r/${fixed.map((part, index) => (part.startsWith(':') ? `${part}${index}` : part)).join('/')}${end}`);

  /** Whether a route's path matches a request's path, computed segment by segment. */
  function matches(path: string, asked: string): boolean {
    const given = asked.split('/');
    const wanted = path.split('/');
    if (wanted.at(-1) !== '*' && wanted.length !== given.length) return false;
    if (given.length < wanted.length) return false;
    return wanted.every((part, index) => {
      if (part === '*') return true;
      return part.startsWith(':') ? given[index] !== '' : decodeURIComponent(part) === decodeURIComponent(given[index] ?? '');
    });
  }

  it('the table finds a route exactly if one matches, and no other route would be more specific', async () => {
    /** Sorts like the order of matching: fixed, then parameter, then wildcard, from left to right. */
    const rank = (path: string) => path.split('/').map((part) => (part === '*' ? '2' : part.startsWith(':') ? '1' : '0')).join('');
    await assert(
      asyncProperty(uniqueArray(routePath, { maxLength: 8, selector: shapeOf }), requestPath, async (paths, asked) => {
        const expected = paths.filter((path) => matches(path, asked)).sort((one, other) => (rank(one) < rank(other) ? -1 : 1));
        const match = (await RouteTable.of(paths.map((path) => route(path)))).match('GET', 'h', asked);
        expect(match.kind === 'route' ? match.route.path : undefined).toBe(expected[0]);
      }),
      { numRuns: 2_000 },
    );
  });

  it('filling the path of a route with its parameters gives the path of the request', async () => {
    await assert(
      asyncProperty(routePath, requestPath, async (path, asked) => {
        const match = (await RouteTable.of([route(path)])).match('GET', 'h', asked);
        if (match.kind !== 'route') return;
        const { path: filled } = upstreamTarget({ upstreamUrl: 'http://up', upstreamPath: path }, match.params, asked);
        expect(readPath(filled)).toEqual(readPath(asked));
      }),
    );
  });

  it('a path is accepted exactly if it means one path for every reader, and its canonical form stays as it is', () => {
    const parts = constantFrom(...'/ // . .. %2e %2F %5c \\ %00 % %e9 a é %C3%A9 ; %3b ? #'.split(' '), ' ');
    assert(
      property(array(parts, { maxLength: 8 }), text(), (pieces, end) => {
        const read = readPath(`/${pieces.join('')}${end}`);
        if ('fault' in read) return;
        expect(readPath(read.canonical)).toEqual(read);
        expect(new URL(`http://h${read.canonical}`).pathname).toBe(read.canonical); // the URL standard removes dot segments and backslashes
        expect(decodeURIComponent(read.canonical).split('/')).toHaveLength(read.canonical.split('/').length);
      }),
      { numRuns: 5_000 },
    );
  });
});

it('a thousand routes are found in microseconds', async () => {
  const routes = Array.from({ length: 1_000 }, (_, index) => route(`/v1/things-${index}/:a/parts/:b`, { methods: ['GET'] }));
  const table = await RouteTable.of(routes);
  const begun = performance.now();
  for (let index = 0; index < 10_000; index += 1) table.match('GET', 'api.example.com', `/v1/things-${index % 1_000}/7/parts/8`);
  expect((performance.now() - begun) / 10_000).toBeLessThan(0.5); // milliseconds; a scan of all routes would take longer
});
