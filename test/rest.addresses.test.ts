import type { Project } from '../src/tenancy/project.entity';
import { outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { buildKey, buildProject } from './support/factories';
import { tracesOf } from './support/traces';

// Addresses that a key may be used from, and headers that are trusted for them.

let direct: TestApp;
let behindProxy: TestApp;
let project: Project;

beforeAll(async () => {
  direct = await createTestApp();
  const trustedProxies = ['127.0.0.1', '10.0.0.0/8', '2001:db8:ffff::/48'];
  behindProxy = await createTestApp({ databaseUrl: direct.databaseUrl, config: { trustedProxies } });
  project = await buildProject(direct);
});

afterAll(async () => {
  await behindProxy.close();
  await direct.close();
});

/** Returns the outcome of a call from `address` with a key that is limited to `allowedIps`. */
async function answerFrom(address: string, allowedIps: string[]): Promise<string> {
  const { secret } = await buildKey(direct, { project, allowedIps });
  return outcomeOf(await behindProxy.rest({ secret, headers: { 'x-forwarded-for': address } }));
}

describe('allowedIps', () => {
  it.each<[address: string, allowedIps: string[]]>([
    ['203.0.113.7', []],
    ['203.0.113.7', ['203.0.113.7']],
    ['203.0.113.7', ['203.0.113.7/32']],
    ['203.0.113.7', ['198.51.100.0/24', '203.0.113.0/24']],
    ['203.0.113.255', ['203.0.113.128/25']],
    ['203.0.113.7', ['0.0.0.0/0']],
    ['2001:db8::7', ['2001:db8::7']],
    ['2001:0DB8:0:0:0:0:0:7', ['2001:db8::/32']],
    ['2001:db8::7', ['::/0']],
    // As proxies write them: with ports, brackets and zones
    ['203.0.113.7:41234', ['203.0.113.7']],
    ['[2001:db8::7]:443', ['2001:db8::7']],
    ['[2001:db8::7]', ['2001:db8::7']],
    ['"[2001:db8::7]:443"', ['2001:db8::7']],
    ['[203.0.113.7]:443', ['203.0.113.7']],
    ['[::ffff:203.0.113.7]:443', ['203.0.113.7']],
    ['::ffff:203.0.113.7%eth0', ['203.0.113.7']],
    ['fe80::1%eth0', ['fe80::1']],
    // IPv4-mapped IPv6, in the key or in the address
    ['::ffff:203.0.113.7', ['203.0.113.0/24']],
    ['::ffff:cb00:7107', ['203.0.113.7']],
    ['203.0.113.7', ['::ffff:203.0.113.7']],
    ['203.0.113.7', ['::ffff:203.0.113.0/120']],
    ['::ffff:203.0.113.7', ['::ffff:203.0.113.0/120']],
  ])('allow %s to use a key with %j', async (address, allowedIps) => {
    expect(await answerFrom(address, allowedIps)).toBe('200 ok');
  });

  it.each<[address: string, allowedIps: string[]]>([
    ['203.0.113.8', ['203.0.113.7']],
    ['203.0.114.7', ['198.51.100.0/24', '203.0.113.0/24']],
    ['203.0.113.127', ['203.0.113.128/25']],
    ['2001:db9::7', ['2001:db8::/32']],
    ['2001:db8::7', ['0.0.0.0/0']],
    ['203.0.113.7', ['::/0']],
    ['127.0.0.1', ['203.0.113.7']],
  ])('refuse %s for a key with %j', async (address, allowedIps) => {
    expect(await answerFrom(address, allowedIps)).toBe('403 IP_NOT_ALLOWED');
  });

  it.each([
    ...[
      'unknown',
      '_hidden',
      '203.0.113.7.',
      '203.0.113',
      '0xcb007107',
      '3405803783',
      '0313.0.0161.07',
      '203.0.113.7:',
      '203.0.113.7:port',
      '[203.0.113.7',
    ],
    ...['[]', '[]:1', '2001:db8::7]:443', '203.0.113.7 198.51.100.1', 'x'.repeat(500)],
  ])('do not match an invalid address, which may still use a key without allowedIps: %s', async (address) => {
    expect(await answerFrom(address, ['203.0.113.0/24', '198.51.100.0/24', '::/0'])).toBe('403 IP_NOT_ALLOWED');
    expect(await answerFrom(address, [])).toBe('200 ok');
  });

  it('match a socket that reports IPv4-mapped IPv6, as a server on :: does', async () => {
    const { secret } = await buildKey(direct, { project, allowedIps: ['198.51.100.0/24'] });
    const from = async (remoteAddress: string) => {
      const headers = { 'x-api-key': secret, 'content-type': 'application/json' };
      const answer = await direct.server.inject({
        method: 'POST',
        url: '/v1/demo/execute',
        remoteAddress,
        headers,
        payload: '{"action":"demo.echo","params":{}}',
      });
      return answer.statusCode;
    };
    expect([await from('::ffff:198.51.100.7'), await from('198.51.100.7'), await from('::ffff:198.51.101.7')]).toEqual([200, 200, 403]);
  });
});

describe('X-Forwarded-For', () => {
  /** Returns the address in the log of a call. */
  async function loggedAddress(node: TestApp, header?: string): Promise<string | null | undefined> {
    const { secret } = await buildKey(direct, { project });
    expect(outcomeOf(await node.rest({ secret, ...(header !== undefined && { headers: { 'x-forwarded-for': header } }) }))).toBe('200 ok');
    return (await tracesOf(direct, project.id)).logs.at(-1)?.ip;
  }

  it.each(['203.0.113.7', '127.0.0.1, 203.0.113.7', 'nonsense'])('of an untrusted peer is ignored: %s', async (header) => {
    expect(await loggedAddress(direct, header)).toBe('127.0.0.1');
    const { secret } = await buildKey(direct, { project, allowedIps: ['203.0.113.0/24'] });
    expect(outcomeOf(await direct.rest({ secret, headers: { 'x-forwarded-for': header } }))).toBe('403 IP_NOT_ALLOWED');
  });

  it.each([
    ['one hop', '203.0.113.7', '203.0.113.7'],
    ['ignores entries that the client invented, further left', '198.51.100.1, 203.0.113.7', '203.0.113.7'],
    ['two hops', '203.0.113.7, 10.0.0.5', '203.0.113.7'],
    ['several hops, IPv4 and IPv6', '1.1.1.1, 203.0.113.7, 2001:db8:ffff::1, 10.1.2.3, 127.0.0.1', '203.0.113.7'],
    ['an untrusted hop is the client', '10.0.0.5, 203.0.113.7, 198.51.100.9, 10.0.0.5', '198.51.100.9'],
    ['only trusted hops', '10.0.0.5, 10.0.0.6', '10.0.0.5'],
    ['without blanks', '198.51.100.1,203.0.113.7,10.0.0.5', '203.0.113.7'],
    ['empty', '', '127.0.0.1'],
    ['a comma', ',', '127.0.0.1'],
    ['IPv6, in its shortest form', '2001:0DB8:0000::0007', '2001:db8::7'],
    ['IPv4-mapped IPv6, as IPv4', '::ffff:203.0.113.7', '203.0.113.7'],
    ['with ports and brackets', '198.51.100.1, 203.0.113.7:41234, [2001:db8:ffff::1]:443, 10.0.0.5:80', '203.0.113.7'],
    ['an invalid entry: the client is the proxy that forwarded it', 'nonsense', '127.0.0.1'],
    ['stops at an invalid entry', '203.0.113.7, nonsense, 10.0.0.5', '10.0.0.5'],
  ])('of a trusted peer is read from the right: %s', async (_case, header, logged) => {
    expect(await loggedAddress(behindProxy, header)).toBe(logged);
  });

  it('with ports separates clients: failed tries of one address do not count for another', async () => {
    const tryFrom = async (address: string) => {
      const query = 'mutation { signIn(input: { email: "nobody@example.com", password: "not this one" }) { secondFactorRequired } }';
      const answer = await behindProxy.server.inject({
        method: 'POST',
        url: '/graphql',
        headers: { 'x-forwarded-for': address },
        payload: { query },
      });
      return answer.json<{ errors: { extensions: { code: string } }[] }>().errors[0]?.extensions.code;
    };
    const outcomes = [];
    for (let index = 0; index < 11; index++) outcomes.push(await tryFrom(`203.0.113.9:${40_000 + index}`));
    expect([outcomes[9], outcomes[10], await tryFrom('203.0.113.10:40000')]).toEqual([
      'UNAUTHENTICATED',
      'RATE_LIMITED',
      'UNAUTHENTICATED',
    ]);
  });

  it('is absent: the trusted peer is the client', async () => {
    expect(await loggedAddress(behindProxy)).toBe('127.0.0.1');
  });
});

describe('User-Agent', () => {
  it.each([
    ['unchanged', 'curl/8.5.0 (ä)', 'curl/8.5.0 (ä)'],
    ['with its first 255 characters', 'x'.repeat(254) + 'yz', 'x'.repeat(254) + 'y'],
  ])('is logged %s', async (_case, sent, logged) => {
    const { secret } = await buildKey(direct, { project });
    expect(outcomeOf(await direct.rest({ secret, headers: { 'user-agent': sent } }))).toBe('200 ok');
    expect(outcomeOf(await direct.rest({ secret, headers: { 'user-agent': sent }, body: { action: 'demo.nothing' } }))).toBe(
      '404 UNKNOWN_ACTION',
    );
    expect((await tracesOf(direct, project.id)).logs.slice(-2).map(({ userAgent }) => userAgent)).toEqual([logged, logged]);
  });
});
