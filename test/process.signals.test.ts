import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { createTestApp, PEPPER, ROOT_KEY, SECRETS, type TestApp } from './support/app';
import { outcomeOf } from './support/answers';
import { graphqlClient, restClient } from './support/clients';
import { freshDatabaseUrl } from './support/database';
import { buildAction, buildKey } from './support/factories';
import { runCli, startProcess } from './support/process';
import { startUpstream, type Upstream } from './support/upstream';
import { until } from './support/until';

jest.setTimeout(60_000); // processes start slowly while other test files run

// Checks what ends a process and what does not: repeated signals, a log without a reader, and secrets made by a failed start.

let app: TestApp;
let upstream: Upstream;

beforeAll(async () => {
  app = await createTestApp();
  upstream = await startUpstream();
});

afterAll(() => app.close());

/** Starts a process with a call in flight that the upstream has not answered yet. */
async function busyProcess(env: Record<string, string> = {}) {
  const { name: action } = await buildAction(app, { upstreamUrl: upstream.url, timeoutMs: 20_000 });
  const { secret } = await buildKey(app, { permissions: ['face.*'] });
  const running = await startProcess({ env: { DATABASE_URL: app.databaseUrl, ...SECRETS, ...env } });
  const rest = restClient(await running.listening);
  const answer = rest({ secret, service: 'face', body: { action } });
  const call = await upstream.arrived(upstream.calls.length + 1);
  return { running, rest, secret, action, answer, call };
}

it.each<[string, NodeJS.Signals[]]>([
  ['SIGINT twice, as a terminal and npm send it', ['SIGINT', 'SIGINT']],
  ['SIGTERM twice', ['SIGTERM', 'SIGTERM']],
  ['both', ['SIGTERM', 'SIGINT']],
])('waits for the calls in flight on a stop by %s', async (_case, signals) => {
  const { running, rest, secret, answer, call } = await busyProcess();
  for (const signal of signals) {
    running.kill(signal);
    await refused(() => rest({ secret })); // it has begun to stop
  }
  call.succeed();
  expect(outcomeOf(await answer)).toBe('200 ok');
  expect(await running.ended).toMatchObject({ code: 0, signal: null });
});

(TEST_DATABASE === 'mysql' ? it : it.skip)('stops cleanly on a signal during its start', async () => {
  const url = new URL(await freshDatabaseUrl());
  const server = await createConnection(url.href);
  await server.query('SELECT GET_LOCK(?, 0)', [`tollgate.migrate.${url.pathname.slice(1)}`]);
  const starting = await startProcess({ env: { DATABASE_URL: url.href, ...SECRETS } });
  await until(async () => {
    const [rows] = await server.query<RowDataPacket[]>(
      "SELECT 1 FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID() AND info LIKE 'SELECT GET_LOCK%'",
    );
    return rows.length > 0;
  }, 'it to wait for its turn to migrate');
  starting.kill('SIGTERM');
  expect(await starting.ended).toMatchObject({ code: 0, signal: null, stderr: '' });
  await server.end();
});

/** Repeats a request until its connection is refused. */
async function refused(ask: () => Promise<unknown>): Promise<void> {
  for (;;) {
    const isAnswered = await ask().then(() => true, () => false);
    if (!isAnswered) return;
  }
}

it('continues, with its calls in flight, after the reader of its log has gone', async () => {
  const { running, rest, secret, answer, call, action } = await busyProcess({ LOG_LEVEL: 'warn' });
  running.hangUp();
  upstream.answer = (late) => late.breakOff();
  for (let line = 0; line < 3; line += 1) await rest({ secret, service: 'face', body: { action } }); // each call writes a log line
  call.succeed();
  expect(outcomeOf(await answer)).toBe('200 ok');
  running.kill('SIGTERM');
  expect(await running.ended).toMatchObject({ code: 0, signal: null });
  upstream.answer = () => undefined;
});

describe('the root key', () => {
  const rootKeyIn = (output: string) => /root_[0-9A-Za-z]{43}/.exec(output)?.[0];

  it('is shown even if the first start then fails', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const env = { DATABASE_URL: await freshDatabaseUrl(), KEY_PEPPER: PEPPER };
    const failed = await (await startProcess({ env: { ...env, PORT: String((taken.address() as AddressInfo).port) } })).ended;
    taken.close();
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining('cannot be listened on') });
    const second = await startProcess({ env });
    const viewer = await graphqlClient(await second.listening, rootKeyIn(failed.stdout) as string)('{ viewer { id } }');
    expect(viewer.errors).toBeUndefined();
  });

  it('is not created by a command that does not show it', async () => {
    const env = { DATABASE_URL: await freshDatabaseUrl(), KEY_PEPPER: PEPPER };
    for (const command of ['migrate', 'seed', 'signing-secret']) expect(await runCli([command], { env })).toMatchObject({ code: 0 });
    const chosen = await startProcess({ env: { ...env, ROOT_KEY } });
    expect((await graphqlClient(await chosen.listening, ROOT_KEY)('{ viewer { id } }')).errors).toBeUndefined();
  });
});
