import { WINDOW_ROWS } from '../src/db/windows';
import { LOOK_BACK_MS } from '../src/requests/request-log.feed';
import { RequestLog } from '../src/requests/request-log.entity';
import { EXPORTED_TABLES } from '../src/rest/exports/tables.route';
import type { Workspace } from '../src/tenancy/workspace.entity';
import { LedgerEntry } from '../src/wallet/ledger-entry.entity';
import { errorOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { callRow, insertBulk, usageRow } from './support/bulk';
import { rowsOfCsv } from './support/csv';
import { READS, ask, bodyOf, buildExportedTenant, linesOf } from './support/exports';
import { buildKey, buildProject, ghostOf } from './support/factories';

jest.setTimeout(90_000); // other test files use the processors too

const PAST_MS = Date.UTC(2025, 0, 1);

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp();
});

afterAll(() => app.close());

describe('an export', () => {
  it('has its media type and file name, and answers HEAD with the same headers without a body', async () => {
    const { secret } = await buildKey(app, { permissions: READS });
    for (const { name } of EXPORTED_TABLES) {
      for (const [format, type] of [
        ['csv', 'text/csv; charset=utf-8; header=present'],
        ['ndjson', 'application/x-ndjson; charset=utf-8'],
      ]) {
        for (const method of ['GET', 'HEAD']) {
          const { status, headers, body } = await ask(app, `${name}?format=${format}`, secret, method);
          expect([status, headers.get('content-type'), headers.get('cache-control')]).toEqual([200, type, 'no-store']);
          expect(headers.get('content-disposition')).toMatch(new RegExp(`^attachment; filename="${name}-\\d{8}T\\d{6}Z\\.${format}"$`));
          if (method === 'HEAD') expect(body).toBeUndefined();
        }
      }
    }
  });

  it('continues after any line by its id without missing or repeating rows, even if many are of one millisecond', async () => {
    const { key, secret, project } = await buildKey(app, { permissions: READS });
    const of = { workspaceId: key.workspaceId, projectId: project.id, keyId: key.id };
    const count = 3 * WINDOW_ROWS + 50;
    await insertBulk(app.database, 'request_logs', count, (index) => ({
      ...callRow(of, PAST_MS, index),
      created_at: PAST_MS + Math.floor(index / 130),
    }));
    const all = await linesOf(app, 'request-logs', secret);
    expect(all).toHaveLength(count);
    expect(new Set(all.map(({ id }) => id)).size).toBe(count);
    for (const place of [0, WINDOW_ROWS - 1, WINDOW_ROWS, 2 * WINDOW_ROWS + 17, count - 1]) {
      expect(await linesOf(app, `request-logs?after=${String(all[place]?.id)}`, secret)).toEqual(all.slice(place + 1));
    }
    const budgets = await buildProject(app, { workspace: { id: key.workspaceId } as Workspace, budget: 0 });
    await insertBulk(app.database, 'ledger_entries', 250, (index) => usageRow(budgets.id, 1e9, PAST_MS, index));
    const path = `ledger?projectId=${budgets.id}&projectId=${project.id}`;
    const entries = await linesOf(app, path, secret);
    for (const place of [0, 120, 249, 250])
      expect(await linesOf(app, `${path}&after=${String(entries[place]?.id)}`, secret)).toEqual(entries.slice(place + 1));
  });

  it('has all rows that match a filter, even if most rows do not, and none if none match', async () => {
    const { key, secret, project } = await buildKey(app, { permissions: READS });
    await insertBulk(app.database, 'request_logs', 5_000, (index) =>
      callRow({ workspaceId: key.workspaceId, projectId: project.id, keyId: key.id }, PAST_MS, index),
    );
    expect((await linesOf(app, 'request-logs?outcome=REFUSED', secret)).map(({ createdAt }) => createdAt)).toEqual(
      [999, 1_999, 2_999, 3_999, 4_999].map((index) => new Date(PAST_MS + index * 10).toISOString()),
    );
    expect(await linesOf(app, 'request-logs?errorCode=INTERNAL', secret)).toEqual([]);
    const to = new Date(PAST_MS + 30).toISOString();
    expect(await linesOf(app, `request-logs?to=${to}`, secret)).toHaveLength(3);
    expect(rowsOfCsv(await bodyOf(app, 'request-logs?errorCode=INTERNAL&format=csv', secret))).toEqual([]);
  });

  it('has no statement that reads more rows than one window, even if few rows match', async () => {
    const { key, secret, project } = await buildKey(app, { permissions: READS });
    await insertBulk(app.database, 'request_logs', 3_000, (index) =>
      callRow({ workspaceId: key.workspaceId, projectId: project.id, keyId: key.id }, PAST_MS, index),
    );
    const { reader } = app.database;
    const spy = jest.spyOn(reader.connection.driver, 'escapeQueryWithParameters');
    await linesOf(app, `request-logs?errorCode=INTERNAL&from=${new Date(PAST_MS).toISOString()}&to=${new Date().toISOString()}`, secret);
    const statements = spy.mock.calls.map(([sql]) => sql).filter((sql) => sql.includes('request_logs'));
    spy.mockRestore();
    expect(statements.length).toBeGreaterThanOrEqual(2 * (3_000 / WINDOW_ROWS));
    for (const sql of statements) {
      const bounds = sql.replace(/\([^()]* OR [^()]*\)/g, '').match(/created_at. [<>]=?/g) ?? [];
      // One of each, because the database might use a further bound instead
      expect(bounds.map((bound) => bound.replace(/[^<>]/g, '')).sort()).toEqual(['<', '>']);
    }
    for (const sql of statements) expect(sql).toMatch(new RegExp(`LIMIT (1 OFFSET ${WINDOW_ROWS - 1}|${WINDOW_ROWS})$`));
  });

  it('has no row that is newer than its start', async () => {
    const { key, secret, project } = await buildKey(app, { permissions: READS });
    const tomorrowMs = Date.now() + 86_400_000;
    await insertBulk(app.database, 'request_logs', 3, (index) =>
      callRow({ workspaceId: key.workspaceId, projectId: project.id, keyId: key.id }, index === 2 ? tomorrowMs : PAST_MS, index),
    );
    expect(await linesOf(app, 'request-logs', secret)).toHaveLength(2);
  });

  it('leaves out the newest calls, because earlier ones may be committed later: each call is in exactly one export', async () => {
    const { key, secret, project } = await buildKey(app, { permissions: READS });
    const of = { workspaceId: key.workspaceId, projectId: project.id, keyId: key.id };
    const nowMs = (await app.database.now()).getTime();
    const log = (agoMs: number, index: number) => insertBulk(app.database, 'request_logs', 1, () => callRow(of, nowMs - agoMs, index));
    await log(60_000, 0);
    await log(30_000, 2);
    const first = await linesOf(app, 'request-logs', secret);
    await log(30_001, 1); // its batch began before the previous one and committed after it
    app.travel(LOOK_BACK_MS);
    const next = await linesOf(app, `request-logs?after=${first.at(-1)?.id}`, secret);
    expect([first.length, next.length]).toEqual([1, 2]);
    expect(await linesOf(app, `request-logs?after=${next.at(-1)?.id}`, secret)).toEqual([]);
  });

  it('shows the key of a call and the call of a bill only to readers with these permissions', async () => {
    const { key, project, workspace, secret } = await buildExportedTenant(app);
    const secretWith = async (...permissions: string[]) => (await buildKey(app, { workspace, permissions })).secret;
    const keyIds = async (reader: string) =>
      new Set((await linesOf(app, `request-logs?keyId=${key.id}`, reader)).map(({ keyId }) => keyId));
    expect([await keyIds(secret), await keyIds(await secretWith('read.logs'))]).toEqual([new Set([key.id]), new Set([null])]);
    const logIds = async (reader: string) =>
      (await linesOf(app, `ledger?kind=USAGE&projectId=${project.id}`, reader)).map(({ requestLogId }) => requestLogId);
    expect([await logIds(secret), await logIds(await secretWith('read.wallet'))]).toEqual([
      [expect.stringMatching(/^log_/), expect.stringMatching(/^log_/)],
      [null, null],
    ]);
  });
});

