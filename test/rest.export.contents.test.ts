import { readFileSync } from 'node:fs';
import { buildSchema, isInputObjectType } from 'graphql';
import { KeySecret } from '../src/keys/key.entity';
import { EXPORTED_TABLES } from '../src/rest/exports/tables.route';
import { createTestApp, type TestApp } from './support/app';
import { rowsOfCsv } from './support/csv';
import { bodyOf, buildExportedTenant, linesOf, type Line } from './support/exports';

jest.setTimeout(90_000); // other test files use the processors too

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp();
});

afterAll(() => app.close());

const KEY_FIELDS =
  'id name environment hint permissions allowedIps status expiresAt revokedAt revokedReason rotatedAt previousSecretValidUntil ' +
  'lastUsedAt createdAt project { id } role { id }';
const LOG_FIELDS =
  'id requestId environment service action outcome errorCode httpStatus chargedMicroCredits actionMs totalMs ip userAgent ' +
  'createdAt heldMicroCredits shortfallMicroCredits usage { unit quantity } usageMissing subject ' +
  'project { id } key { id } serviceAccount { id } consent { id }';
const ENTRY_FIELDS = 'id kind delta balanceAfter reference reason createdAt project { id } linkedEntry { id } requestLog { id }';

interface Quantity {
  unit: string;
  quantity: number;
}

/** Converts a node of the admin API to a line of an export: linked nodes become their ids, and quantities become texts. */
const flat = (node: Line): Line =>
  Object.fromEntries(
    Object.entries(node).map(([name, value]) =>
      ['project', 'key', 'serviceAccount', 'consent', 'role', 'linkedEntry', 'requestLog'].includes(name)
        ? [`${name}Id`, (value as { id: string } | null)?.id ?? null]
        : [name, name === 'usage' ? (value as Quantity[]).map(({ unit, quantity }) => `${unit}=${quantity}`) : value],
    ),
  );

/** Returns all nodes of a connection, oldest first. */
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

describe('an export has the same rows as the connection', () => {
  let tenant: Awaited<ReturnType<typeof buildExportedTenant>>;
  beforeAll(async () => (tenant = await buildExportedTenant(app)));

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
    expectSame(
      await linesOf(app, `keys?format=ndjson${parametersOf(filter)}`, tenant.secret),
      some(await listed('workspace', tenant.workspace.id, ['keys'], KEY_FIELDS, filter)),
    );
  });

  it.each([
    ['all', () => ({})],
    ['by outcome', () => ({ outcome: ['REFUSED', 'FAILED'] })],
    ['by key', () => ({ keyId: [tenant.key.id] })],
    ['by keys and code', () => ({ keyId: [tenant.key.id, tenant.reader.id], errorCode: ['PAYMENT_REQUIRED'] })],
    ['by project and action', () => ({ projectId: [tenant.project.id], action: ['demo.fail'] })],
    ['by environment', () => ({ environment: 'TEST' })],
    [
      'by address and charge',
      () => ({ ip: ['::ffff:127.0.0.1'], service: ['demo'], minChargedMicroCredits: 1, maxChargedMicroCredits: 1_000 }),
    ],
    ['by time', () => ({ from: new Date(Date.now() - 3_600_000).toISOString(), to: new Date(Date.now() + 3_600_000).toISOString() })],
  ])('of calls: %s', async (_which, filterOf) => {
    const filter = filterOf();
    expectSame(
      await linesOf(app, `request-logs?format=ndjson${parametersOf(filter)}`, tenant.secret),
      some(await listed('workspace', tenant.workspace.id, ['requestLogs'], LOG_FIELDS, filter)),
    );
  });

  it('for one call by its requestId, in upper or lower case', async () => {
    const [log] = await listed('workspace', tenant.workspace.id, ['requestLogs'], LOG_FIELDS);
    expect(
      (await linesOf(app, `request-logs?requestId=${String(log?.requestId).toUpperCase()}`, tenant.secret)).map(({ id }) => id),
    ).toEqual([log?.id]);
  });

  it('for the ledger: the wallet, a budget, and several budgets one after another', async () => {
    const walletOf = () => listed('workspace', tenant.workspace.id, ['wallet', 'ledger'], ENTRY_FIELDS);
    const budgetOf = (id: string, filter = {}) => listed('project', id, ['ledger'], ENTRY_FIELDS, filter);
    const [one, other] = [tenant.project.id, tenant.reader.projectId];
    expectSame(await linesOf(app, 'ledger', tenant.secret), some(await walletOf()));
    expectSame(await linesOf(app, `ledger?projectId=${one}`, tenant.secret), some(await budgetOf(one)));
    expectSame(await linesOf(app, `ledger?projectId=${other}&projectId=${one}`, tenant.secret), [
      ...(await budgetOf(other)),
      ...(await budgetOf(one)),
    ]);
    const filter = { kind: ['USAGE', 'ADJUSTMENT'], minDelta: -1_000, maxDelta: -5 };
    const lines = await linesOf(app, `ledger?projectId=${one}${parametersOf(filter)}`, tenant.secret);
    expectSame(lines, some(await budgetOf(one, filter)));
    expect(lines.map(({ delta }) => delta)).toContain(-5);
  });

  it('as CSV, with the same values', async () => {
    for (const path of ['keys', 'request-logs', `ledger?projectId=${tenant.project.id}`]) {
      const sign = path.includes('?') ? '&' : '?';
      const lines = some(await linesOf(app, path, tenant.secret));
      const texts = (value: unknown) =>
        value === null ? '' : Array.isArray(value) ? value.join(' ') : typeof value === 'string' ? value : JSON.stringify(value);
      expect(rowsOfCsv(await bodyOf(app, `${path}${sign}format=csv`, tenant.secret))).toEqual(
        lines.map((line) => Object.fromEntries(Object.entries(line).map(([name, value]) => [name, texts(value)]))),
      );
    }
  });

  it('with integers as JSON numbers', async () => {
    expect(await bodyOf(app, `ledger?projectId=${tenant.project.id}&kind=ADJUSTMENT`, tenant.secret)).toContain('"delta":-5,');
  });

  it('with the filters of the connection, under the same names', () => {
    const schema = buildSchema(readFileSync('schema.graphql', 'utf8'));
    const filters = { ledger: 'LedgerFilter', 'request-logs': 'RequestLogFilter', keys: 'ApiKeyFilter' };
    for (const { name, query } of EXPORTED_TABLES) {
      const filter = schema.getType(filters[name as keyof typeof filters]);
      const names = isInputObjectType(filter) ? Object.keys(filter.getFields()) : [];
      expect([name, Object.keys(query.shape)]).toEqual([name, expect.arrayContaining(names)]);
    }
  });

  it('without secrets and digests', async () => {
    const digests = await app.database.reader.find(KeySecret, { select: { digest: true } });
    let all = '';
    for (const { name } of EXPORTED_TABLES)
      for (const format of ['csv', 'ndjson']) all += await bodyOf(app, `${name}?format=${format}`, tenant.secret);
    expect(digests.length).toBeGreaterThan(5);
    for (const { digest } of digests) expect(all).not.toContain(digest);
    for (const secret of tenant.secrets) expect(all).not.toContain(secret);
    expect(all).toContain(tenant.key.hint);
  });
});
