import { connect } from 'node:net';
import { MAX_EXPORTS, MAX_EXPORTS_EACH } from '../src/rest/exports/export-places';
import { recordEvent } from '../src/audit/record-event';
import { Role } from '../src/access/roles/role.entity';
import { ApiKey } from '../src/keys/key.entity';
import { outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { freshDatabaseUrl } from './support/database';
import { ORIGIN, buildKey } from './support/factories';
import { answersOf, openLines, type Lines } from './support/lines';
import { recognised } from './support/recognised';
import { until } from './support/until';
import { EXPORT_PATH, auditExports, cursorOf } from './support/audit-exports';

// Exports of the audit trail that stay open: when they end, and the places that they take.

jest.setTimeout(90_000); // other test files use the processors too

/** Longer than the interval at which the permission of a reader is checked. */
const A_WHILE_MS = 10_000;

let databaseUrl: string;
let app: TestApp;

beforeAll(async () => {
  databaseUrl = await freshDatabaseUrl();
  app = await createTestApp({ databaseUrl });
});

afterAll(() => app.close());

const { rename, buildReader, linesOf, ask } = auditExports(() => app);
type Reader = Awaited<ReturnType<typeof buildReader>>;

describe('an export that follows', () => {
  const follow = async (secret: string, query = ''): Promise<Lines> => openLines(app.url, `${EXPORT_PATH}?follow=true${query}`, secret);

  it('answers at once even without events, and sends events as they are sealed', async () => {
    const { id, secret } = await buildReader();
    const before = await linesOf('', secret);
    const stream = await follow(secret, `&after=${cursorOf(before)}`);
    expect(stream.lines).toEqual([]);
    for (const name of ['One', 'Two']) {
      await rename(id, name);
      await app.sealer.once();
      await until(() => stream.lines.length > 0 && JSON.stringify(stream.lines.at(-1)?.after) === JSON.stringify({ name }), name);
    }
    expect(stream.lines).toHaveLength(2);
    stream.hangUp();
  });

  it.each([
    ['its key is revoked', (key: ApiKey) => app.services.keys.revoke(ORIGIN, { id: key.id })],
    ['its key loses the permission', (key: ApiKey) => app.services.keys.update(ORIGIN, { id: key.id, permissions: ['read.keys'] })],
    ['its key is disabled', (key: ApiKey) => app.services.keys.update(ORIGIN, { id: key.id, enabled: false })],
  ])('ends when %s', async (_what, end) => {
    const { id, key, secret } = await buildReader();
    const stream = await follow(secret);
    await until(() => stream.lines.length > 0, 'the events so far');
    await end(key);
    await app.sealer.once();
    expect(await stream.ended).toBe(true);
    const told = stream.lines.length;
    await rename(id, 'Unseen');
    await app.sealer.once();
    expect(stream.lines).toHaveLength(told);
  });

  it('ends when the key loses the role that allowed it', async () => {
    const { id, key, secret } = await buildReader();
    const role = { id: `rol_${id.slice(3)}`, workspaceId: id, name: 'Auditor', permissions: ['read.audit'], createdAt: new Date() };
    await app.database.transaction((tx) => tx.insert(Role, role));
    await app.database.transaction((tx) => tx.update(ApiKey, { id: key.id }, { roleId: role.id, permissions: [] }));
    const stream = await follow(secret);
    await until(() => stream.lines.length > 0, 'the events so far');
    await app.database.transaction((tx) => tx.update(ApiKey, { id: key.id }, { roleId: null }));
    expect(await stream.ended).toBe(true);
  });

  it('ends when the process stops, and does not delay the stop, whether it is idle or its reader takes nothing', async () => {
    const { secret } = await buildReader(300);
    const node = TEST_DATABASE === 'mysql' ? await createTestApp({ databaseUrl }) : app;
    const idle = await openLines(node.url, `${EXPORT_PATH}?follow=true`, secret);
    const slow = await openLines(node.url, `${EXPORT_PATH}?follow=true`, node.rootKey);
    slow.pause();
    await until(() => idle.lines.length > 300, 'the events so far');
    const started = performance.now();
    await node.close();
    expect(performance.now() - started).toBeLessThan(A_WHILE_MS);
    expect(await idle.ended).toBe(true);
    slow.hangUp();
    if (node === app) app = await createTestApp({ databaseUrl });
  });

  it('is 503 if all places of its workspace, over all keys, or of the process are taken; hanging up frees a place', async () => {
    const readers = await Promise.all(Array.from({ length: MAX_EXPORTS / MAX_EXPORTS_EACH }, () => buildReader()));
    const [one, ...others] = readers as [Reader, ...Reader[]];
    const fill = ({ secret }: Reader) => Promise.all(Array.from({ length: MAX_EXPORTS_EACH }, () => follow(secret)));
    const streams = await fill(one);
    const { secret: another } = await buildKey(app, { workspace: { id: one.id } as never, permissions: ['read.audit'] });
    for (const secret of [one.secret, another]) {
      const error = { message: expect.stringContaining('You have too many open') as string };
      expect(await ask('', secret)).toMatchObject({ status: 503, body: { error } });
    }
    for (const reader of others) streams.push(...(await fill(reader)));
    expect(outcomeOf(await ask('', app.rootKey))).toBe('503 SERVICE_UNAVAILABLE');
    for (const stream of streams) stream.hangUp();
    for (const secret of [one.secret, app.rootKey]) await until(async () => (await ask('', secret)).status === 200, 'a place');
  });

  it('that waits behind another one on its connection frees its place when the caller hangs up', async () => {
    const { secret } = await buildReader();
    const request = `GET ${EXPORT_PATH}?follow=true HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${secret}\r\n\r\n`;
    const sockets = Array.from({ length: MAX_EXPORTS_EACH / 2 }, () => connect(Number(new URL(app.url).port), '127.0.0.1'));
    await recognised(app, MAX_EXPORTS_EACH, () =>
      sockets.forEach((socket) => socket.on('error', () => undefined).write(request + request)),
    );
    await until(async () => (await ask('', secret)).status === 503, 'all places to be taken');
    for (const socket of sockets) socket.destroy();
    await until(async () => {
      const streams = await Promise.all(Array.from({ length: MAX_EXPORTS_EACH }, () => follow(secret)));
      for (const stream of streams) stream.hangUp();
      return streams.every(({ status }) => status === 200);
    }, 'all places to be free');
  });

  it('cuts off a reader that takes nothing and has lost its permission', async () => {
    const { id, key, secret } = await buildReader();
    const long = 'x'.repeat(60_000);
    await app.database.transaction(async (tx) => {
      for (let turn = 0; turn < 300; turn += 1)
        await recordEvent(tx, {
          ...ORIGIN,
          action: 'workspace.updated',
          subject: { id, workspaceId: id },
          after: { long },
          at: new Date(),
        });
    });
    await app.sealer.once();
    const answers = answersOf(app.server.server);
    const stream = await follow(secret);
    stream.pause();
    await app.services.keys.revoke(ORIGIN, { id: key.id });
    await until(() => answers.every(({ destroyed }) => destroyed), 'the end of its connection');
    stream.resume();
    expect(await stream.ended).toBe(false);
    expect(stream.lines.length).toBeLessThan(300);
  });
});
