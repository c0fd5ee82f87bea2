import { randomUUID } from 'node:crypto';
import { Action } from '../src/actions/action.entity';
import { SingleHold } from '../src/gate/gate.entities';
import type { HoldRow } from '../src/gate/tick/rows';
import { RequestLog } from '../src/requests/request-log.entity';
import { Environment } from '../src/tenancy/environment';
import type { Workspace } from '../src/tenancy/workspace.entity';
import { errorOf } from './support/answers';
import { SECRETS, createTestApp, type TestApp } from './support/app';
import { accountOf, faultsOf } from './support/books';
import { ORIGIN, buildKey, buildWorkspace } from './support/factories';
import { send } from './support/http';
import { closeNodes, createNodes } from './support/nodes';
import { runCli, startProcess } from './support/process';
import { VISION, buildVisionAction, post } from './support/verify';

jest.setTimeout(60_000);

let app: TestApp;
let other: TestApp;
let workspace: Workspace;
let asker: string;

beforeAll(async () => {
  [app, other] = await createNodes();
  await buildVisionAction(app);
  workspace = await buildWorkspace(app);
  asker = (await buildKey(app, { workspace, permissions: ['verify.keys'] })).secret;
});
afterAll(() => closeNodes(app, other));

const HOUR_MS = 3_600_000;

const buildCaller = (values: Parameters<typeof buildKey>[1] = {}) => buildKey(app, { workspace, permissions: ['vision.*'], ...values });
const on = (id: string, what: string, body: unknown, secret = asker, node = app) => post(node.url, `/v1/holds/${id}/${what}`, secret, body);

interface Held {
  id: string;
  expiresAt: string;
  amountMicroCredits: number;
}

async function hold(secret: string, values: Record<string, unknown> = {}): Promise<Held> {
  const { body } = await post(app.url, '/v1/keys/verify', asker, { ...VISION, key: secret, mode: 'hold', ...values });
  if (!body.valid) throw new Error(JSON.stringify(body));
  return body.hold as Held;
}

const logOf = (id: string) => app.database.reader.findOneBy(RequestLog, { id });
const nowMs = async () => (await app.database.now()).getTime();

describe('a hold', () => {
  it('reserves the most that the call can cost, for a minute unless the asker says otherwise', async () => {
    const { secret, project } = await buildCaller();
    const before = await nowMs();
    const { id, expiresAt, amountMicroCredits } = await hold(secret);
    expect(amountMicroCredits).toBe(500);
    expect(Date.parse(expiresAt) - before).toBeGreaterThanOrEqual(60_000);
    expect(Date.parse(expiresAt) - before).toBeLessThan(70_000);
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_000_000, held: 500, holds: 1, bills: 0 });
    const long = await hold(secret, { holdSeconds: 3_600 });
    expect(Date.parse(long.expiresAt) - before).toBeGreaterThanOrEqual(HOUR_MS);
    expect(await logOf(id)).toBeNull();
    expect(await faultsOf(app)).toEqual([]);
  });

  it('is refused if the credits do not cover it, also while other holds reserve them', async () => {
    const { secret } = await buildCaller({ budget: 999 });
    await hold(secret);
    const { body } = await post(app.url, '/v1/keys/verify', asker, { ...VISION, key: secret, mode: 'hold' });
    const details = { price_micro_credits: 500, available_micro_credits: 499 };
    expect(body).toMatchObject({ code: 'PAYMENT_REQUIRED', error: { details } });
  });

  it('is the same hold for a repeated question', async () => {
    const { secret, project } = await buildCaller();
    const requestId = randomUUID();
    const ids = await Promise.all([1, 2, 3].map(async () => (await hold(secret, { requestId })).id));
    expect(new Set(ids).size).toBe(1);
    expect(await accountOf(app, project.id)).toMatchObject({ held: 500, holds: 1 });
  });
});

