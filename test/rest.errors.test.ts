import { randomUUID } from 'node:crypto';
import { mintSecret } from '../src/access/secret';
import { errorOf, type ErrorOf } from './support/answers';
import { createTestApp, ROOT_KEY, type TestApp } from './support/app';
import type { RestAnswer, RestCall } from './support/clients';
import { ORIGIN, buildAction, buildKey, buildProject, type KeyValues } from './support/factories';
import { send } from './support/http';
import { SLOW_LIMIT, tracesOf } from './support/traces';

// Rows of the error table that need no upstream and no outage: the exact answer, and its effects in the database.

const BODY_LIMIT_BYTES = 4_096;
const INVALID_TOKEN = 'Bearer realm="tollgate", error="invalid_token"';

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp({ config: { bodyLimitBytes: BODY_LIMIT_BYTES } });
});

afterAll(() => app.close());

async function build(values: KeyValues = {}) {
  const project = values.project ?? (await buildProject(app, { rateLimit: SLOW_LIMIT, ...values }));
  return buildKey(app, { ...values, project });
}

/** Returns the answer of a call that fails before it is authenticated. Proves that it cost nothing and left no row. */
async function refusedUnknown(call: RestCall, values?: KeyValues): Promise<ErrorOf> {
  const { project, secret } = await build(values);
  const answer = await app.rest({ secret, ...call });
  expect(await tracesOf(app, project.id)).toEqual({ balance: 1_000_000, held: 0, holds: 0, bills: 0, rateUsed: 0, logs: [] });
  return errorOf(answer);
}

/** Returns the answer to a call of a known key. Proves that it cost nothing, used `rateUsed` calls of the limit and wrote one log row. */
async function refusedKnown({ project, key, secret }: Awaited<ReturnType<typeof build>>, call: RestCall, rateUsed = 0): Promise<ErrorOf> {
  const before = await tracesOf(app, project.id);
  const answer = await app.rest({ secret, ...call });
  const after = await tracesOf(app, project.id);
  const error = errorOf(answer);
  expect(after).toEqual({ ...before, rateUsed: before.rateUsed + rateUsed, logs: [...before.logs, expect.anything()] });
  expect(after.logs.at(-1)).toMatchObject({
    requestId: answer.body.requestId,
    projectId: project.id,
    credentialId: key.id,
    environment: 'LIVE',
    service: call.service ?? 'demo',
    action: call.body?.action ?? 'demo.echo',
    outcome: 'REFUSED',
    errorCode: error.code,
    httpStatus: error.http,
    chargedMicroCredits: 0,
    actionMs: null,
    totalMs: expect.any(Number),
    ip: '127.0.0.1',
  });
  return error;
}

