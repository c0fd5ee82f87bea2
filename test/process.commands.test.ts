import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AuditEvent } from '../src/audit/event.entity';
import type { ChainHead } from '../src/audit/heads';
import { createTestApp, PEPPER, ROOT_KEY, SECRETS, type TestApp } from './support/app';
import { faultsOf } from './support/books';
import { startCallers, tally, type Callers } from './support/callers';
import { graphqlClient } from './support/clients';
import { freshDatabaseUrl } from './support/database';
import { buildKey } from './support/factories';
import { expectRefusal, runCli, temporaryFolder } from './support/process';

jest.setTimeout(90_000); // other test files use the processors too

// The commands of an operator: dist/src/cli.js as a real process.

let app: TestApp;
let env: Record<string, string>;
let callers: Callers;

beforeAll(async () => {
  app = await createTestApp();
  env = { DATABASE_URL: app.databaseUrl, ...SECRETS };
  callers = startCallers(8);
});
afterAll(async () => {
  await callers.close();
  await app.close();
});

describe('the command', () => {
  const run = (...args: string[]) => runCli(args, { env });

  it('audit writes the heads of the audit trail, and later finds a chain that was cut off', async () => {
    const { workspaceId } = (await buildKey(app)).key;
    await app.sealer.once();
    const file = join(await temporaryFolder(), 'heads');
    expect(await run('audit', '--write-head', file)).toMatchObject({ code: 0, stderr: '' });
    const heads = (await readFile(file, 'utf8')).trim().split('\n').map((line) => JSON.parse(line) as ChainHead);
    const head = heads.find(({ chain }) => chain === workspaceId) as ChainHead;
    expect(head).toEqual({ chain: workspaceId, sequence: expect.any(Number), hash: expect.stringMatching(/^[0-9a-f]{64}$/), keyedFrom: 1 });
    expect((await run('audit', '--head', file)).code).toBe(0);
    await writeFile(file, JSON.stringify({ ...head, sequence: head.sequence + 1 })); // as if the chain had had one more event
    const cut = await run('audit', '--head', file, '--write-head', `${file}.next`);
    expect(cut.code).toBe(1);
    expect(cut.stdout).toContain(
      `chain ${workspaceId}: link ${head.sequence + 1} is in the file of heads but not in the chain: the chain was cut off\n`,
    );
    expect(existsSync(`${file}.next`)).toBe(false);
    await writeFile(file, 'no head');
    expectRefusal(await run('audit', '--head', file), /^The file .* is no file of heads/);
  });

  it('audit ends with 0 without faults, and with 1 and a line for the account after a changed balance', async () => {
    const { secret, project } = await buildKey(app);
    expect(tally(await callers.calls(5, () => ({ url: app.url, secret })))).toEqual({ 200: 5 });
    expect(await run('audit')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^All \d+ accounts agree\.\nAll \d+ chains of the audit trail are intact\.\n$/),
      stderr: '',
    });
    const tamper = (sql: string) => app.database.transaction((tx) => tx.query(sql));
    const other = await buildKey(app);
    await tamper(`UPDATE budgets SET balance = balance + 1 WHERE project_id = '${project.id}'`);
    await tamper(`DELETE FROM ledger_entries WHERE account_id = '${other.project.id}' AND seq = 1`);
    await tamper(`DELETE FROM unsealed_events WHERE event_id IN (SELECT id FROM audit_events WHERE subject_id = '${other.key.id}')`);
    const { code, stdout } = await run('audit');
    expect(code).toBe(1);
    expect(stdout).toMatch(
      new RegExp(
        `^chain ${other.key.workspaceId}: link 1, event evt_[0-9A-Za-z]+: the event is neither sealed nor waiting to be sealed$`,
        'm',
      ),
    );
    expect(stdout).toMatch(/^1 of \d+ chains of the audit trail are broken\.$/m);
    expect(stdout).toMatch(new RegExp(`^budget ${project.id}: balance is 995001, but its entries sum up to 995000$`, 'm'));
    expect(stdout).toMatch(new RegExp(`^budget ${other.project.id}: `, 'm'));
    const json = await run('audit', '--json');
    expect(json.code).toBe(1);
    const reports = json.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { account?: string; chain?: string; faults: string[] });
    const wrong = reports.filter(({ faults }) => faults.length > 0).map(({ account, chain }) => account ?? chain);
    expect(wrong).toEqual(expect.arrayContaining([project.id, other.project.id, other.key.workspaceId]));
  });

  it.each([
    ['a bill that was removed', (id: string) => `DELETE FROM ledger_entries WHERE account_id = '${id}' AND kind = 'USAGE'`],
    [
      'a bill that was changed',
      (id: string) => `UPDATE ledger_entries SET delta = delta - 1 WHERE account_id = '${id}' AND kind = 'USAGE'`,
    ],
    ['a log row that was removed', (id: string) => `DELETE FROM request_logs WHERE project_id = '${id}'`],
    ['a charge that was changed', (id: string) => `UPDATE request_logs SET charged_micro_credits = 1 WHERE project_id = '${id}'`],
    ['a success that became a failure', (id: string) => `UPDATE request_logs SET outcome = 'FAILED' WHERE project_id = '${id}'`],
    ['held credits without a call', (id: string) => `UPDATE budgets SET held = 5 WHERE project_id = '${id}'`],
    [
      'a half of an allocation',
      (id: string) => `UPDATE ledger_entries SET linked_entry_id = NULL WHERE account_id = '${id}' AND kind = 'ALLOCATION'`,
    ],
  ])('audit finds %s', async (_case, sql) => {
    const { secret, project } = await buildKey(app);
    expect((await app.rest({ secret })).status).toBe(200);
    const faults = async () => (await faultsOf(app)).filter((fault) => fault.startsWith(project.id));
    expect(await faults()).toEqual([]);
    await app.database.transaction((tx) => tx.query(sql(project.id)));
    expect(await faults()).not.toEqual([]);
  });

  it('root-key replaces the root key at once and writes an event for each change', async () => {
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
    await run('root-key'); // the same key again is no change
    const events = await app.database.reader.findBy(AuditEvent, { action: 'root-key.replaced' });
    const told = { actorKind: 'SYSTEM', actorId: 'installation', subjectId: 'operator', workspaceId: null, before: null, after: null };
    expect(events).toEqual([expect.objectContaining(told), expect.objectContaining(told)]);
    expectRefusal(
      await runCli(['root-key'], { env: { DATABASE_URL: app.databaseUrl, KEY_PEPPER: `other-${PEPPER}` } }),
      /^KEY_PEPPER is not/,
    );
  });

  it('signing-secret prints the secret for upstreams: derived from the pepper, or as it was set', async () => {
    const made = await run('signing-secret');
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=\n$/) });
    expect((await run('signing-secret')).stdout).toBe(made.stdout);
    const set = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
    expect(await runCli(['signing-secret'], { env: { ...env, UPSTREAM_SIGNING_SECRET: set } })).toMatchObject({
      code: 0,
      stdout: `${set}\n`,
    });
  });

  it('seed makes a demo with a working key on an empty database, and nothing if there is a workspace', async () => {
    const DATABASE_URL = await freshDatabaseUrl();
    const seeded = await runCli(['seed'], { env: { ...env, DATABASE_URL } });
    expect(seeded.code).toBe(0);
    const node = await createTestApp({ databaseUrl: DATABASE_URL });
    try {
      expect((await node.rest({ secret: seeded.stdout.trim() })).status).toBe(200);
    } finally {
      await node.close();
    }
    expect(await runCli(['seed'], { env: { ...env, DATABASE_URL } })).toMatchObject({
      code: 0,
      stdout: 'There is a workspace already; nothing was made.\n',
    });
  });
});
