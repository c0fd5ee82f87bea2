import { randomUUID } from 'node:crypto';
import { mintSecret } from '../src/access/secret';
import { ApiKey } from '../src/keys/key.entity';
import { RequestLog } from '../src/requests/request-log.entity';
import { Environment } from '../src/tenancy/environment';
import type { Project } from '../src/tenancy/project.entity';
import type { Workspace } from '../src/tenancy/workspace.entity';
import { errorOf } from './support/answers';
import type { TestApp } from './support/app';
import { accountOf, faultsOf } from './support/books';
import { ORIGIN, buildKey, buildProject, buildServiceAccount, buildWorkspace } from './support/factories';
import { send } from './support/http';
import { closeNodes, createNodes } from './support/nodes';
import { VISION, buildVisionAction, post } from './support/verify';

jest.setTimeout(60_000);

let app: TestApp;
let other: TestApp;
let workspace: Workspace;
let project: Project;
let asker: string;

beforeAll(async () => {
  [app, other] = await createNodes();
  await buildVisionAction(app);
  workspace = await buildWorkspace(app);
  project = await buildProject(app, { workspace });
  asker = (await buildKey(app, { workspace, permissions: ['verify.keys'] })).secret;
});
afterAll(() => closeNodes(app, other));

const verify = (body: unknown, secret: string | undefined = asker, node = app) => post(node.url, '/v1/keys/verify', secret, body);
const buildCaller = (values: Parameters<typeof buildKey>[1] = {}) =>
  buildKey(app, { workspace, permissions: ['vision.*'], ...values });
async function buildExpired() {
  const caller = await buildCaller();
  await app.database.transaction((tx) => tx.update(ApiKey, { id: caller.key.id }, { expiresAt: new Date(1) }));
  return caller;
}

const metadataOf = (count: number, text: string) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`m${index}`, text]));
const logsOf = (projectId: string) => app.database.reader.findBy(RequestLog, { projectId });

/** An answer without the parts that differ between two requests. */
describe('charge', () => {
  it('bills the call at once, and tells what the credential is, its rate and its budget', async () => {
    const caller = await buildCaller({ budget: 10_000, rateLimit: { sustainedRps: 1, burst: 5 } });
    const requestId = randomUUID();
    const { status, headers, body } = await verify({
      ...VISION,
      key: caller.secret,
      usage: { faces: 3, unpriced: 7 },
      requestId,
      ip: '203.0.113.7',
      userAgent: 'x'.repeat(300),
      subject: 'user-17',
      metadata: { plan: 'gold', region: 'eu' },
    });
    expect(status).toBe(200);
    expect(body).toEqual({
      valid: true,
      code: 'VALID',
      requestId,
      key: {
        id: caller.key.id,
        name: 'Key',
        kind: 'API_KEY',
        environment: 'LIVE',
        permissions: ['vision.*'],
        expiresAt: null,
        projectId: caller.project.id,
        workspaceId: workspace.id,
      },
      rateLimit: { remaining: 4, resetMs: 1_000 },
      billing: { chargedMicroCredits: 130, budgetAvailableMicroCredits: 9_870 },
      hold: null,
    });
    expect(headers.get('x-request-id')).toBe(requestId);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(await logsOf(caller.project.id)).toMatchObject([
      {
        ...VISION,
        outcome: 'SUCCEEDED',
        httpStatus: 200,
        chargedMicroCredits: 130,
        usage: { faces: 3, unpriced: 7 },
        usageMissing: false,
        ip: '203.0.113.7',
        userAgent: 'x'.repeat(255),
        subject: 'user-17',
        metadata: { plan: 'gold', region: 'eu' },
      },
    ]);
    expect(await accountOf(app, caller.project.id)).toMatchObject({ balance: 9_870, held: 0, bills: 1, billed: 130 });
  });

  it('charges the flat price without usage, and the log says that the usage is missing', async () => {
    const { secret, project: own } = await buildCaller();
    expect((await verify({ ...VISION, key: secret })).body.billing.chargedMicroCredits).toBe(100);
    expect(await logsOf(own.id)).toMatchObject([{ chargedMicroCredits: 100, usageMissing: true }]);
  });

  it('lets exactly as many of 1,000 concurrent charges succeed as the credits allow, over all nodes', async () => {
    const { secret, project: own } = await buildCaller({ budget: 30_000 });
    const batches = Array.from({ length: 10 }, (_, index) =>
      verify({ verifications: Array.from({ length: 100 }, () => ({ ...VISION, key: secret })) }, asker, index % 2 ? app : other),
    );
    const codes: Record<string, number> = {};
    for (const { body } of await Promise.all(batches)) {
      for (const { code } of body.verifications) codes[code] = (codes[code] ?? 0) + 1;
    }
    const unavailable = codes.SERVICE_UNAVAILABLE ?? 0; // past the places of the project, which bound the calls in flight
    expect(codes.VALID).toBe(300);
    expect((codes.PAYMENT_REQUIRED ?? 0) + unavailable).toBe(700);
    expect(await accountOf(app, own.id)).toMatchObject({ balance: 0, held: 0, bills: 300, billed: 30_000, succeeded: 300 });
    expect(await faultsOf(app)).toEqual([]);
  });

  it('costs nothing with a TEST credential, and its usage is measured', async () => {
    const { secret, project: own } = await buildCaller({ environment: Environment.TEST });
    const { body } = await verify({ ...VISION, key: secret, usage: { faces: 40 } });
    expect(body).toMatchObject({ valid: true, key: { environment: 'TEST' }, billing: { chargedMicroCredits: 0 } });
    expect(await logsOf(own.id)).toMatchObject([{ chargedMicroCredits: 0, usage: { faces: 40 }, environment: 'TEST' }]);
  });
});

