import { randomUUID } from 'node:crypto';
import { signingSecretFrom } from '../src/access/installation';
import { mintSecret } from '../src/access/secret';
import { hmacSha256 } from '../src/lib/hmac';
import { outcomeOf } from './support/answers';
import { createTestApp, PEPPER, ROOT_KEY, type TestApp } from './support/app';
import type { RestAnswer, RestCall } from './support/clients';
import { freshDatabaseUrl } from './support/database';
import { ORIGIN, buildAction, buildKey } from './support/factories';
import { send, type HttpRequest } from './support/http';
import { prepareOutage, type Outage } from './support/outage';
import { startUpstream, type Upstream } from './support/upstream';

// Makes calls of every kind, including the worst, and checks that no answer and no log line has a secret.

const CONFIDED = 'confided-to-the-action';
const SQL = /\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|START TRANSACTION|COMMIT;|CREATE TRIGGER)\b/;
const STACK = /\bat .{1,200}:\d+:\d+|node_modules|\.(ts|js):\d+/;

let app: TestApp;
let outage: Outage;
let upstream: Upstream;
const secrets = new Set([mintSecret('acme', 'LIVE')]);
const answers: RestAnswer[] = [];

beforeAll(async () => {
  upstream = await startUpstream();
  outage = await prepareOutage(await freshDatabaseUrl());
  app = await createTestApp({ databaseUrl: outage.url, config: { logLevel: 'trace', bodyLimitBytes: 10_000 } });
  await runEverything();
});

afterAll(() => app.close());

async function runEverything(): Promise<void> {
  const call = async (call: RestCall) => void answers.push(await app.rest(call));
  const ask = async (request: HttpRequest) => void answers.push(await send(app.url, request));
  const key = async (values: Parameters<typeof buildKey>[1] = {}) => {
    const built = await buildKey(app, { permissions: ['demo.*', 'face.*'], ...values });
    secrets.add(built.secret);
    return built;
  };
  const { name } = await buildAction(app, { upstreamUrl: upstream.url });
  const params = { [CONFIDED]: CONFIDED };

  const { secret, project } = await key();
  const requestId = randomUUID();
  for (const body of [
    { params },
    { params, requestId },
    { params, requestId },
    { requestId },
    { params, action: 'demo.fail' },
    { action: 'demo.nothing' },
    { params: CONFIDED },
  ])
    await call({ secret, body });
  for (const wrong of ['nonsense', ROOT_KEY, PEPPER, ...secrets])
    await call({ secret: wrong, headers: { 'x-forwarded-for': wrong, 'idempotency-key': wrong } });
  await call({ headers: { authorization: `Basic ${ROOT_KEY}` } });
  await call({ secret, headers: { authorization: `Bearer ${ROOT_KEY}` } });
  await call({ secret, raw: `{"action":"demo.echo","params":{"${CONFIDED}":` });
  await call({ secret, raw: CONFIDED.repeat(1_000) });
  await call({ secret, headers: { 'content-type': 'text/plain' } });
  await ask({ method: 'POST', path: `/v1/%${secret}/execute` });
  await ask({ path: `/v1/demo/execute?key=${secret}`, headers: { 'x-api-key': secret } });
  await ask({ path: `/${secret}` });

  await call({ secret: (await key({ permissions: [] })).secret });
  await call({ secret: (await key({ allowedIps: ['10.0.0.0/8'] })).secret });
  await call({ secret: (await key({ budget: 1 })).secret });
  const limited = await key({ rateLimit: { sustainedRps: 0.001, burst: 1 } });
  for (const _ of [1, 2, 3]) await call({ secret: limited.secret });
  const revoked = await key();
  secrets.add((await app.services.keys.rotate(ORIGIN, { id: revoked.key.id })).secret);
  await call({ secret: revoked.secret });

  const detect = { secret, service: 'face', body: { action: name, params } };
  for (const status of [500, 200, 404]) {
    upstream.answer = (received) => received.reply(status, `${CONFIDED} {"ok":`);
    await call(detect);
  }
  upstream.answer = (received) => received.breakOff();
  await call(detect);
  upstream.answer = (received) => received.sayNo('NO_FACE_DETECTED', '');
  await call(detect);

  await breakBilling(project.id);
  await call({ secret, body: { params, requestId: randomUUID() } });
  await outage.begin();
  await call({ secret, body: { params } });
  await outage.end();
}

async function breakBilling(projectId: string): Promise<void> {
  const trigger = 'CREATE TRIGGER no_bill BEFORE INSERT ON ledger_entries';
  await app.database.transaction((tx) =>
    tx.query(
      TEST_DATABASE === 'sqlite'
        ? `${trigger} WHEN NEW.account_id = '${projectId}' BEGIN SELECT RAISE(ABORT, 'a fault'); END`
        : `${trigger} FOR EACH ROW IF NEW.account_id = '${projectId}' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'a fault'; END IF`,
    ),
  );
}

const textOf = ({ status, headers, body }: RestAnswer) => JSON.stringify([status, [...headers], body]);

const digest = hmacSha256(PEPPER);

const confidential = (): [string, string][] => [
  ...[...secrets].flatMap((secret): [string, string][] => [
    ['a secret', secret],
    ['the digest of a secret', digest(secret)],
  ]),
  ['the pepper', PEPPER],
  ['the root key', ROOT_KEY],
  ['the digest of the root key', digest(ROOT_KEY)],
  ['the secret that signs for upstreams', signingSecretFrom(PEPPER)],
];

it('every kind of call was made, because only calls that ran can leak', () => {
  expect(new Set(answers.map(outcomeOf))).toEqual(
    new Set([
      '200 ok',
      '200 replay',
      '200 DEMO_FAILURE',
      '200 NO_FACE_DETECTED',
      '400 INVALID_REQUEST',
      '401 MISSING_API_KEY',
      '401 INVALID_API_KEY',
      '401 REVOKED_API_KEY',
      '402 PAYMENT_REQUIRED',
      '403 FORBIDDEN',
      '403 IP_NOT_ALLOWED',
      '404 NOT_FOUND',
      '404 UNKNOWN_ACTION',
      '405 METHOD_NOT_ALLOWED',
      '413 PAYLOAD_TOO_LARGE',
      '415 UNSUPPORTED_MEDIA_TYPE',
      '422 REQUEST_ID_REUSED',
      '429 RATE_LIMITED',
      '500 INTERNAL',
      '502 UPSTREAM_FAILED',
      '503 SERVICE_UNAVAILABLE',
    ]),
  );
});

it('no answer holds a secret, a digest, the pepper or the root key', () => {
  for (const [what, text] of confidential())
    expect([what, answers.map(textOf).filter((answer) => answer.includes(text))]).toEqual([what, []]);
});

it('no answer holds SQL, a stack or a path of the program', () => {
  const refusals = answers.filter(({ status }) => status >= 400).map(textOf);
  expect(refusals.filter((answer) => SQL.test(answer) || STACK.test(answer) || /a fault|SQLITE|ER_/.test(answer))).toEqual([]);
});

it('no line of the log holds a secret, a digest, the pepper or the root key', () => {
  expect(app.logLines.length).toBeGreaterThan(5);
  for (const [what, text] of confidential()) expect([what, app.logLines.filter((line) => line.includes(text))]).toEqual([what, []]);
});

it('no line of the log holds SQL, params or data', () => {
  expect(app.logLines.filter((line) => SQL.test(line) || line.includes(CONFIDED))).toEqual([]);
});

it('an internal error is in the log, with its cause', () => {
  const faults = app.logLines.filter((line) => line.includes('a fault'));
  expect(faults.length).toBeGreaterThan(0);
});
