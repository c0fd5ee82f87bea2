import { mintSecret } from '../src/access/secret';
import { outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import type { RestCall } from './support/clients';
import { ORIGIN, buildKey, buildProject, type KeyValues } from './support/factories';

// If a call breaks several rules, its caller gets the error of the first one in the contract's order.

const BODY_LIMIT_BYTES = 4_096;
const UNKNOWN = mintSecret('acme', 'LIVE');
const OVERSIZE = Buffer.alloc(BODY_LIMIT_BYTES + 1, 'x');

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp({ config: { bodyLimitBytes: BODY_LIMIT_BYTES } });
});

afterAll(() => app.close());

/** Calls that break one rule each, in the contract's order. */
const BEFORE_KNOWN: [name: string, code: string, call: RestCall][] = [
  ['header', '401 MISSING_API_KEY', { secret: undefined }],
  ['format', '401 INVALID_API_KEY', { secret: 'nonsense' }],
  ['media type', '415 UNSUPPORTED_MEDIA_TYPE', { headers: { 'content-type': 'text/plain' } }],
  ['size', '413 PAYLOAD_TOO_LARGE', { raw: OVERSIZE }],
  ['body', '400 INVALID_REQUEST', { raw: '{' }],
  ['known', '401 INVALID_API_KEY', { secret: UNKNOWN }],
];

describe('before authentication', () => {
  const pairs = BEFORE_KNOWN.flatMap(([first, code, call], index) =>
    BEFORE_KNOWN.slice(index + 1).map(([second, , other]) => ({ first, second, code, call: { ...other, ...call } })),
  );
  // Excludes pairs of two faults of the secret, because a call has only one secret
  const possible = pairs.filter(({ first, second }) => !(['header', 'format'].includes(first) && ['format', 'known'].includes(second)));

  it.each(possible)('$first comes before $second', async ({ code, call }) => {
    const { secret } = await buildKey(app);
    expect(outcomeOf(await app.rest({ secret, ...call }))).toBe(code);
  });

  it('an invalid service comes first, and two different secrets come before an invalid format', async () => {
    expect(outcomeOf(await app.rest({ service: 'keys' }))).toBe('404 NOT_FOUND');
    expect(outcomeOf(await app.rest({ secret: 'nonsense', headers: { authorization: 'Bearer other' } }))).toBe('400 INVALID_REQUEST');
  });

  it('an unknown key comes before all errors of a known key', async () => {
    expect(outcomeOf(await app.rest({ secret: UNKNOWN, body: { action: 'demo.nothing' } }))).toBe('401 INVALID_API_KEY');
  });
});

describe('after authentication', () => {
  const requestId = '0b5f5f4a-7d3c-4a53-9c55-3a3a41d0d8a1';
  const reused = { requestId, params: { another: true } };
  type Rule = {
    name: string;
    code: string;
    values?: KeyValues;
    body?: Record<string, unknown>;
    break?: (key: { id: string }) => Promise<unknown>;
  };

  const inAMinute = async () => new Date((await app.database.now()).getTime() + 60_000);

  const RULES: Rule[] = [
    { name: 'revoked', code: '401 REVOKED_API_KEY', break: ({ id }) => app.services.keys.revoke(ORIGIN, { id }) },
    {
      name: 'expired',
      code: '401 EXPIRED_API_KEY',
      break: async ({ id }) => {
        await app.services.keys.update(ORIGIN, { id, expiresAt: await inAMinute() });
        app.travel(60_000);
      },
    },
    { name: 'disabled', code: '401 DISABLED_API_KEY', break: ({ id }) => app.services.keys.update(ORIGIN, { id, enabled: false }) },
    {
      name: 'address',
      code: '403 IP_NOT_ALLOWED',
      break: ({ id }) => app.services.keys.update(ORIGIN, { id, allowedIps: ['10.0.0.0/8'] }),
    },
    { name: 'action', code: '404 UNKNOWN_ACTION', body: { action: 'demo.nothing' } },
    { name: 'permission', code: '403 FORBIDDEN', break: ({ id }) => app.services.keys.update(ORIGIN, { id, permissions: [] }) },
    { name: 'rate', code: '429 RATE_LIMITED', values: { rateLimit: { sustainedRps: 0.001, burst: 1 } } },
    { name: 'repeated requestId', code: '422 REQUEST_ID_REUSED', body: reused },
    { name: 'budget', code: '402 PAYMENT_REQUIRED', values: { budget: 1_000 } },
  ];

  /** Builds a key that has made one successful call. Then breaks every rule of `broken`. */
  async function answerTo(broken: Rule[]): Promise<string> {
    const project = await buildProject(app, Object.assign({}, ...broken.map(({ values }) => values)));
    const { key, secret } = await buildKey(app, { project });
    expect((await app.rest({ secret, body: { requestId } })).status).toBe(200);
    for (const rule of [...broken].reverse()) await rule.break?.(key); // in reverse, because a revoked key cannot be changed
    return outcomeOf(await app.rest({ secret, body: Object.assign({}, ...broken.map(({ body }) => body)) }));
  }

  it.each(RULES)('$name alone is reported', async (rule) => {
    expect(await answerTo([rule])).toBe(rule.code);
  });

  it.each(
    RULES.slice(0, -1).map((first, index) => ({
      first,
      second: RULES[index + 1] as Rule,
      name: `${first.name} comes before ${RULES[index + 1]?.name}`,
    })),
  )('$name', async ({ first, second }) => {
    expect(await answerTo([first, second])).toBe(first.code);
  });

  it('if all rules are broken, the first is reported; after correcting it, the next one', async () => {
    for (let from = 0; from < RULES.length; from++) {
      expect(await answerTo(RULES.slice(from))).toBe(RULES[from]?.code);
    }
  });

  it('a success is replayed even if the budget is empty by then', async () => {
    const { secret } = await buildKey(app, { budget: 1_000 });
    expect(outcomeOf(await app.rest({ secret, body: { requestId } }))).toBe('200 ok');
    expect(outcomeOf(await app.rest({ secret }))).toBe('402 PAYMENT_REQUIRED');
    expect(outcomeOf(await app.rest({ secret, body: { requestId } }))).toBe('200 replay');
  });
});