describe('a refusal', () => {
  const cases: [string, string, number, () => Promise<{ secret: string }>, Record<string, unknown>?][] = [
    ['an expired key', 'EXPIRED_API_KEY', 401, buildExpired],
    ['a key with allowed addresses and no ip', 'IP_NOT_ALLOWED', 403, () => buildCaller({ allowedIps: ['203.0.113.0/24'] })],
    ['another address', 'IP_NOT_ALLOWED', 403, () => buildCaller({ allowedIps: ['203.0.113.0/24'] }), { ip: '198.51.100.1' }],
    ['a key without the permission of the action', 'FORBIDDEN', 403, () => buildCaller({ permissions: ['demo.*'] })],
    ['a key without a further permission', 'FORBIDDEN', 403, () => buildCaller(), { permissions: ['vision.detect', 'extra.right'] }],
    ['an unknown action', 'UNKNOWN_ACTION', 404, () => buildCaller(), { action: 'nothing' }],
    ['a budget that is too small', 'PAYMENT_REQUIRED', 402, () => buildCaller({ budget: 99 })],
  ];

  it.each(cases)('of %s is answered with %s, and logged as at execute', async (_case, code, http, build, values = {}) => {
    const caller = await build();
    const { status, body } = await verify({ ...VISION, key: caller.secret, ...values });
    expect(status).toBe(200);
    expect(body).toEqual({
      valid: false,
      code,
      requestId: expect.any(String),
      error: { status: expect.any(String), code, message: expect.any(String), details: expect.any(Object), http },
    });
    const [log, ...more] = await app.database.reader.findBy(RequestLog, { requestId: body.requestId });
    expect(log).toMatchObject({ outcome: 'REFUSED', errorCode: code, httpStatus: http, chargedMicroCredits: 0 });
    expect(more).toEqual([]);
  });

  it('of a rate limit is answered with the time to wait', async () => {
    const { secret } = await buildCaller({ rateLimit: { sustainedRps: 0.01, burst: 1 } });
    expect((await verify({ ...VISION, key: secret })).body.valid).toBe(true);
    const { status, body } = await verify({ ...VISION, key: secret });
    expect([status, body.code, body.error.http]).toEqual([200, 'RATE_LIMITED', 429]);
    expect(body.error.details.retry_after_ms).toBeGreaterThan(1_000);
  });

  it('of a revoked key comes at once, on every node', async () => {
    const { secret, key } = await buildCaller();
    for (const node of [app, other]) expect((await verify({ ...VISION, key: secret }, asker, node)).body.valid).toBe(true);
    await app.services.keys.revoke(ORIGIN, { id: key.id });
    for (const node of [other, app]) {
      expect((await verify({ ...VISION, key: secret }, asker, node)).body).toMatchObject({ valid: false, code: 'REVOKED_API_KEY' });
    }
  });
});

