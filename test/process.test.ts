import { once } from 'node:events';
import { execFile } from 'node:child_process';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createConnection } from 'mysql2/promise';
import { AuditEvent } from '../src/audit/event.entity';
import { ConfigError, loadConfig } from '../src/config';
import { createTestApp, PEPPER, ROOT_KEY, type TestApp } from './support/app';
import { accountOf, faultsOf } from './support/books';
import { startCallers, tally, type Callers } from './support/callers';
import { graphqlClient, restClient } from './support/clients';
import { freshDatabaseUrl } from './support/database';
import { buildAction, buildKey } from './support/factories';
import { runCli, startProcess, temporaryFolder, type Ending } from './support/process';
import { until } from './support/until';
import { startUpstream } from './support/upstream';

jest.setTimeout(90_000); // other test files take the processors too

// What an operator meets: dist/src/main.js and dist/src/cli.js as real processes.

const SECRETS = { KEY_PEPPER: PEPPER, ROOT_KEY };

/** It ended with 1 and one line that a person can read: no stack, and no name of a file. */
function expectRefusal(ending: Ending, sentence: RegExp): void {
  expect(ending).toMatchObject({ code: 1, stdout: '' });
  expect(ending.stderr).toMatch(sentence);
  expect(ending.stderr).not.toMatch(/\n\s+at |node_modules|\.js\b/);
  expect(ending.stderr.trim().split('\n')).toHaveLength(1);
}

const refusalOf = async (env: Record<string, string>, cwd?: string): Promise<Ending> => (await startProcess({ env, ...(cwd ? { cwd } : {}) })).ended;

let callers: Callers;
beforeAll(() => {
  callers = startCallers(8);
});
afterAll(() => callers.close());

const onSqlite = TEST_DATABASE === 'sqlite' ? describe : describe.skip;
const onMysql = TEST_DATABASE === 'mysql' ? describe : describe.skip;

onSqlite('the first start, with nothing set', () => {
  it('says where it listens once, shows the root key once, and prints a curl line that works; the next start shows neither key again', async () => {
    const cwd = await temporaryFolder();
    const first = await startProcess({ cwd });
    const url = await first.listening;
    await until(() => first.stdout().includes('curl '), 'the curl line');
    const lines = first.stdout().split('\n');
    expect(lines.filter((line) => line.includes(`listening on ${url}`))).toHaveLength(1);
    expect(lines.filter((line) => line.includes('listening on'))).toHaveLength(1);
    expect(lines.filter((line) => line.includes('root_'))).toHaveLength(1);
    const rootKey = /root_[0-9A-Za-z]{43}/.exec(first.stdout())?.[0] as string;
    const [curl] = lines.filter((line) => line.startsWith('curl '));
    const { stdout } = await promisify(execFile)('bash', ['-c', curl as string]);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, data: { hello: 'world' }, billing: { chargedMicroCredits: 1_000 } });
    expect((await graphqlClient(url, rootKey)('{ workspaces { nodes { name } } }')).data.workspaces.nodes).toHaveLength(1);
    expect((await stat(join(cwd, 'data', 'tollgate.db.pepper'))).mode & 0o777).toBe(0o600);
    first.kill('SIGTERM');
    expect(await first.ended).toMatchObject({ code: 0, signal: null });

    const secret = /X-Api-Key: (\S+)'/.exec(curl as string)?.[1] as string;
    const second = await startProcess({ cwd });
    const again = await second.listening;
    expect((await restClient(again)({ secret })).status).toBe(200);
    expect((await graphqlClient(again, rootKey)('{ workspaces { nodes { name } } }')).errors).toBeUndefined();
    second.kill('SIGTERM');
    const { stdout: said } = await second.ended;
    expect(said).not.toMatch(/root_|curl|_live_/);
  });

  it('two at once on no database yet both come up, with the same secrets and one demo', async () => {
    const cwd = await temporaryFolder();
    const both = await Promise.all([startProcess({ cwd }), startProcess({ cwd }), startProcess({ cwd })]);
    const urls = await Promise.all(both.map(({ listening }) => listening));
    const allPrinted = () => both.map((one) => one.stdout()).join('');
    // One may have made the root key, and the other the demo
    await until(() => allPrinted().includes('curl ') && allPrinted().includes('root_'), 'the curl line and the root key');
    const printed = allPrinted();
    expect(printed.match(/root_[0-9A-Za-z]{43}/g)).toHaveLength(1);
    const secrets = [...printed.matchAll(/X-Api-Key: (\S+)'/g)].map(([, secret]) => secret as string);
    expect(secrets).toHaveLength(1);
    for (const url of urls) expect((await restClient(url)({ secret: secrets[0] as string })).status).toBe(200);
  });
});

