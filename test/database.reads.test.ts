import { ApiKey } from '../src/keys/key.entity';
import { createTestApp, type TestApp } from './support/app';
import { startCallers, tally } from './support/callers';
import { buildKey, buildProject } from './support/factories';

// Long reads of administrators are cut off, and do not slow the gate meanwhile.

const READ_TIMEOUT_MS = 400;

/** A number of rows that keeps a database busy for some seconds. */
const COUNT = 200_000_000;
const LONG: Record<typeof TEST_DATABASE, string> = {
  sqlite: `WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < ${COUNT}) SELECT COUNT(*) AS n FROM c`,
  mysql:
    'SELECT COUNT(*) AS n FROM information_schema.columns a, information_schema.columns b, information_schema.columns c ' +
    "WHERE CONCAT(a.column_name, b.column_name, c.column_name) LIKE '%never%'",
};

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp({ database: { readTimeoutMs: READ_TIMEOUT_MS } });
});

afterAll(() => app.close());

const cutOff = expect.objectContaining({
  driverError: expect.objectContaining(TEST_DATABASE === 'sqlite' ? { code: 'SQLITE_INTERRUPT' } : { errno: expect.any(Number) }),
});

it('cuts off a long read and keeps the connection usable', async () => {
  const started = performance.now();
  await expect(app.database.reader.query(LONG[TEST_DATABASE])).rejects.toEqual(cutOff);
  const tookMs = performance.now() - started;
  expect(tookMs).toBeGreaterThan(READ_TIMEOUT_MS * 0.9);
  expect(tookMs).toBeLessThan(READ_TIMEOUT_MS * 10);
  expect(await app.database.reader.query('SELECT 7 AS n')).toEqual([{ n: 7 }]);
});

it('does not cut off writes, snapshots and look-ups', async () => {
  const statement =
    TEST_DATABASE === 'mysql' ? `SELECT SLEEP(${(READ_TIMEOUT_MS * 1.5) / 1000}) AS n` : LONG.sqlite.replace(String(COUNT), '6000000');
  const { database } = app;
  for (const run of [
    () => database.snapshot((snapshot) => snapshot.query(statement)),
    () => database.lookups.query(statement),
    () => database.transaction((tx) => tx.query(statement)),
  ]) {
    const started = performance.now();
    expect((await run()) as unknown).toEqual([{ n: expect.anything() }]);
    expect(performance.now() - started).toBeGreaterThan(READ_TIMEOUT_MS);
  }
});

it('answers calls as fast as usual while long reads run one after another', async () => {
  const { secret } = await buildKey(app);
  const callers = startCallers(4);
  const calls = async (count: number): Promise<number[]> => {
    const times: number[] = [];
    const answers = await callers.calls(count, () => ({ url: app.url, secret }));
    expect(tally(answers)).toEqual({ 200: count });
    for (let i = 0; i < count; i++) {
      const started = performance.now();
      expect((await callers.call({ url: app.url, secret })).status).toBe(200);
      times.push(performance.now() - started);
    }
    return times.sort((x, y) => x - y);
  };
  const alone = await calls(40);
  const reading = { over: false };
  let cut = 0;
  const reads = (async () => {
    while (!reading.over) {
      await app.database.reader.query(LONG[TEST_DATABASE]).catch(() => (cut += 1));
    }
  })();
  const meanwhile = await calls(100);
  reading.over = true;
  await reads;
  const p99 = (times: number[]): number => times[Math.floor(times.length * 0.99)] as number;
  process.stdout.write(
    `p99 of a call: ${p99(alone).toFixed(1)} ms alone, ${p99(meanwhile).toFixed(1)} ms while ${cut} reads were cut off\n`,
  );
  expect(cut).toBeGreaterThan(0);
  expect(p99(meanwhile)).toBeLessThan(READ_TIMEOUT_MS / 2 + p99(alone) * 5);
});

describe('a read within the time limit', () => {
  let patient: TestApp;

  beforeAll(async () => {
    patient = await createTestApp();
  });

  afterAll(() => patient.close());

  it('returns the same values as TypeORM, for every type', async () => {
    const project = await buildProject(patient);
    const { key } = await buildKey(patient, { project, allowedIps: ['10.0.0.0/8'], expiresAt: new Date('2099-01-01') });
    const found = await patient.database.reader.findOneByOrFail(ApiKey, { id: key.id });
    expect(found).toEqual(await patient.database.lookups.findOneByOrFail(ApiKey, { id: key.id }));
    expect(found).toBeInstanceOf(ApiKey);
    expect(found.expiresAt).toEqual(new Date('2099-01-01'));
    expect(await patient.database.reader.createQueryBuilder(ApiKey, 'row').where({ id: key.id }).getRawAndEntities()).toMatchObject({
      entities: [{ id: key.id }],
      raw: [{ row_id: key.id }],
    });
    const values = ['Ünïcödé 💥', null, Number.MAX_SAFE_INTEGER, 0.5, true];
    const select = `SELECT ${values.map((_, index) => `? AS v${index}`).join(', ')}`;
    expect(await patient.database.reader.query(select, values)).toEqual(await patient.database.lookups.query(select, values));
    await expect(patient.database.reader.query('SELECT nope')).rejects.toThrow(/nope/);
  });

  (TEST_DATABASE === 'sqlite' ? it : it.skip)('cannot write (SQLite)', async () => {
    await expect(patient.database.reader.query("INSERT INTO settings (name, value) VALUES ('x', 'y')")).rejects.toThrow(/readonly/);
  });
});