describe('settle', () => {
  it.each<[string, Record<string, unknown>, number, Record<string, unknown>]>([
    ['the flat price without a body', {}, 100, { usageMissing: true }],
    ['the usage by the prices', { usage: { faces: 7 } }, 170, { usage: { faces: 7 }, usageMissing: false }],
    ['the given amount', { amountMicroCredits: 42 }, 42, { usageMissing: false }],
    ['nothing for the amount 0', { amountMicroCredits: 0 }, 0, { outcome: 'SUCCEEDED' }],
    ['more than the hold, if the budget has it', { usage: { faces: 90 } }, 1_000, { shortfallMicroCredits: 0, heldMicroCredits: 500 }],
    ['no more than the budget has', { amountMicroCredits: 3_000 }, 2_000, { shortfallMicroCredits: 1_000 }],
  ])('charges %s', async (_case, body, charged, log) => {
    const { secret, project, key } = await buildCaller({ budget: 2_000 });
    const { id } = await hold(secret, { subject: 'user-17', metadata: { plan: 'gold' } });
    const answer = await on(id, 'settle', body);
    const billing = { chargedMicroCredits: charged, budgetAvailableMicroCredits: 2_000 - charged };
    expect([answer.status, answer.body]).toEqual([200, { outcome: 'SUCCEEDED', billing }]);
    const given = { subject: 'user-17', metadata: { plan: 'gold' } };
    expect(await logOf(id)).toMatchObject({ ...given, credentialId: key.id, outcome: 'SUCCEEDED', chargedMicroCredits: charged, ...log });
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 2_000 - charged, held: 0, holds: 0 });
    expect(await faultsOf(app)).toEqual([]);
  });

  it('charges by the prices of the verification', async () => {
    const { id: actionId } = await app.database.reader.findOneByOrFail(Action, { service: 'vision' });
    const { secret } = await buildCaller();
    const { id } = await hold(secret);
    const price = (priceMicroCredits: number) => app.services.actions.update(ORIGIN, { id: actionId, priceMicroCredits });
    await price(400);
    expect((await on(id, 'settle', {})).body.billing.chargedMicroCredits).toBe(100);
    await price(100);
  });

  it('charges nothing for a TEST credential', async () => {
    const { secret } = await buildCaller({ environment: Environment.TEST, budget: 0 });
    const { id, amountMicroCredits } = await hold(secret);
    expect(amountMicroCredits).toBe(0);
    expect((await on(id, 'settle', { amountMicroCredits: 70 })).body.billing.chargedMicroCredits).toBe(0);
  });

  it('settles the hold of a key that was revoked meanwhile', async () => {
    const { secret, key } = await buildCaller();
    const { id } = await hold(secret);
    await app.services.keys.revoke(ORIGIN, { id: key.id });
    expect((await on(id, 'settle', {})).status).toBe(200);
  });
});

describe('void', () => {
  it('gives the credits back, bills nothing, and logs the code', async () => {
    const { secret, project } = await buildCaller();
    const [first, second] = [await hold(secret), await hold(secret)];
    const answer = await on(first.id, 'void', { errorCode: 'MODEL_DOWN' });
    expect([answer.status, answer.body]).toEqual([200, { outcome: 'FAILED' }]);
    expect((await on(second.id, 'void', {})).body).toEqual({ outcome: 'FAILED' });
    expect(await logOf(first.id)).toMatchObject({ outcome: 'FAILED', errorCode: 'MODEL_DOWN', chargedMicroCredits: 0 });
    expect(await logOf(second.id)).toMatchObject({ outcome: 'FAILED', errorCode: 'VOIDED' });
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_000_000, held: 0, holds: 0, bills: 0 });
  });
});