onMysql('two at once on an empty database', () => {
  it('both come up', async () => {
    const env = { DATABASE_URL: await freshDatabaseUrl(), ...SECRETS, DEMO: 'true' };
    const both = await Promise.all([startProcess({ env }), startProcess({ env }), startProcess({ env })]);
    const urls = await Promise.all(both.map(({ listening }) => listening));
    await until(() => both.some((one) => one.stdout().includes('curl ')), 'the curl line');
    const secrets = both.flatMap((one) => [...one.stdout().matchAll(/X-Api-Key: (\S+)'/g)].map(([, secret]) => secret as string));
    expect(secrets).toHaveLength(1);
    for (const url of urls) expect((await restClient(url)({ secret: secrets[0] as string })).status).toBe(200);
  });
});

describe('a stop', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await createTestApp();
  });
  afterAll(() => app.close());

  async function inFlight(env: Record<string, string> = {}) {
    const upstream = await startUpstream();
    const { name: action } = await buildAction(app, { upstreamUrl: upstream.url });
    const { secret, project } = await buildKey(app, { permissions: ['face.*', 'demo.*'] });
    const server = await startProcess({ env: { DATABASE_URL: app.databaseUrl, ...SECRETS, ...env } });
    const url = await server.listening;
    const running = callers.call({ url, secret, service: 'face', body: { action } });
    await upstream.arrived(1);
    return { upstream, secret, project, server, url, running };
  }

  it('finishes and bills the call in flight, takes no new connection, closes idle ones at once, and ends with 0', async () => {
    const { upstream, secret, project, server, url, running } = await inFlight();
    const { hostname, port } = new URL(url);
    const idle = connect(Number(port), hostname);
    const silent = connect(Number(port), hostname); // as browsers open connections ahead
    await once(silent, 'connect');
    const silentClosed = once(silent, 'close');
    idle.write(`GET /healthz HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
    await new Promise((resolve) => idle.once('data', resolve));
    const idleClosed = new Promise((resolve) => idle.once('close', resolve));
    server.kill('SIGTERM');
    await Promise.all([idleClosed, silentClosed]);
    await until(() => isRefused(Number(port), hostname), 'new connections to be refused');
    expect((await accountOf(app, project.id)).holds).toBe(1);
    upstream.release();
    expect(await running).toMatchObject({ status: 200, body: { ok: true } });
    expect(await server.ended).toMatchObject({ code: 0, signal: null });
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 999_000, held: 0, holds: 0, bills: 1 });
    expect((await app.rest({ secret })).status).toBe(200);
    expect(await faultsOf(app)).toEqual([]);
  });

  it('finishes and bills a call whose caller hung up', async () => {
    const upstream = await startUpstream();
    const { name: action } = await buildAction(app, { upstreamUrl: upstream.url });
    const { secret, project } = await buildKey(app, { permissions: ['face.*'] });
    const server = await startProcess({ env: { DATABASE_URL: app.databaseUrl, ...SECRETS } });
    const hangUp = new AbortController();
    const call = fetch(`${await server.listening}/v1/face/execute`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': secret },
      body: JSON.stringify({ action, params: {} }),
      signal: hangUp.signal,
    });
    await upstream.arrived(1);
    hangUp.abort();
    await expect(call).rejects.toThrow();
    server.kill('SIGTERM');
    upstream.release();
    expect(await server.ended).toMatchObject({ code: 0, signal: null });
    expect(await accountOf(app, project.id)).toMatchObject({ held: 0, holds: 0, bills: 1 });
  });

  it('waits no longer than SHUTDOWN_TIMEOUT_MS; what is left then is the sweep’s', async () => {
    const { project, server, running } = await inFlight({ SHUTDOWN_TIMEOUT_MS: '300' });
    server.kill('SIGTERM');
    expect(await server.ended).toMatchObject({ code: 0, signal: null });
    expect(await running).toMatchObject({ status: 0 });
    expect(await accountOf(app, project.id)).toMatchObject({ held: 1_000, holds: 1 });
    app.travel(61_000);
    await app.sweep.once();
    expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_000_000, held: 0, holds: 0, bills: 0 });
    expect(await faultsOf(app)).toEqual([]);
  });
});

describe('a start that cannot be', () => {
  it('is refused in one sentence where production lacks a secret', async () => {
    const cwd = await temporaryFolder();
    const [none, noPepper, noRootKey] = await Promise.all([
      refusalOf({ NODE_ENV: 'production' }, cwd),
      refusalOf({ NODE_ENV: 'production', ROOT_KEY }, cwd),
      refusalOf({ NODE_ENV: 'production', KEY_PEPPER: PEPPER }, cwd),
    ]);
    for (const ending of [none, noPepper, noRootKey]) expectRefusal(ending, /production.*ROOT_KEY.*KEY_PEPPER/);
    await expect(stat(join(cwd, 'data'))).rejects.toThrow(); // nothing was made before
  });

  const MALFORMED: [string, string][] = [
    ['PORT', 'eighty'],
    ['PORT', '65536'],
    ['ROOT_KEY', 'short'],
    ['KEY_PEPPER', 'short'],
    ['UPSTREAM_SIGNING_SECRET', 'whsec_no'],
    ['TRUSTED_PROXIES', '10.0.0.0/33'],
    ['CORS_ORIGINS', 'https://example.com/path'],
    ['BODY_LIMIT_BYTES', '-1'],
    ['MAX_CALLS_IN_FLIGHT', 'many'],
    ['MAX_BYTES_IN_FLIGHT', '1'],
    ['DEMO', 'yes'],
    ['PUBLIC_URL', 'example'],
    ['SHUTDOWN_TIMEOUT_MS', '1.5'],
    ['LOG_LEVEL', 'loud'],
    ['DATABASE_URL', 'postgres://localhost/x'],
    ['DATABASE_URL', 'mysql://localhost'],
    ['DATABASE_URL', 'mysql://u:%zz@localhost/x'],
    ['DATABASE_URL', 'sqlite::memory:'],
  ];

  it.each(MALFORMED)('is refused where %s is %s, by its name', (name, value) => {
    const load = () => loadConfig({ ...SECRETS, [name]: value });
    expect(load).toThrow(ConfigError);
    expect(load).toThrow(new RegExp(`^${name} must`));
  });

  it('names every variable that is malformed in one line', async () => {
    const named = MALFORMED.filter(([name]) => name !== 'DATABASE_URL');
    const [ending, url] = await Promise.all([refusalOf(Object.fromEntries(named)), refusalOf({ DATABASE_URL: 'mysql://localhost', ...SECRETS })]);
    for (const [name] of named) expectRefusal(ending, new RegExp(`${name} must`));
    expectRefusal(url, /^DATABASE_URL must be/);
  });

  it('is refused in one sentence where HOST is of another machine, or PORT is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const port = String((taken.address() as AddressInfo).port);
    try {
      const env = { DATABASE_URL: await freshDatabaseUrl(), ...SECRETS };
      const [inUse, nowhere] = await Promise.all([refusalOf({ ...env, PORT: port }), refusalOf({ ...env, HOST: '192.0.2.1' })]);
      expectRefusal(inUse, new RegExp(`PORT.*${port}|${port}.*in use`));
      expectRefusal(nowhere, /HOST.*192\.0\.2\.1/);
    } finally {
      taken.close();
    }
  });

  it('is refused in one sentence where KEY_PEPPER or ROOT_KEY is not that of the database', async () => {
    const DATABASE_URL = await freshDatabaseUrl();
    const app = await createTestApp({ databaseUrl: DATABASE_URL });
    await app.close();
    const [pepper, rootKey] = await Promise.all([
      refusalOf({ DATABASE_URL, ...SECRETS, KEY_PEPPER: `other-${PEPPER}` }),
      refusalOf({ DATABASE_URL, ...SECRETS, ROOT_KEY: `other-${ROOT_KEY}` }),
    ]);
    expectRefusal(pepper, /^KEY_PEPPER is not/);
    expectRefusal(rootKey, /^ROOT_KEY is not/);
  });

  if (TEST_DATABASE === 'mysql') {
    it('is refused in one sentence where KEY_PEPPER is not set on MySQL', async () => {
      expectRefusal(await refusalOf({ DATABASE_URL: await freshDatabaseUrl(), ROOT_KEY }), /KEY_PEPPER must be set/);
    });

    it('is refused in one sentence where the database is out of reach, unknown, or takes another password', async () => {
      const url = new URL(await freshDatabaseUrl());
      const variant = (change: Partial<URL>) => refusalOf({ DATABASE_URL: Object.assign(new URL(url), change).href, ...SECRETS });
      const [away, unknown, password] = await Promise.all([variant({ port: '1' }), variant({ pathname: '/no_such_database' }), variant({ password: 'wrong' })]);
      expectRefusal(away, /database/i);
      expectRefusal(unknown, /no_such_database/);
      expectRefusal(password, /denied/);
    });
  } else {
    it('is refused in one sentence where the file is no database, or cannot be', async () => {
      const folder = await temporaryFolder();
      await writeFile(join(folder, 'text.db'), 'This is a text and no database, and it is long enough to be read as one.\n'.repeat(100));
      await mkdir(join(folder, 'folder.db'));
      const [text, directory, below] = await Promise.all(
        ['text.db', 'folder.db', 'text.db/below.db'].map((path) => refusalOf({ DATABASE_URL: `sqlite:${join(folder, path)}`, ...SECRETS })),
      );
      for (const ending of [text, directory, below]) expectRefusal(ending as Ending, /database/i);
    });
  }
});

describe('a migration that is killed', () => {
  it('at any moment is finished by the next start', async () => {
    const env = { DATABASE_URL: await freshDatabaseUrl(), ...SECRETS };
    const started = performance.now();
    const first = await runCli(['migrate'], { env: { ...env, DATABASE_URL: await freshDatabaseUrl() } });
    expect(first).toMatchObject({ code: 0 });
    const wholeMs = performance.now() - started;
    // From before it connects until it is done, each time on what the one before left
    for (const share of [0.6, 0.7, 0.75, 0.8, 0.85, 0.9]) {
      const killed = await startProcess({ env });
      const timer = setTimeout(() => killed.kill('SIGKILL'), wholeMs * share);
      killed.listening.then(() => killed.kill('SIGKILL'), () => undefined);
      await killed.ended;
      clearTimeout(timer);
    }
    const last = await startProcess({ env });
    const url = await last.listening;
    expect((await graphqlClient(url, ROOT_KEY)('{ workspaces { nodes { id } } }')).errors).toBeUndefined();
    expect(await runCli(['audit'], { env })).toMatchObject({ code: 0 });
  });
});

describe('the command', () => {
  let app: TestApp;
  let env: Record<string, string>;
  beforeAll(async () => {
    app = await createTestApp();
    env = { DATABASE_URL: app.databaseUrl, ...SECRETS };
  });
  afterAll(() => app.close());

  const run = (...args: string[]) => runCli(args, { env });

  it('audit ends with 0 where all agree; a changed balance is a line for its account, and 1', async () => {
    const { secret, project } = await buildKey(app);
    expect(tally(await callers.calls(5, () => ({ url: app.url, secret })))).toEqual({ 200: 5 });
    expect(await run('audit')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^All \d+ accounts agree\.\nAll \d+ chains of the audit trail hold\.\n$/), stderr: '' });
    const tamper = (sql: string) => app.database.transaction((tx) => tx.query(sql));
    const other = await buildKey(app);
    await tamper(`UPDATE budgets SET balance = balance + 1 WHERE project_id = '${project.id}'`);
    await tamper(`DELETE FROM ledger_entries WHERE account_id = '${other.project.id}' AND seq = 1`);
    await tamper(`DELETE FROM unsealed_events WHERE event_id IN (SELECT id FROM audit_events WHERE subject_id = '${other.key.id}')`);
    const { code, stdout } = await run('audit');
    expect(code).toBe(1);
    expect(stdout).toMatch(new RegExp(`^chain ${other.key.workspaceId}: link 1, event evt_[0-9A-Za-z]+: the event is neither sealed nor waiting to be$`, 'm'));
    expect(stdout).toMatch(/^1 of \d+ chains of the audit trail are broken\.$/m);
    expect(stdout).toMatch(new RegExp(`^budget ${project.id}: balance is 995001, its entries sum up to 995000$`, 'm'));
    expect(stdout).toMatch(new RegExp(`^budget ${other.project.id}: `, 'm'));
    const json = await run('audit', '--json');
    expect(json.code).toBe(1);
    const reports = json.stdout.trim().split('\n').map((line) => JSON.parse(line) as { account?: string; chain?: string; faults: string[] });
    const wrong = reports.filter(({ faults }) => faults.length > 0).map(({ account, chain }) => account ?? chain);
    expect(wrong).toEqual(expect.arrayContaining([project.id, other.project.id, other.key.workspaceId]));
  });

  it.each([
    ['a bill that was removed', (id: string) => `DELETE FROM ledger_entries WHERE account_id = '${id}' AND kind = 'USAGE'`],
    ['a bill that was changed', (id: string) => `UPDATE ledger_entries SET delta = delta - 1 WHERE account_id = '${id}' AND kind = 'USAGE'`],
    ['a log row that was removed', (id: string) => `DELETE FROM request_logs WHERE project_id = '${id}'`],
    ['a charge that was changed', (id: string) => `UPDATE request_logs SET charged_micro_credits = 1 WHERE project_id = '${id}'`],
    ['a success that became a failure', (id: string) => `UPDATE request_logs SET outcome = 'FAILED' WHERE project_id = '${id}'`],
    ['credits that are held for nobody', (id: string) => `UPDATE budgets SET held = 5 WHERE project_id = '${id}'`],
    ['a half of an allocation', (id: string) => `UPDATE ledger_entries SET linked_entry_id = NULL WHERE account_id = '${id}' AND kind = 'ALLOCATION'`],
  ])('audit sees %s', async (_what, sql) => {
    const { secret, project } = await buildKey(app);
    expect((await app.rest({ secret })).status).toBe(200);
    const faults = async () => (await faultsOf(app)).filter((fault) => fault.startsWith(project.id));
    expect(await faults()).toEqual([]);
    await app.database.transaction((tx) => tx.query(sql(project.id)));
    expect(await faults()).not.toEqual([]);
  });

  it('root-key makes a new one count at once, ends the one before, and is an event of each change', async () => {
    const viewer = (key: string) => graphqlClient(app.url, key)('{ workspaces { nodes { id } } }');
    expect((await viewer(ROOT_KEY)).errors).toBeUndefined();
    const made = await runCli(['root-key'], { env: { DATABASE_URL: app.databaseUrl, KEY_PEPPER: PEPPER } });
    const key = /root_[0-9A-Za-z]{43}/.exec(made.stdout)?.[0] as string;
    expect((await viewer(key)).errors).toBeUndefined();
    expect((await viewer(ROOT_KEY)).status).toBe(401);
    const given = await run('root-key');
    expect(given).toMatchObject({ code: 0, stdout: 'ROOT_KEY is the root key from now on.\n' });
    expect((await viewer(ROOT_KEY)).errors).toBeUndefined();
    expect((await viewer(key)).status).toBe(401);
    await run('root-key'); // the same one again is no change
    const events = await app.database.reader.findBy(AuditEvent, { action: 'root-key.replaced' });
    const told = { actorKind: 'SYSTEM', actorId: 'installation', subjectId: 'operator', workspaceId: null, before: null, after: null };
    expect(events).toEqual([expect.objectContaining(told), expect.objectContaining(told)]);
    expectRefusal(await runCli(['root-key'], { env: { DATABASE_URL: app.databaseUrl, KEY_PEPPER: `other-${PEPPER}` } }), /^KEY_PEPPER is not/);
  });

  it('signing-secret prints what upstreams verify with: made from the pepper, or as it was set', async () => {
    const made = await run('signing-secret');
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=\n$/) });
    expect((await run('signing-secret')).stdout).toBe(made.stdout);
    const set = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
    expect(await runCli(['signing-secret'], { env: { ...env, UPSTREAM_SIGNING_SECRET: set } })).toMatchObject({ code: 0, stdout: `${set}\n` });
  });

  it('seed makes a demo on an empty database, whose key works, and nothing where there is a workspace', async () => {
    const DATABASE_URL = await freshDatabaseUrl();
    const seeded = await runCli(['seed'], { env: { ...env, DATABASE_URL } });
    expect(seeded.code).toBe(0);
    const node = await createTestApp({ databaseUrl: DATABASE_URL });
    try {
      expect((await node.rest({ secret: seeded.stdout.trim() })).status).toBe(200);
    } finally {
      await node.close();
    }
    expect(await runCli(['seed'], { env: { ...env, DATABASE_URL } })).toMatchObject({ code: 0, stdout: 'There is a workspace already; nothing was made.\n' });
  });
});

onMysql('a server whose flush is not durable', () => {
  it('is warned of at the start', async () => {
    const app = await createTestApp();
    const connection = await createConnection(app.databaseUrl);
    try {
      const [rows] = await connection.query('SELECT @@innodb_flush_log_at_trx_commit AS flush');
      expect(rows).toEqual([{ flush: 1 }]);
      expect(app.logLines.join('')).not.toContain('innodb_flush_log_at_trx_commit');
    } finally {
      await connection.end();
      await app.close();
    }
  });
});

async function isRefused(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}