describe('a call that fails before authentication leaves no row in the log and costs nothing', () => {
  it('400 INVALID_REQUEST names each problem and its path', async () => {
    expect(await refusedUnknown({ body: { action: 7, params: [], colour: 'red' } })).toEqual({
      http: 400,
      status: 'INVALID_REQUEST',
      code: 'INVALID_REQUEST',
      details: {
        issues: [
          { path: ['action'], message: 'must be a string' },
          { path: ['params'], message: 'must be an object' },
          { path: ['colour'], message: 'is not known; remove it' },
        ],
      },
    });
  });

  it('400 INVALID_REQUEST for an unknown version of the contract', async () => {
    const error = await refusedUnknown({ headers: { 'x-api-version': '2' } });
    expect(error).toEqual({
      http: 400,
      status: 'INVALID_REQUEST',
      code: 'INVALID_REQUEST',
      details: { issues: [{ path: ['X-Api-Version'], message: 'must be 1' }] },
    });
  });

  it.each<[string, RestCall]>([
    ['neither header', {}],
    ['an empty X-Api-Key', { headers: { 'x-api-key': '' } }],
    ['an empty bearer token', { headers: { authorization: 'Bearer ' } }],
    ['another Authorization scheme', { headers: { authorization: `Basic ${Buffer.from('a:b').toString('base64')}` } }],
  ])('401 MISSING_API_KEY for %s', async (_case, call) => {
    expect(await refusedUnknown({ ...call, secret: undefined })).toEqual({
      http: 401,
      status: 'UNAUTHORIZED',
      code: 'MISSING_API_KEY',
      details: { header: 'Authorization' },
      challenge: 'Bearer realm="tollgate"',
    });
  });

  it('401 INVALID_API_KEY is the same for a malformed, mistyped and unknown secret, and for the root key', async () => {
    const unknown = mintSecret('acme', 'LIVE');
    const mistyped = unknown.slice(0, -1) + (unknown.endsWith('0') ? '1' : '0');
    const { project } = await build();
    const answers: RestAnswer[] = [];
    for (const secret of ['nonsense', mistyped, unknown, ROOT_KEY]) answers.push(await app.rest({ secret }));
    for (const answer of answers) {
      expect(errorOf(answer)).toEqual({
        http: 401,
        status: 'UNAUTHORIZED',
        code: 'INVALID_API_KEY',
        details: {},
        challenge: INVALID_TOKEN,
      });
      expect(answer.body.error).toEqual(answers[0]?.body.error);
    }
    expect((await tracesOf(app, project.id)).logs).toEqual([]);
  });

  it.each(['keys', 'holds', 'audit', 'export', 'forward-auth', 'secret-scanning', 'Demo', '1demo', 'de_mo', 'a'.repeat(64)])(
    '404 NOT_FOUND for the service %s',
    async (service) => {
      expect(await refusedUnknown({ service })).toEqual({ http: 404, status: 'NOT_FOUND', code: 'NOT_FOUND', details: {} });
    },
  );

  it('413 PAYLOAD_TOO_LARGE names the limit', async () => {
    const error = await refusedUnknown({ raw: Buffer.alloc(BODY_LIMIT_BYTES + 1, ' ') });
    expect(error).toEqual({
      http: 413,
      status: 'PAYLOAD_TOO_LARGE',
      code: 'PAYLOAD_TOO_LARGE',
      details: { limit_bytes: BODY_LIMIT_BYTES },
    });
  });

  it('415 UNSUPPORTED_MEDIA_TYPE', async () => {
    const error = await refusedUnknown({ headers: { 'content-type': 'text/plain' } });
    expect(error).toEqual({ http: 415, status: 'INVALID_REQUEST', code: 'UNSUPPORTED_MEDIA_TYPE', details: {} });
  });
});

describe('a request without a route', () => {
  it('404 NOT_FOUND', async () => {
    for (const path of ['/', '/v1', '/v1/demo', '/v1/demo/execute/', '/v2/demo/execute', '/graphqlx', '//']) {
      expect(errorOf(await send(app.url, { method: 'POST', path }))).toEqual({
        http: 404,
        status: 'NOT_FOUND',
        code: 'NOT_FOUND',
        details: {},
      });
    }
  });

  it('405 METHOD_NOT_ALLOWED names the allowed methods', async () => {
    expect(errorOf(await send(app.url, { path: '/v1/demo/execute?x=1' }))).toEqual({
      http: 405,
      status: 'INVALID_REQUEST',
      code: 'METHOD_NOT_ALLOWED',
      details: {},
      allow: 'POST',
    });
  });
});

