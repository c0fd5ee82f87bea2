import { createTestApp, type TestApp } from './support/app';
import { faultsOf } from './support/books';
import type { Environment } from '../src/tenancy/environment';
import { buildKey } from './support/factories';
import { mutations } from './support/mutate';
import { startUpstream, type Upstream } from './support/upstream';

// Prices by unit: what a call reserves, what a success costs, and what the log says about it.

let app: TestApp;
let upstream: Upstream;
let mutate: ReturnType<typeof mutations>['mutate'];
let issuePaths: ReturnType<typeof mutations>['issuePaths'];

beforeAll(async () => {
  app = await createTestApp();
  ({ mutate, issuePaths } = mutations(app));
  upstream = await startUpstream();
});

afterAll(() => app.close());

const TOKENS = [
  { unit: 'input_tokens', microCredits: 150_000, per: 1_000_000 },
  { unit: 'output_tokens', microCredits: 600_000, per: 1_000_000 },
];
const PRICES = { priceMicroCredits: 5, unitPrices: TOKENS, maxChargeMicroCredits: 1_000 };

let made = 0;

/** Creates an action with these prices, and a key whose budget has `credits`. Its upstream reports `usage`. */
async function build({ usage, credits = 10_000, environment = 'LIVE', ...values }: Record<string, unknown> = {}) {
  const name = `chat.made-${(made += 1)}`;
  const input = { service: 'chat', name, permission: name, upstreamUrl: upstream.url, ...PRICES, ...values };
  const { action } = await mutate('createAction', input, 'action { id unitPrices { unit microCredits per } maxChargeMicroCredits }');
  upstream.answer = (call) => call.reply(200, JSON.stringify({ ok: true, data: {}, ...(usage === undefined ? {} : { usage }) }));
  const caller = await buildKey(app, { permissions: [name], budget: credits as number, environment: environment as Environment });
  const call = () => app.rest({ secret: caller.secret, service: 'chat', body: { action: name } });
  return { action, call, ...caller };
}

const LOG = `query ($projectId: ID!) { project(id: $projectId) { requestLogs(first: 1) { nodes {
  outcome chargedMicroCredits heldMicroCredits shortfallMicroCredits usageMissing usage { unit quantity } } } } }`;

async function newestLog(projectId: string) {
  return (await app.graphql(LOG, { projectId })).data.project.requestLogs.nodes[0];
}

describe('a success', () => {
  it('costs the flat price and each quantity at its price, rounded up once', async () => {
    const { call, project } = await build({ usage: { input_tokens: 12, output_tokens: 40 } });
    const { body } = await call();
    expect(body.billing).toEqual({ chargedMicroCredits: 5 + 26, budgetAvailableMicroCredits: 10_000 - 31 }); // 1.8 + 24 is 25.8
    expect(await newestLog(project.id)).toEqual({
      outcome: 'SUCCEEDED',
      chargedMicroCredits: 31,
      heldMicroCredits: 1_000,
      shortfallMicroCredits: 0,
      usageMissing: false,
      usage: [
        { unit: 'input_tokens', quantity: 12 },
        { unit: 'output_tokens', quantity: 40 },
      ],
    });
  });

  it('that reports no priced unit costs the flat price, and its log says so', async () => {
    const { call, project } = await build({ usage: { images: 3 } });
    expect((await call()).body.billing.chargedMicroCredits).toBe(5);
    const images = [{ unit: 'images', quantity: 3 }];
    expect(await newestLog(project.id)).toMatchObject({ usageMissing: true, usage: images, chargedMicroCredits: 5 });
  });

  it.each([
    ['negative', -1],
    ['fractional', 1.5],
    ['a text', '12'],
    ['above 2^53 - 1', 2 ** 53],
    ['null', null],
  ])('ignores a quantity that is %s, and is billed', async (_what, input_tokens) => {
    const { call, project } = await build({ usage: { input_tokens, output_tokens: 100 } });
    expect((await call()).body.billing.chargedMicroCredits).toBe(5 + 60);
    expect((await newestLog(project.id)).usage).toEqual([{ unit: 'output_tokens', quantity: 100 }]);
  });

  it('costs more than it reserved only as far as the budget goes, and the log has the rest', async () => {
    const { call, project } = await build({ usage: { output_tokens: 5_000 }, credits: 1_200 });
    expect((await call()).body.billing).toEqual({ chargedMicroCredits: 1_200, budgetAvailableMicroCredits: 0 });
    const log = { chargedMicroCredits: 1_200, heldMicroCredits: 1_000, shortfallMicroCredits: 1_805 };
    expect(await newestLog(project.id)).toMatchObject(log);
    expect(await faultsOf(app)).toEqual([]);
  });

  it('with a TEST key is measured and costs nothing', async () => {
    const { call, project } = await build({ usage: { output_tokens: 5_000 }, environment: 'TEST' });
    expect((await call()).body.billing.chargedMicroCredits).toBe(0);
    const output = [{ unit: 'output_tokens', quantity: 5_000 }];
    expect(await newestLog(project.id)).toMatchObject({ chargedMicroCredits: 0, shortfallMicroCredits: 0, usage: output });
  });

  it('is charged by the prices of its admission if they change while it runs', async () => {
    const { call, action } = await build();
    upstream.answer = () => undefined;
    const before = upstream.calls.length;
    const running = call();
    const arrived = await upstream.arrived(before + 1);
    await mutate('updateAction', { id: action.id, priceMicroCredits: 900 }, 'action { id }');
    arrived.reply(200, JSON.stringify({ ok: true, data: {}, usage: { output_tokens: 100 } }));
    expect((await running).body.billing.chargedMicroCredits).toBe(5 + 60);
  });
});