describe('a hold that is closed', () => {
  it('answers the same request with the same bytes, on every node, and another one with what was', async () => {
    const { secret, project } = await buildCaller();
    const { id } = await hold(secret);
    const first = await on(id, 'settle', { usage: { faces: 2, pages: 1 } });
    const again = await on(id, 'settle', '{"usage":{"pages":1,"faces":2}}', asker, other);
    expect([again.status, again.body]).toEqual([200, first.body]);
    const was = { http: 409, code: 'ALREADY_SETTLED', details: { outcome: 'SUCCEEDED', charged_micro_credits: 120 } };
    for (const [what, body] of [['settle', {}], ['settle', { usage: { faces: 3 } }], ['void', {}], ['extend', { seconds: 9 }]] as const) {
      expect(errorOf(await on(id, what, body))).toMatchObject(was);
    }
    expect(await accountOf(app, project.id)).toMatchObject({ bills: 1, billed: 120 });
  });

  it('tells the code of a void', async () => {
    const { secret } = await buildCaller();
    const { id } = await hold(secret);
    await on(id, 'void', { errorCode: 'MODEL_DOWN' });
    expect((await on(id, 'void', { errorCode: 'MODEL_DOWN' })).body).toEqual({ outcome: 'FAILED' });
    expect(errorOf(await on(id, 'settle', {}))).toMatchObject({
      http: 409,
      details: { outcome: 'FAILED', charged_micro_credits: 0, error_code: 'MODEL_DOWN' },
    });
  });

  it('is closed by exactly one of many concurrent requests, and every answer is true', async () => {
    const { secret, project } = await buildCaller();
    const { id } = await hold(secret);
    const bodies = Array.from({ length: 12 }, (_, index) => (index % 3 === 0 ? undefined : { usage: { faces: index } }));
    const answers = await Promise.all(
      bodies.map((body, index) => on(id, body ? 'settle' : 'void', body ?? {}, asker, index % 2 ? app : other)),
    );
    const log = await logOf(id);
    const charged = log?.chargedMicroCredits ?? -1;
    const winners = answers.filter(({ status }) => status === 200);
    if (log?.outcome === 'SUCCEEDED') {
      expect(winners.map(({ body }) => body.billing.chargedMicroCredits)).toEqual([charged]);
    } else {
      expect(winners.map(({ body }) => body)).toEqual(Array(4).fill({ outcome: 'FAILED' })); // the four voids are one request
    }
    for (const answer of answers.filter(({ status }) => status !== 200)) {
      expect(errorOf(answer)).toMatchObject({ http: 409, details: { outcome: log?.outcome, charged_micro_credits: charged } });
    }
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_000_000 - charged, held: 0, holds: 0, bills: charged > 0 ? 1 : 0 });
    expect(await faultsOf(app)).toEqual([]);
  });

  it('is told from its log row after a day', async () => {
    const node = await createTestApp();
    await buildVisionAction(node);
    const { secret } = await buildKey(node, { permissions: ['vision.*'] });
    const asked = await post(node.url, '/v1/keys/verify', node.rootKey, { ...VISION, key: secret, mode: 'hold' });
    const { id } = asked.body.hold as Held;
    expect((await on(id, 'settle', {}, node.rootKey, node)).status).toBe(200);
    node.travel(25 * HOUR_MS);
    await node.sweep.once();
    expect(errorOf(await on(id, 'settle', {}, node.rootKey, node))).toMatchObject({ http: 409, code: 'ALREADY_SETTLED' });
    await node.close();
  });
});