describe('peek', () => {
  it('judges rate and budget, changes nothing and uses no rate', async () => {
    const { secret, project: own } = await buildCaller({ budget: 500, rateLimit: { sustainedRps: 0.01, burst: 2 } });
    for (let times = 0; times < 5; times += 1) {
      expect((await verify({ ...VISION, key: secret, mode: 'peek' })).body).toMatchObject({
        valid: true,
        rateLimit: { remaining: 2 },
        billing: { chargedMicroCredits: 0, budgetAvailableMicroCredits: 500 },
        hold: null,
      });
    }
    expect((await verify({ ...VISION, key: secret, mode: 'peek', usage: { faces: 41 } })).body.code).toBe('PAYMENT_REQUIRED');
    expect(await logsOf(own.id)).toEqual([]);
    expect(await accountOf(app, own.id)).toMatchObject({ balance: 500, held: 0, bills: 0 });
  });
});

describe('without an action', () => {
  it('checks only the credential, its address and its permissions, and leaves no trace', async () => {
    const { secret, project: own, key } = await buildCaller({ budget: 0, allowedIps: ['203.0.113.0/24'] });
    const ip = '203.0.113.9';
    const nothing = { rateLimit: null, billing: null, hold: null };
    expect((await verify({ key: secret, ip })).body).toMatchObject({ valid: true, key: { id: key.id }, ...nothing });
    expect((await verify({ key: secret, ip, permissions: ['vision.detect'], mode: 'peek' })).body.valid).toBe(true);
    expect((await verify({ key: secret })).body.code).toBe('IP_NOT_ALLOWED');
    expect((await verify({ key: secret, ip, permissions: ['demo.echo'] })).body).toMatchObject({
      code: 'FORBIDDEN',
      error: { details: { required_permission: 'demo.echo' } },
    });
    expect(await logsOf(own.id)).toEqual([]);
  });

  it('cannot charge or hold', async () => {
    const { secret } = await buildCaller();
    for (const mode of ['charge', 'hold']) {
      expect(errorOf(await verify({ key: secret, mode }))).toMatchObject({ http: 400, details: { issues: [{ path: ['mode'] }] } });
    }
  });
});

describe('a service account with several projects', () => {
  it('is verified in the project that the question names', async () => {
    const second = await buildProject(app, { workspace, budget: 1_000 });
    const { secret } = await buildServiceAccount(app, { projects: [project, second], permissions: ['vision.*'] });
    expect((await verify({ ...VISION, key: secret, projectId: second.id })).body).toMatchObject({
      valid: true,
      key: { kind: 'SERVICE_ACCOUNT', projectId: second.id },
      billing: { budgetAvailableMicroCredits: 900 },
    });
    expect((await verify({ ...VISION, key: secret })).body).toMatchObject({
      code: 'INVALID_REQUEST',
      error: { http: 400, details: { issues: [{ path: ['projectId'] }] } },
    });
    const strange = await buildProject(app);
    for (const projectId of [strange.id, 'prj_000000000neverWasHere0']) {
      expect((await verify({ ...VISION, key: secret, projectId })).body).toMatchObject({ code: 'NOT_FOUND', error: { http: 404 } });
    }
    expect((await verify({ key: secret })).body).toMatchObject({ valid: true, key: { projectId: null } });
  });
});