describe('a call', () => {
  it('reserves the maximum, so that calls at once cannot overspend the budget', async () => {
    const { call, project } = await build({ credits: 2_500 });
    upstream.answer = () => undefined;
    const before = upstream.calls.length;
    const running = [call(), call()];
    await upstream.arrived(before + 2);
    const third = await call();
    expect([third.status, third.body.error.code]).toEqual([402, 'PAYMENT_REQUIRED']);
    const answer = JSON.stringify({ ok: true, data: {}, usage: { output_tokens: 10 } });
    for (const arrived of upstream.calls.slice(before)) arrived.reply(200, answer);
    for (const { body } of await Promise.all(running)) expect(body.billing.chargedMicroCredits).toBe(11);
    expect((await newestLog(project.id)).outcome).toBe('SUCCEEDED');
    expect(await faultsOf(app)).toEqual([]);
  });

  it('of an action without an upstream is UNKNOWN_ACTION at execute', async () => {
    const { call } = await build({ upstreamUrl: null });
    const { status, body } = await call();
    expect([status, body.error.code]).toEqual([404, 'UNKNOWN_ACTION']);
  });
});

describe('the prices of an action', () => {
  it('need a maximum charge that is not below the flat price', async () => {
    const input = { service: 'chat', name: 'chat.never', permission: 'chat.never', upstreamUrl: upstream.url, ...PRICES };
    expect(await issuePaths('createAction', { ...input, maxChargeMicroCredits: null })).toEqual(['input.maxChargeMicroCredits']);
    expect(await issuePaths('createAction', { ...input, maxChargeMicroCredits: 4 })).toEqual(['input.maxChargeMicroCredits']);
  });

  it.each([
    ['a unit twice', [TOKENS[0], TOKENS[0]], 'input.unitPrices'],
    ['a unit in capitals', [{ unit: 'Tokens', microCredits: 1, per: 1 }], 'input.unitPrices.0.unit'],
    ['a price for 0 units', [{ unit: 'tokens', microCredits: 1, per: 0 }], 'input.unitPrices.0.per'],
    ['a negative price', [{ unit: 'tokens', microCredits: -1, per: 1 }], 'input.unitPrices.0.microCredits'],
  ])('refuse %s', async (_what, unitPrices, path) => {
    const input = { service: 'chat', name: 'chat.never', permission: 'chat.never', upstreamUrl: upstream.url, ...PRICES, unitPrices };
    expect(await issuePaths('createAction', input)).toEqual([path]);
  });

  it('are replaced as a whole, and the maximum is removed with null', async () => {
    const { action } = await build();
    const fields = 'action { unitPrices { unit } maxChargeMicroCredits version }';
    expect(await issuePaths('updateAction', { id: action.id, maxChargeMicroCredits: null })).toEqual(['input.maxChargeMicroCredits']);
    const changed = await mutate('updateAction', { id: action.id, unitPrices: [], maxChargeMicroCredits: null }, fields);
    expect(changed.action).toEqual({ unitPrices: [], maxChargeMicroCredits: null, version: 2 });
  });
});