describe('expiry', () => {
  let node: TestApp;
  let secret: string;
  let projectId: string;

  beforeAll(async () => {
    node = await createTestApp();
    await buildVisionAction(node);
    const caller = await buildKey(node, { permissions: ['vision.*'] });
    secret = caller.secret;
    projectId = caller.project.id;
  });
  afterAll(() => node.close());

  const holdHere = async (values = {}) => {
    const question = { ...VISION, key: secret, mode: 'hold', ...values };
    return (await post(node.url, '/v1/keys/verify', node.rootKey, question)).body.hold as Held;
  };
  const ask = (id: string, what: string, body: unknown) => on(id, what, body, node.rootKey, node);

  it.each(['before', 'after'])('voids the hold and refuses every request with 410, %s the sweep', async (when) => {
    const [first, second, third] = [await holdHere(), await holdHere(), await holdHere()];
    node.travel(60_001);
    if (when === 'after') await node.sweep.once();
    const gone = { http: 410, code: 'HOLD_EXPIRED' };
    expect(errorOf(await ask(first.id, 'settle', {}))).toMatchObject(gone);
    expect(errorOf(await ask(second.id, 'void', {}))).toMatchObject(gone);
    expect(errorOf(await ask(third.id, 'extend', { seconds: 60 }))).toMatchObject(gone);
    for (const { id } of [first, second, third]) {
      expect(errorOf(await ask(id, 'settle', {}))).toMatchObject(gone);
      expect(await node.database.reader.findOneBy(RequestLog, { id })).toMatchObject({ outcome: 'EXPIRED', chargedMicroCredits: 0 });
    }
    expect(await accountOf(node, projectId)).toMatchObject({ balance: 1_000_000, held: 0, holds: 0 });
    expect(await faultsOf(node)).toEqual([]);
  });

  it('moves with extend: forwards only, and to an hour after the start at most', async () => {
    const { id, expiresAt } = await holdHere({ holdSeconds: 100 });
    const startedAt = Date.parse(expiresAt) - 100_000;
    const extended = async (seconds: number) => {
      const { status, body } = await ask(id, 'extend', { seconds });
      expect([status, body.hold.id, body.hold.amountMicroCredits]).toEqual([200, id, 500]);
      return Date.parse(body.hold.expiresAt);
    };
    expect(await extended(10)).toBe(startedAt + 100_000);
    expect(await extended(200)).toBeGreaterThanOrEqual(startedAt + 200_000);
    node.travel(150_000);
    await node.sweep.once();
    expect(await extended(3_600)).toBe(startedAt + HOUR_MS);
    expect(await extended(3_600)).toBe(startedAt + HOUR_MS);
    node.travel(HOUR_MS - 160_000);
    await node.sweep.once();
    expect((await ask(id, 'settle', { usage: { faces: 1 } })).body.billing.chargedMicroCredits).toBe(110);
  });

  it('is not swept if it was extended after the sweep had read it', async () => {
    const { id } = await holdHere();
    const row = await node.database.reader.findOneByOrFail(SingleHold, { id });
    expect((await ask(id, 'extend', { seconds: 600 })).status).toBe(200);
    node.travel(61_000);
    const stale = { ...(JSON.parse(row.hold) as HoldRow), expiresAt: row.expiresAt };
    const sweep = { kind: 'settlement', hold: stale, ending: { kind: 'expired' }, mayBeSingle: true } as const;
    expect(await node.gate.ticker.settle(sweep, Infinity)).toEqual({ kind: 'gone' });
    expect((await ask(id, 'settle', {})).status).toBe(200);
  });

  it('gives the credits back after a kill -9 of the server with open holds', async () => {
    const env = { DATABASE_URL: app.databaseUrl, ...SECRETS };
    const server = await startProcess({ env });
    const url = await server.listening;
    const caller = await buildCaller();
    const question = { ...VISION, key: caller.secret, mode: 'hold', holdSeconds: 1 };
    const { body } = await post(url, '/v1/keys/verify', asker, { verifications: Array(10).fill(question) });
    expect(body.verifications.every(({ valid }: { valid: boolean }) => valid)).toBe(true);
    server.kill('SIGKILL');
    await server.ended;
    expect(await accountOf(app, caller.project.id)).toMatchObject({ held: 5_000, holds: 10 });
    const [survivor] = body.verifications as { hold: Held }[];
    const isInTime = (await nowMs()) < Date.parse(survivor?.hold.expiresAt ?? '');
    const settled = await on(survivor?.hold.id ?? '', 'settle', {});
    expect([200, isInTime ? 200 : 410]).toContain(settled.status); // the hold is a row, so another process settles it
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await app.sweep.once();
    const charged = settled.status === 200 ? 100 : 0;
    expect(await accountOf(app, caller.project.id)).toMatchObject({ balance: 1_000_000 - charged, held: 0, holds: 0 });
    expect(await runCli(['audit'], { env })).toMatchObject({ code: 0 });
  });
});