describe('a key that does not work', () => {
  const unauthorized = { http: 401, status: 'UNAUTHORIZED', challenge: INVALID_TOKEN };

  it('401 REVOKED_API_KEY has the time of revocation', async () => {
    const built = await build();
    const { revokedAt } = await app.services.keys.revoke(ORIGIN, { id: built.key.id });
    const details = { key_id: built.key.id, revoked_at: revokedAt?.toISOString() };
    expect(await refusedKnown(built, {})).toEqual({ ...unauthorized, code: 'REVOKED_API_KEY', details });
  });

  it('401 REVOKED_API_KEY for an old secret, from its rotation or the end of its grace period', async () => {
    const [atOnce, later] = [await build(), await build()];
    const rotated = await app.services.keys.rotate(ORIGIN, { id: atOnce.key.id });
    const revokedAt = rotated.key.rotatedAt?.toISOString();
    expect(await refusedKnown(atOnce, {})).toEqual({
      ...unauthorized,
      code: 'REVOKED_API_KEY',
      details: { key_id: atOnce.key.id, revoked_at: revokedAt },
    });

    const { key } = await app.services.keys.rotate(ORIGIN, { id: later.key.id, graceSeconds: 60 });
    expect((await app.rest({ secret: later.secret })).status).toBe(200);
    app.travel(60_000);
    const graceUntil = new Date(Number(key.rotatedAt) + 60_000).toISOString();
    expect(await refusedKnown(later, {})).toEqual({
      ...unauthorized,
      code: 'REVOKED_API_KEY',
      details: { key_id: key.id, revoked_at: graceUntil },
    });
  });

  it('401 EXPIRED_API_KEY has the time of expiry', async () => {
    const expiresAt = new Date((await app.database.now()).getTime() + 60_000);
    const built = await build({ expiresAt });
    expect((await app.rest({ secret: built.secret })).status).toBe(200);
    app.travel(60_000);
    const details = { key_id: built.key.id, expired_at: expiresAt.toISOString() };
    expect(await refusedKnown(built, {})).toEqual({ ...unauthorized, code: 'EXPIRED_API_KEY', details });
  });

  it('401 DISABLED_API_KEY while it is disabled, and permanently if its project is archived', async () => {
    const built = await build();
    const disabled = { ...unauthorized, code: 'DISABLED_API_KEY', details: { key_id: built.key.id } };
    await app.services.keys.update(ORIGIN, { id: built.key.id, enabled: false });
    expect(await refusedKnown(built, {})).toEqual(disabled);
    await app.services.keys.update(ORIGIN, { id: built.key.id, enabled: true });
    expect((await app.rest({ secret: built.secret })).status).toBe(200);
    await app.services.projects.archive(ORIGIN, { id: built.project.id });
    expect(await refusedKnown(built, {})).toEqual(disabled);
  });
});

describe('a call that a key may not make', () => {
  it('403 IP_NOT_ALLOWED does not name the allowed addresses', async () => {
    const built = await build({ allowedIps: ['10.0.0.0/8'] });
    expect(await refusedKnown(built, {})).toEqual({ http: 403, status: 'FORBIDDEN', code: 'IP_NOT_ALLOWED', details: {} });
  });

  it('403 FORBIDDEN names the missing permission', async () => {
    const built = await build({ permissions: ['demo.fail'] });
    expect(await refusedKnown(built, {})).toEqual({
      http: 403,
      status: 'FORBIDDEN',
      code: 'FORBIDDEN',
      details: { required_permission: 'demo.echo' },
      challenge: 'Bearer realm="tollgate", error="insufficient_scope", scope="demo.echo"',
    });
  });

  it('404 UNKNOWN_ACTION for an action that does not exist, of another service, or disabled', async () => {
    const off = await buildAction(app, { upstreamUrl: 'http://127.0.0.1:9/' });
    await app.services.actions.update(ORIGIN, { id: off.id, enabled: false });
    const built = await build({ permissions: ['demo.*', 'face.*'] });
    const calls = [
      { body: { action: 'demo.nothing' } },
      { service: 'face', body: { action: 'demo.echo' } },
      { service: 'face', body: { action: off.name } },
    ];
    for (const call of calls) {
      expect(await refusedKnown(built, call)).toEqual({
        http: 404,
        status: 'NOT_FOUND',
        code: 'UNKNOWN_ACTION',
        details: { action: call.body.action },
      });
    }
  });

  it('402 PAYMENT_REQUIRED has the price and the available budget, and uses a call of the rate limit', async () => {
    const built = await build({ budget: 1_999 });
    expect((await app.rest({ secret: built.secret })).status).toBe(200);
    expect(await refusedKnown(built, {}, 1)).toEqual({
      http: 402,
      status: 'PAYMENT_REQUIRED',
      code: 'PAYMENT_REQUIRED',
      details: { price_micro_credits: 1_000, available_micro_credits: 999 },
    });
  });

  it('keeps the requestId of a refused caller in the answer and in the log', async () => {
    const built = await build({ permissions: ['demo.fail'] });
    const requestId = randomUUID();
    const answer = await app.rest({ secret: built.secret, body: { requestId } });
    expect([answer.body.requestId, answer.headers.get('x-request-id')]).toEqual([requestId, requestId]);
    expect((await tracesOf(app, built.project.id)).logs).toMatchObject([{ requestId, outcome: 'REFUSED' }]);
  });
});
