import { errorOf, outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import type { RestAnswer } from './support/clients';
import { Environment } from '../src/tenancy/environment';
import { ORIGIN, buildKey, buildProject } from './support/factories';
import { tracesOf } from './support/traces';

// The rate limit of a project, in headers and refusals.

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp();
});

afterAll(() => app.close());

async function limited(sustainedRps: number, burst: number) {
  const project = await buildProject(app, { rateLimit: { sustainedRps, burst } });
  const { secret } = await buildKey(app, { project });
  return { project, secret, call: () => app.rest({ secret }) };
}

const policyOf = ({ headers }: RestAnswer) => headers.get('ratelimit-policy');

/** Parses the header RateLimit. */
function standingOf({ headers }: RestAnswer): { remaining: number; seconds: number } {
  const found = /^"project";r=(\d+);t=(\d+)$/.exec(headers.get('ratelimit') ?? '');
  expect(found).not.toBeNull();
  return { remaining: Number(found?.[1]), seconds: Number(found?.[2]) };
}

it('a raised limit counts from the next call on every node, even if each node has just refused a call', async () => {
  const other = await createTestApp({ databaseUrl: app.databaseUrl }); // made here, before a test changes the clock of a node
  const { project, secret, call } = await limited(0.001, 1);
  const calls = async () =>
    [await call(), await other.rest({ secret }), await call(), await other.rest({ secret })].map(({ status }) => status);
  const burstOf = (burst: number) => app.services.projects.update(ORIGIN, { id: project.id, rateLimit: { sustainedRps: 0.001, burst } });
  await call();
  for (let round = 0; round < 5; round++) {
    expect(await calls()).toEqual([429, 429, 429, 429]);
    await burstOf(5);
    expect(await calls()).toEqual([200, 200, 200, 200]);
    await burstOf(1);
  }
  await other.close();
});

it.each([
  // w is burst / sustainedRps rounded up, at least 1; q is sustainedRps x w rounded down
  { sustainedRps: 1_000, burst: 2_000, policy: 'q=2000;w=2' },
  { sustainedRps: 10, burst: 3, policy: 'q=10;w=1' },
  { sustainedRps: 3, burst: 10, policy: 'q=12;w=4' },
  { sustainedRps: 0.5, burst: 3, policy: 'q=3;w=6' },
  { sustainedRps: 0.3, burst: 1, policy: 'q=1;w=4' },
  { sustainedRps: 2.5, burst: 2, policy: 'q=2;w=1' },
  { sustainedRps: 0.001, burst: 50, policy: 'q=50;w=50000' },
  { sustainedRps: 1_000_000, burst: 1_000_000, policy: 'q=1000000;w=1' },
  { sustainedRps: 0.001, burst: 1_000_000, policy: 'q=1000000;w=1000000000' },
  // in decimal: binary fractions would give 28 for 0.29 x 100, and 101 for 57 / 0.57
  { sustainedRps: 0.29, burst: 29, policy: 'q=29;w=100' },
  { sustainedRps: 0.57, burst: 57, policy: 'q=57;w=100' },
])('$sustainedRps calls a second with a burst of $burst are the policy $policy', async ({ sustainedRps, burst, policy }) => {
  const { call } = await limited(sustainedRps, burst);
  expect(policyOf(await call())).toBe(`"project";${policy}`);
});

it('a project without a configured limit may make 1,000 calls per second with a burst of 2,000', async () => {
  const { workspaceId } = await buildProject(app);
  const project = await app.services.projects.create(ORIGIN, { workspaceId, name: 'Plain', slug: 'plain' });
  const { secret } = await buildKey(app, { project, environment: Environment.TEST });
  const answer = await app.rest({ secret });
  expect(policyOf(answer)).toBe('"project";q=2000;w=2');
  expect(standingOf(answer).remaining).toBe(1_999);
});

it('the remaining calls count down during a burst, if the action succeeds and if it says no', async () => {
  const { secret } = await limited(0.01, 4);
  const standings: ReturnType<typeof standingOf>[] = [];
  for (const action of ['demo.echo', 'demo.fail', 'demo.echo', 'demo.fail'])
    standings.push(standingOf(await app.rest({ secret, body: { action } })));
  expect(standings.map(({ remaining }) => remaining)).toEqual([3, 2, 1, 0]);
  expect(standings[0]?.seconds).toBe(100);
  for (const { seconds } of standings) expect(seconds).toBeGreaterThan(0);
  for (const { seconds } of standings) expect(seconds).toBeLessThanOrEqual(100);
});