describe('tenancy', () => {
  it('answers a foreign hold like one that never was, with the same bytes, open or closed', async () => {
    const { secret } = await buildCaller();
    const open = await hold(secret);
    const closed = await hold(secret);
    await on(closed.id, 'settle', {});
    const stranger = (await buildKey(app, { permissions: ['verify.keys'] })).secret;
    const never = open.id.replace(/.{8}$/, '00000000');
    for (const [what, body] of [['settle', {}], ['void', {}], ['extend', { seconds: 60 }]] as const) {
      const answers = [];
      for (const id of [open.id, closed.id, never, '..%2f', 'x'.repeat(65)]) answers.push(await on(id, what, body, stranger));
      const texts = answers.map(({ status, body: told }) => `${status} ${JSON.stringify({ ...told, requestId: '' })}`);
      expect(new Set(texts).size).toBe(1);
      expect(texts[0]).toContain('404');
    }
    expect((await on(open.id, 'settle', {}, app.rootKey)).status).toBe(200);
  });

  it('does not settle a call of execute, and tells nothing about it', async () => {
    const caller = await buildKey(app, { workspace });
    await app.rest({ secret: caller.secret });
    const [log] = await app.database.reader.findBy(RequestLog, { projectId: caller.project.id });
    for (const [what, body] of [['settle', {}], ['void', {}], ['extend', { seconds: 60 }]] as const) {
      expect(errorOf(await on(log?.id ?? '', what, body))).toMatchObject({ http: 404, code: 'NOT_FOUND', details: {} });
    }
  });

  it('does not settle the hold of a call that a route runs', async () => {
    const { secret } = await buildCaller();
    const { id } = await hold(secret);
    const ofAsker = await app.database.reader.findOneByOrFail(SingleHold, { id });
    const { askerId: _askerId, ...ofRoute } = JSON.parse(ofAsker.hold) as HoldRow;
    await app.database.transaction((tx) => tx.update(SingleHold, { id }, { hold: JSON.stringify(ofRoute) }));
    for (const [what, body] of [['settle', {}], ['void', {}], ['extend', { seconds: 60 }]] as const) {
      expect(errorOf(await on(id, what, body))).toMatchObject({ http: 404, code: 'NOT_FOUND' });
    }
  });

  it('needs an asker that works now', async () => {
    const { secret } = await buildCaller();
    const { id } = await hold(secret);
    const own = await buildKey(app, { workspace, permissions: ['verify.keys'] });
    const weak = await buildKey(app, { workspace, permissions: ['read', 'write'] });
    expect(errorOf(await on(id, 'settle', {}, weak.secret))).toMatchObject({ http: 403, details: { required_permission: 'verify.keys' } });
    await app.services.keys.revoke(ORIGIN, { id: own.key.id });
    for (const what of ['settle', 'void']) expect(errorOf(await on(id, what, {}, own.secret))).toMatchObject({ http: 401 });
    expect(errorOf(await send(app.url, { path: `/v1/holds/${id}/settle` }))).toMatchObject({ http: 405, allow: 'POST' });
  });
});

it.each<[string, string, unknown]>([
  ['settle', 'both usage and an amount', { usage: {}, amountMicroCredits: 1 }],
  ['settle', 'an amount below zero', { amountMicroCredits: -1 }],
  ['settle', 'an unknown member', { amount: 1 }],
  ['settle', 'a list', []],
  ['void', 'a code of another form', { errorCode: 'model down' }],
  ['extend', 'no time', {}],
  ['extend', 'more than an hour', { seconds: 3_601 }],
])('%s refuses %s', async (what, _case, body) => {
  expect(errorOf(await on('log_x', what, body))).toMatchObject({ http: 400, code: 'INVALID_REQUEST' });
});