describe('an export is refused', () => {
  it('without a credential, with a wrong credential, and with a credential that lacks the permission', async () => {
    for (const { name, permission } of EXPORTED_TABLES) {
      const { secret } = await buildKey(app, { permissions: READS.filter((other) => other !== permission) });
      expect(errorOf(await ask(app, name))).toMatchObject({ http: 401, code: 'MISSING_API_KEY', challenge: 'Bearer realm="tollgate"' });
      expect(errorOf(await ask(app, name, 'nonsense'))).toMatchObject({ http: 401, code: 'INVALID_API_KEY' });
      expect(errorOf(await ask(app, name, secret))).toMatchObject({
        http: 403,
        code: 'FORBIDDEN',
        details: { required_permission: permission },
      });
    }
  });

  it('for a foreign workspace exactly as for an unknown one, and foreign ids in a filter count as unknown', async () => {
    const { secret } = await buildKey(app, { permissions: READS });
    const foreign = await buildExportedTenant(app);
    for (const { name } of EXPORTED_TABLES) {
      const answers = await Promise.all(
        [foreign.workspace.id, ghostOf(foreign.workspace.id)].map(async (id) =>
          errorOf(await ask(app, `${name}?workspaceId=${id}`, secret)),
        ),
      );
      expect(answers[0]).toEqual(answers[1]);
      expect(answers[0]).toMatchObject({ http: 404, code: 'NOT_FOUND', details: {} });
    }
    for (const query of [
      `keys?projectId=${foreign.project.id}`,
      `request-logs?projectId=${foreign.project.id}`,
      `request-logs?keyId=${foreign.key.id}`,
      `request-logs?keyId=${foreign.key.id}&keyId=${foreign.reader.id}`,
    ]) {
      expect(await linesOf(app, query, secret)).toEqual([]);
    }
    const ledgers = await Promise.all(
      [foreign.project.id, ghostOf(foreign.project.id)].map(async (id) => errorOf(await ask(app, `ledger?projectId=${id}`, secret))),
    );
    expect(ledgers[0]).toEqual(ledgers[1]);
    expect(ledgers[0]).toMatchObject({ http: 404, code: 'NOT_FOUND' });
    const log = await app.database.reader.findOneByOrFail(RequestLog, { workspaceId: foreign.workspace.id });
    const entry = await app.database.reader.findOneByOrFail(LedgerEntry, { accountId: foreign.project.id });
    for (const [name, id] of [['request-logs', log.id], ['keys', foreign.key.id], ['ledger', entry.id]] as const) {
      const ghost = `${id.slice(0, -3)}000`;
      const [real, never] = await Promise.all([id, ghost].map(async (after) => errorOf(await ask(app, `${name}?after=${after}`, secret))));
      expect(real).toEqual(never);
      expect(real).toMatchObject({ http: 400, details: { issues: [{ path: ['after'] }] } });
    }
  });

  it('to the operator without a workspaceId, and the operator can read any workspace', async () => {
    const { workspace, secret } = await buildExportedTenant(app);
    for (const { name } of EXPORTED_TABLES) {
      expect(errorOf(await ask(app, name, app.rootKey))).toMatchObject({
        http: 400,
        details: { issues: [{ path: ['workspaceId'], message: 'is required of the operator' }] },
      });
      expect(await linesOf(app, `${name}?workspaceId=${workspace.id}`, app.rootKey)).toEqual(await linesOf(app, name, secret));
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
  ])('for invalid parameters, with their paths: %#', async (query, paths) => {
    const { secret } = await buildKey(app, { permissions: READS });
    const { http, code, details } = errorOf(await ask(app, query, secret));
    expect([http, code]).toEqual([400, 'INVALID_REQUEST']);
    expect((details.issues as { path: (string | number)[] }[]).map(({ path }) => path.join('.')).sort()).toEqual(paths);
  });

  it('for another method: 405, and Allow names the allowed ones', async () => {
    expect(errorOf(await ask(app, 'keys', app.rootKey, 'POST'))).toMatchObject({
      http: 405,
      code: 'METHOD_NOT_ALLOWED',
      allow: 'GET, HEAD',
    });
  });
});
