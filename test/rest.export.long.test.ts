import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { WINDOW_ROWS } from '../src/db/windows';
import type { ApiKey } from '../src/keys/key.entity';
import { MAX_EXPORTS_EACH } from '../src/rest/exports/export-places';
import type { Workspace } from '../src/tenancy/workspace.entity';
import { PEPPER, createTestApp, type TestApp } from './support/app';
import { callRow, insertBulk } from './support/bulk';
import { READS, ask } from './support/exports';
import { ORIGIN, buildKey } from './support/factories';
import { answersOf, openLines } from './support/lines';
import { startNginx } from './support/nginx';
import { until } from './support/until';

jest.setTimeout(90_000); // other test files use the processors too

/** More than the buffers of a connection and a proxy hold. */
const MANY = 25_000;
const PAST_MS = Date.UTC(2025, 0, 1);

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp();
});

afterAll(() => app.close());

describe('a long export', () => {
  let long: { secret: string; key: ApiKey; path: string };
  beforeAll(async () => {
    const { key, secret, project } = await buildKey(app, { permissions: READS });
    await insertBulk(app.database, 'request_logs', MANY, (index) => ({
      ...callRow({ workspaceId: key.workspaceId, projectId: project.id, keyId: key.id }, PAST_MS, index),
      user_agent: 'x'.repeat(250),
    }));
    long = { key, secret, path: '/v1/export/request-logs' };
  }, 90_000);

  const open = (secret = long.secret) => openLines(app.url, long.path, secret);
  const readerIn = async (values: { permissions?: string[]; roleId?: string }) =>
    buildKey(app, { workspace: { id: long.key.workspaceId } as Workspace, budget: 0, ...values });

  it('breaks off visibly when its key is revoked, its key loses a permission that any value needs, or its role is deleted', async () => {
    const { keys } = app.services;
    const ends: ((key: ApiKey) => Promise<unknown>)[] = [
      ({ id }) => keys.revoke(ORIGIN, { id }),
      ({ id }) => keys.update(ORIGIN, { id, permissions: ['read.keys'] }),
      ({ id }) => keys.update(ORIGIN, { id, permissions: ['read.logs'] }),
      ({ id }) => keys.update(ORIGIN, { id, roleId: null }),
    ];
    const readers = [
      await readerIn({ permissions: READS }),
      await readerIn({ permissions: READS }),
      await readerIn({ permissions: READS }),
      await readerIn({ permissions: [], roleId: 'rol_viewer' }),
    ];
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

  it('breaks off visibly behind nginx with HTTP/1.1 to this server', async () => {
    const nginx = await startNginx(app.url, 'proxy_http_version 1.1;');
    if (!nginx) return;
    const { key, secret } = await readerIn({ permissions: READS });
    const stream = await openLines(nginx.url, long.path, secret);
    stream.pause();
    await app.services.keys.revoke(ORIGIN, { id: key.id });
    stream.resume();
    expect([stream.status, await stream.ended]).toEqual([200, false]);
    expect(stream.lines.length).toBeLessThan(MANY);
  });

  it('is refused behind nginx with HTTP/1.0, its default before 1.29.7, because a broken export would look complete', async () => {
    const nginx = await startNginx(app.url, 'proxy_http_version 1.0;');
    if (!nginx) return;
    const { secret } = await readerIn({ permissions: [...READS, 'read.audit'] });
    for (const path of [long.path, '/v1/audit/export']) {
      const response = await fetch(`${nginx.url}${path}`, { headers: { 'x-api-key': secret, connection: 'close' } });
      expect([path, response.status]).toEqual([path, 400]);
      const issues = [{ message: expect.stringContaining('HTTP/1.1') }];
      expect(await response.json()).toMatchObject({ error: { code: 'INVALID_REQUEST', details: { issues } } });
    }
    expect((await fetch(`${nginx.url}/healthz`)).status).toBe(200);
  });

  it('keeps its place while its client pauses, and frees it when the client disconnects', async () => {
    const streams = await Promise.all(Array.from({ length: MAX_EXPORTS_EACH }, () => open()));
    for (const stream of streams) stream.pause();
    for (const path of ['request-logs', 'keys', 'ledger'])
      expect(await ask(app, path, long.secret)).toMatchObject({
        status: 503,
        body: { error: { message: expect.stringContaining('You have too many open') } },
      });
    expect((await ask(app, 'keys', long.secret, 'HEAD')).status).toBe(200);
    for (const stream of streams) stream.hangUp();
    await until(async () => (await ask(app, 'keys', long.secret)).status === 200, 'a place');
  });

  it('reads no further from the database than its client takes', async () => {
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

  it('does not use more memory if it is longer: the heap grows much less than the bytes sent', async () => {
    const env = { ...process.env, DATABASE_URL: app.databaseUrl, ROOT_KEY: app.rootKey, KEY_PEPPER: PEPPER };
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--expose-gc', join(__dirname, 'support/export-memory.js'), long.secret, `${long.path}?format=csv`],
      { env },
    );
    const { bytes, grownBytes } = JSON.parse(stdout) as { bytes: number; grownBytes: number };
    expect(bytes).toBeGreaterThan(300 * MANY);
    expect(grownBytes).toBeLessThan(bytes / 2);
  });

  it('does not block calls, and sends every line', async () => {
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

  it('breaks off when the process stops, and does not delay the stop', async () => {
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