it('429 RATE_LIMITED after a burst says when to retry, charges nothing and writes one row in the log', async () => {
  const { call, project } = await limited(0.02, 2);
  expect([await call(), await call()].map(outcomeOf)).toEqual(['200 ok', '200 ok']);
  const refused = await call();
  const { details, retryAfter, ...error } = errorOf(refused);
  expect(error).toEqual({ http: 429, status: 'RATE_LIMITED', code: 'RATE_LIMITED' });
  expect(details).toEqual({ retry_after_ms: expect.any(Number), violated_policies: ['project'] });
  const retryAfterMs = Number(details.retry_after_ms);
  expect(retryAfterMs).toBeGreaterThan(0);
  expect(retryAfterMs).toBeLessThanOrEqual(50_000);
  expect(Number(retryAfter)).toBe(Math.ceil(retryAfterMs / 1000));
  expect(policyOf(refused)).toBe('"project";q=2;w=100');
  expect(standingOf(refused)).toEqual({ remaining: 0, seconds: Number(retryAfter) });
  const { logs, ...traces } = await tracesOf(app, project.id);
  expect(traces).toMatchObject({ balance: 998_000, held: 0, bills: 2 });
  expect(logs.at(-1)).toMatchObject({
    outcome: 'REFUSED',
    errorCode: 'RATE_LIMITED',
    httpStatus: 429,
    chargedMicroCredits: 0,
    requestId: refused.body.requestId,
  });
  expect(logs).toHaveLength(3);
});

it('after the time in Retry-After, exactly the number of calls passes that the rate limit allows again', async () => {
  const { project } = await limited(0.01, 3);
  // Uses another key each time: a node may repeat a refusal to a key for 250 ms of real time, which the test clock does not change
  const calls = async (count: number): Promise<RestAnswer[]> => {
    const { secret } = await buildKey(app, { project });
    const answers: RestAnswer[] = [];
    while (answers.length < count) answers.push(await app.rest({ secret }));
    return answers;
  };
  const first = await calls(4);
  expect(first.map(outcomeOf)).toEqual(['200 ok', '200 ok', '200 ok', '429 RATE_LIMITED']);
  app.travel(Number(errorOf(first[3] as RestAnswer).details.retry_after_ms));
  expect((await calls(2)).map(outcomeOf)).toEqual(['200 ok', '429 RATE_LIMITED']);
  app.travel(200_000);
  expect((await calls(3)).map(outcomeOf)).toEqual(['200 ok', '200 ok', '429 RATE_LIMITED']);
  app.travel(3_600_000);
  const [rested] = await calls(1);
  expect(standingOf(rested as RestAnswer)).toEqual({ remaining: 2, seconds: 100 });
});

it('Retry-After is at least one second, even if the next call would pass earlier', async () => {
  const { call } = await limited(4, 1);
  const refused = (await Promise.all(Array.from({ length: 5 }, call))).find(({ status }) => status === 429);
  const { retryAfter, details } = errorOf(refused as RestAnswer);
  expect(retryAfter).toBe('1');
  expect(details.retry_after_ms).toBeLessThanOrEqual(250);
});

it('a repeated refusal counts down to the same time', async () => {
  const { call } = await limited(0.01, 1);
  await call();
  const [first, second] = [await call(), await call()].map((answer) => Number(errorOf(answer).details.retry_after_ms));
  expect(second).toBeLessThanOrEqual(first as number);
  expect(second).toBeGreaterThan((first as number) - 30_000);
});

it('all keys of a project share its limit, including TEST keys, and other projects do not', async () => {
  const { project, call } = await limited(0.001, 3);
  const test = await buildKey(app, { project, environment: Environment.TEST });
  const other = await limited(0.001, 3);
  expect(standingOf(await call()).remaining).toBe(2);
  expect(standingOf(await app.rest({ secret: test.secret })).remaining).toBe(1);
  expect(standingOf(await other.call()).remaining).toBe(2);
  expect(standingOf(await call()).remaining).toBe(0);
  expect(outcomeOf(await app.rest({ secret: test.secret }))).toBe('429 RATE_LIMITED');
});

it('a new limit counts from the next call, and used calls stay used', async () => {
  const { project, call } = await limited(0.001, 10);
  for (let calls = 0; calls < 4; calls++) await call();
  await app.services.projects.update(ORIGIN, { id: project.id, rateLimit: { sustainedRps: 0.002, burst: 6 } });
  const answer = await call();
  expect(policyOf(answer)).toBe('"project";q=6;w=3000');
  expect(standingOf(answer).remaining).toBe(1);
});

it('refusals before the rate check have no rate limit headers', async () => {
  const { secret } = await limited(0.5, 3);
  for (const answer of [await app.rest({}), await app.rest({ secret, body: { action: 'demo.nothing' } })]) {
    expect([answer.headers.get('ratelimit'), policyOf(answer)]).toEqual([null, null]);
  }
});
