import { AuditEvent } from '../src/audit/event.entity';
import { createTestApp, type TestApp } from './support/app';
import { buildServiceAccount } from './support/factories';
import { authorizationUrl, ask, buildClient, type Answer } from './support/oauth';
import { until } from './support/until';

// Requests to the OAuth endpoints from unknown callers cost little, however many there are.

let app: TestApp;

beforeEach(async () => {
  app = await createTestApp();
});

afterEach(() => app.close());

it('many requests read the keys and permissions once per second, not once per request', async () => {
  const jwks = async () => (await fetch(`${app.url}/oauth/jwks`)).status;
  expect(await jwks()).toBe(200);
  const started = performance.now();
  const reads = jest.spyOn(app.services.actions, 'permissions');
  for (let asked = 0; asked < 40; asked += 1) expect(await jwks()).toBe(200);
  const seconds = Math.ceil((performance.now() - started) / 1000);
  expect(reads.mock.calls.length).toBeLessThanOrEqual(seconds);
});

it('requests of one address are limited: further requests are refused, in JSON for programs and as a page for people', async () => {
  const built = await buildClient(app);
  const answers = await Promise.all(Array.from({ length: 300 }, () => fetch(`${app.url}/oauth/jwks`)));
  const last = answers.find(({ status }) => status !== 200) as Response;
  expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(200);
  expect([last.status, Number(last.headers.get('retry-after'))]).toEqual([429, 1]);
  expect(await last.json()).toEqual({ error: 'temporarily_unavailable', error_description: 'Too many requests; wait 1 second.' });
  const pages = await Promise.all(Array.from({ length: 100 }, () => fetch(authorizationUrl(app, built), { redirect: 'manual' })));
  const page = pages.find(({ status }) => status === 429) as Response;
  expect([page.headers.get('content-type'), page.headers.get('retry-after'), await page.text()]).toEqual([
    'text/html; charset=utf-8',
    '1',
    expect.stringContaining('Too many requests'),
  ]);
});

it('records at most twenty refusals of one client at once, and no request that a person refused', async () => {
  const built = await buildClient(app);
  const refuse = () =>
    ask(app, '/oauth/token', built, {
      grant_type: 'authorization_code',
      code: 'tollgate_code_none',
      redirect_uri: 'https://shop.example/callback',
      code_verifier: 'x'.repeat(43),
    });
  const recorded = () => app.database.reader.countBy(AuditEvent, { action: 'token.refused', subjectId: built.client.id });
  const silent = authorizationUrl(app, built, { prompt: 'none' });
  for (let asked = 0; asked < 5; asked += 1) await fetch(silent, { redirect: 'manual' });
  for (let asked = 0; asked < 20; asked += 1) await refuse();
  await until(async () => (await recorded()) === 20, 'twenty refusals in the trail');
  const writes = jest.spyOn(app.database, 'transaction');
  for (let asked = 0; asked < 20; asked += 1) expect(await refuse()).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  await app.people.background.idle();
  expect(writes).not.toHaveBeenCalled();
  expect(await recorded()).toBe(20);
});

it('a service account gets a limited number of tokens at once, and one more each second', async () => {
  const { account, secret } = await buildServiceAccount(app);
  const askToken = () => ask(app, '/oauth/token', { client: { id: account.id } as never, secret }, { grant_type: 'client_credentials' });
  const answers: Answer[] = [];
  for (let asked = 0; asked < 10; asked += 1) answers.push(...(await Promise.all(Array.from({ length: 12 }, askToken))));
  const refused = answers.filter(({ status }) => status !== 200);
  expect(refused.length).toBeGreaterThan(0);
  expect(answers.length - refused.length).toBeGreaterThanOrEqual(100);
  for (const { status, body } of refused)
    expect({ status, body }).toEqual({
      status: 400,
      body: {
        error: 'temporarily_unavailable',
        error_description: 'too many token requests; use a token until it expires, or try again later',
      },
    });
});