describe('repeats', () => {
  it('answers a repeated charge with the same bytes, and bills it once, even at the same time', async () => {
    const { secret, project: own } = await buildCaller();
    const body = { ...VISION, key: secret, requestId: randomUUID(), usage: { faces: 1 }, metadata: { b: '1', a: '2' } };
    const together = await Promise.all([app, other, app].map((node) => verify(body, asker, node)));
    const later = await verify(JSON.stringify({ ...body, mode: 'charge', metadata: { a: '2', b: '1' } }), asker, other);
    expect(new Set([...together, later].map((answer) => JSON.stringify(answer.body))).size).toBe(1);
    expect(await accountOf(app, own.id)).toMatchObject({ bills: 1, billed: 110 });
  });

  it('counts a requestId within the asker, and apart from the calls of the key', async () => {
    const { secret, project: own } = await buildCaller({ permissions: ['vision.*', 'demo.*'] });
    const requestId = randomUUID();
    const body = { ...VISION, key: secret, requestId };
    const second = await buildKey(app, { workspace, permissions: ['verify.keys'] });
    for (const one of [asker, second.secret, app.rootKey]) expect((await verify(body, one)).body.valid).toBe(true);
    expect((await app.rest({ secret, body: { requestId } })).body.ok).toBe(true);
    expect(await accountOf(app, own.id)).toMatchObject({ bills: 4 });
  });

  it('refuses the requestId of another question with 422, and takes a new secret of the key for the same question', async () => {
    const { secret, key } = await buildCaller();
    const body = { ...VISION, key: secret, requestId: randomUUID() };
    const first = await verify(body);
    expect(errorOf(await verify({ ...body, usage: { faces: 1 } }))).toMatchObject({ http: 422, code: 'REQUEST_ID_REUSED' });
    const rotated = await app.services.keys.rotate(ORIGIN, { id: key.id, graceSeconds: 0 });
    expect((await verify({ ...body, key: rotated.secret })).body).toEqual(first.body);
  });

  it('may be tried again after a refusal', async () => {
    const { secret, project: own } = await buildCaller({ budget: 0 });
    const body = { ...VISION, key: secret, requestId: randomUUID() };
    expect((await verify(body)).body.code).toBe('PAYMENT_REQUIRED');
    await app.services.wallets.topUp(ORIGIN, { workspaceId: workspace.id, amount: 500, reference: randomUUID() });
    await app.services.wallets.allocate(ORIGIN, { projectId: own.id, amount: 500 });
    expect((await verify(body)).body.valid).toBe(true);
  });
});

describe('a batch', () => {
  it('answers up to 100 questions in their order, each by itself', async () => {
    const rich = await buildCaller();
    const poor = await buildCaller({ budget: 0 });
    const foreign = await buildKey(app, { permissions: ['vision.*'] });
    const questions = [
      { ...VISION, key: rich.secret },
      { ...VISION, key: poor.secret },
      { ...VISION, key: foreign.secret },
      { ...VISION, key: rich.secret, holdSeconds: 0 },
      7,
      { key: rich.secret },
      { ...VISION, key: rich.secret, mode: 'hold' },
      { ...VISION, key: rich.secret, mode: 'peek', action: 'nothing' },
    ];
    const all = Array.from({ length: 100 }, (_, index) => questions[index % questions.length]);
    const { status, body } = await verify({ verifications: all });
    expect(status).toBe(200);
    const refusals = ['PAYMENT_REQUIRED', 'INVALID_API_KEY', 'INVALID_REQUEST', 'INVALID_REQUEST'];
    const codes = ['VALID', ...refusals, 'VALID', 'VALID', 'UNKNOWN_ACTION'];
    expect(body.verifications.map(({ code }: { code: string }) => code)).toEqual(all.map((_, index) => codes[index % codes.length]));
    const ids = body.verifications.map(({ requestId }: { requestId: string }) => requestId);
    expect(new Set(ids).size).toBe(100);
    for (const { valid, error } of body.verifications) expect(valid).toBe(error === undefined);
    expect(body.verifications[3].error.details.issues).toMatchObject([{ path: ['holdSeconds'] }]);
  });

  it('is refused as a whole without questions, with over 100, or with another member', async () => {
    const { secret } = await buildCaller();
    for (const body of [{ verifications: [] }, { verifications: Array(101).fill({ key: secret }) }, { verifications: [{}], key: secret }]) {
      expect(errorOf(await verify(body))).toMatchObject({ http: 400, code: 'INVALID_REQUEST' });
    }
  });
});

describe('the body', () => {
  it.each<[string, unknown, (string | number)[]]>([
    ['key', { key: 7 }, ['key']],
    ['an unknown member', { key: 'x', what: 1 }, ['what']],
    ['an action without a service', { key: 'x', action: 'detect' }, []],
    ['a mode', { ...VISION, key: 'x', mode: 'free' }, ['mode']],
    ['usage', { ...VISION, key: 'x', usage: { faces: 1.5 } }, ['usage', 'faces']],
    ['too many hold seconds', { ...VISION, key: 'x', holdSeconds: 3_601 }, ['holdSeconds']],
    ['a requestId that is no UUID', { ...VISION, key: 'x', requestId: 'mine' }, ['requestId']],
    ['an address', { ...VISION, key: 'x', ip: '127.1' }, ['ip']],
    ['a subject that is too long', { ...VISION, key: 'x', subject: 'x'.repeat(256) }, ['subject']],
    ['a subject with half a character', { ...VISION, key: 'x', subject: 'a\ud800' }, ['subject']],
    ['a user agent with half a character', { ...VISION, key: 'x', userAgent: 'a\ud800' }, ['userAgent']],
    ['21 strings of metadata', { key: 'x', metadata: metadataOf(21, '') }, ['metadata']],
    ['metadata that is no text', { key: 'x', metadata: { a: 1 } }, ['metadata', 'a']],
    ['too much metadata', { key: 'x', metadata: metadataOf(20, 'é'.repeat(255)) }, ['metadata']],
  ])('is refused for %s', async (_case, body, path) => {
    expect(errorOf(await verify(body))).toMatchObject({ http: 400, code: 'INVALID_REQUEST', details: { issues: [{ path }] } });
  });

  it('is refused if it is not JSON, has a name twice, or is compressed', async () => {
    for (const body of ['{', '{"key":"a","key":"b"}', '']) expect(errorOf(await verify(body))).toMatchObject({ code: 'INVALID_REQUEST' });
    const headers = { 'content-type': 'text/plain', 'x-api-key': asker };
    expect(errorOf(await send(app.url, { method: 'POST', path: '/v1/keys/verify', headers, body: '{}' }))).toMatchObject({ http: 415 });
    expect(errorOf(await send(app.url, { path: '/v1/keys/verify' }))).toMatchObject({ http: 405, allow: 'POST' });
  });

  it('may have 200 KB from an asker, and not from a stranger', async () => {
    const { secret } = await buildCaller();
    const verifications = Array.from({ length: 100 }, () => ({ key: secret, userAgent: 'z'.repeat(1_900) }));
    expect((await verify({ verifications })).body.verifications).toHaveLength(100);
    const headers = { 'content-type': 'application/json', 'x-api-key': mintSecret('acme', 'LIVE') };
    const body = JSON.stringify({ verifications });
    expect(errorOf(await send(app.url, { method: 'POST', path: '/v1/keys/verify', headers, body }))).toMatchObject({ http: 401 });
  });
});
