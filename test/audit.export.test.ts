import { createHash } from 'node:crypto';
import { MAX_EXPORTS } from '../src/rest/exports/export-places';
import { AuditEvent } from '../src/audit/event.entity';
import { recordEvent } from '../src/audit/record-event';
import { errorOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { freshDatabaseUrl } from './support/database';
import { ORIGIN, buildKey, ghostOf } from './support/factories';
import { openLines } from './support/lines';
import { buildPerson, signIn } from './support/people';
import { EXPORT_PATH, auditExports, cursorOf } from './support/audit-exports';

jest.setTimeout(90_000); // other test files use the processors too

let databaseUrl: string;
let app: TestApp;

beforeAll(async () => {
  databaseUrl = await freshDatabaseUrl();
  app = await createTestApp({ databaseUrl });
});

afterAll(() => app.close());

const { rename, buildReader, linesOf, ask } = auditExports(() => app);

/** Recomputes the hashes of an export from its lines, as docs/exports-and-audit-trail.md says. */
function expectHashes(lines: Record<string, unknown>[]): void {
  let previous = '';
  for (const line of lines) {
    const { actorKind, actorId, action, subjectId, ip, userAgent, before, after, createdAt } = line;
    const json = (value: unknown) => (value === null ? null : JSON.stringify(value));
    const text = [
      line.chain,
      line.sequence,
      previous,
      line.id,
      line.workspaceId,
      actorKind,
      actorId,
      action,
      subjectId,
      ip,
      userAgent,
      json(before),
      json(after),
      Date.parse(String(createdAt)),
    ];
    expect(line.hash).toBe(createHash('sha256').update(JSON.stringify(text)).digest('hex'));
    previous = String(line.hash);
  }
}

const idsOf = (lines: Record<string, unknown>[]) => lines.map((line) => line.id);

describe('an export', () => {
  it("has the events of the key's workspace, oldest first, each with its place, so that a reader can verify the chain", async () => {
    const { id, secret } = await buildReader(3);
    const stream = await openLines(app.url, EXPORT_PATH, secret);
    expect(await stream.ended).toBe(true);
    expect([stream.status, stream.headers['content-type'], stream.headers['cache-control']]).toEqual([
      200,
      'application/x-ndjson; charset=utf-8',
      'no-store',
    ]);
    expect(stream.lines.map(({ sequence }) => sequence)).toEqual(stream.lines.map((_line, index) => index + 1));
    expect(stream.lines.at(-1)).toEqual({
      cursor: expect.any(String),
      chain: id,
      sequence: stream.lines.length,
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      id: expect.stringMatching(/^evt_/),
      workspaceId: id,
      actorKind: 'SYSTEM',
      actorId: 'tests',
      action: 'workspace.updated',
      subjectId: id,
      ip: null,
      userAgent: null,
      before: { name: 'Name 2' },
      after: { name: 'Name 3' },
      createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
    });
    expectHashes(stream.lines);
  });

  it('has all input of the hashes: its lines alone are enough to recompute them, for any event', async () => {
    const { id, secret } = await buildReader();
    const after = {
      name: 'Zoë 木 👍 \u2028\u2029\u0085 "\\/ \u0000\u001f\u007f \ud800',
      nested: { z: [1, -0.5, 1e21, 1e-7, true, null, { 10: 'ten', 9: 'nine', b: [], a: {} }], 'é\u2028': ['', ['deep']] },
      at: new Date(0),
      big: Number.MAX_SAFE_INTEGER,
    };
    await app.database.transaction(async (tx) => {
      for (const before of [null, {}, { 木: { b: 1, a: 2 } }]) {
        await recordEvent(tx, {
          ...ORIGIN,
          userAgent: 'Zoë\u2028',
          action: 'workspace.updated',
          subject: { id, workspaceId: id },
          before,
          after,
          at: new Date(1),
        });
      }
    });
    await app.sealer.once();
    const lines = await linesOf('', secret);
    expect(lines.at(-1)?.after).toEqual({ ...after, at: after.at.toISOString() });
    expectHashes(lines);
  });

  it('gives the operator the events of all workspaces and of the installation in one order, or the events of one workspace', async () => {
    const { id, secret } = await buildReader(2);
    await app.services.actions.create(ORIGIN, {
      service: 'face',
      name: `face.x${id.slice(-6).toLowerCase()}`,
      permission: 'face.x',
      priceMicroCredits: 1,
      upstreamUrl: 'https://face.example/',
    });
    await app.sealer.once();
    const all = await linesOf('', app.rootKey);
    expect(all.at(-1)).toMatchObject({ chain: 'installation', workspaceId: null, action: 'action.created' });
    expect(new Set(idsOf(all)).size).toBe(all.length);
    const own = all.filter(({ workspaceId }) => workspaceId === id);
    expect(await linesOf(`?workspaceId=${id}`, app.rootKey)).toEqual(own);
    expect(await linesOf(`?workspaceId=${id}&format=ndjson&follow=false`, secret)).toEqual(own);
  });

  it('continues after any line, also on a process that was started later, and has each event once', async () => {
    const { id, secret } = await buildReader(4);
    const all = await linesOf('', secret);
    const first = all.slice(0, 3);
    await app.close();
    app = await createTestApp({ databaseUrl });
    await rename(id, 'Afterwards');
    await app.sealer.once();
    const rest = await linesOf(`?after=${cursorOf(first)}`, secret);
    expect(rest.slice(0, -1)).toEqual(all.slice(3));
    expect(rest.at(-1)).toMatchObject({ after: { name: 'Afterwards' } });
    expect(await linesOf(`?after=${cursorOf(rest)}`, secret)).toEqual([]);
  });

  it('is complete if it has more events than one page', async () => {
    const { id, secret } = await buildReader(600);
    const lines = await linesOf('', secret);
    expect(lines.map(({ sequence }) => sequence)).toEqual(lines.map((_line, index) => index + 1));
    expect(lines).toHaveLength(await app.database.reader.countBy(AuditEvent, { workspaceId: id }));
    expect(lines.length).toBeGreaterThan(600);
  });

  it('answers HEAD without a body, and starts no export', async () => {
    const { secret } = await buildReader();
    for (let times = 0; times <= MAX_EXPORTS; times += 1) {
      const { status, headers, body } = await ask('?follow=true', secret, 'HEAD');
      expect([status, headers.get('content-type'), body]).toEqual([200, 'application/x-ndjson; charset=utf-8', undefined]);
    }
  });

  it('has as OCSF the fields that the schema requires, with the numbers of its classes', async () => {
    const { id, key, secret } = await buildReader();
    await app.graphql('mutation ($id: ID!) { revokeKey(input: { id: $id }) { key { id } } }', {
      id: (await buildKey(app, { workspace: { id } as never })).key.id,
    });
    await app.sealer.once();
    const lines = await linesOf('?format=ocsf', secret);
    const revoked = lines.at(-1) as Record<string, { sequence?: number }>;
    expect(revoked).toEqual({
      cursor: expect.any(String),
      metadata: {
        version: '1.3.0',
        product: { name: 'Tollgate', vendor_name: 'Tollgate' },
        uid: expect.stringMatching(/^evt_/),
        sequence: lines.length,
        tenant_uid: id,
      },
      time: expect.any(Number),
      category_uid: 6,
      class_uid: 6003,
      activity_id: 4,
      type_uid: 600304,
      severity_id: 1,
      status_id: 1,
      actor: { user: { uid: 'operator', type: 'OPERATOR', type_id: 2 } },
      api: { operation: 'key.revoked' },
      resources: [{ uid: expect.stringMatching(/^key_/), type: 'key' }],
      src_endpoint: { ip: '127.0.0.1' },
      http_request: { user_agent: expect.any(String) },
      unmapped: {
        action: 'key.revoked',
        hash: expect.stringMatching(/^[0-9a-f]{64}$/),
        before: expect.any(Object),
        after: expect.any(Object),
      },
    });
    expect(lines.find((line) => (line.resources as { uid: string }[])[0]?.uid === key.id)).toMatchObject({
      activity_id: 1,
      type_uid: 600301,
      src_endpoint: { name: 'unknown' },
    });
  });

  it('has as OCSF an Authentication of the person for a session that began, ended or was refused', async () => {
    const { person, password, cookie, workspace } = await buildPerson(app);
    await app.graphql('mutation { signOut { session { id } } }', {}, cookie);
    expect((await signIn(app, { email: person.email, password: `not ${password}` })).outcome).not.toBe('ok');
    await app.people.background.idle();
    await app.sealer.once();
    const lines = await linesOf(`?format=ocsf&workspaceId=${workspace.id}`, app.rootKey);
    const [started, ended, refused, ...more] = lines.filter(({ class_uid }) => class_uid === 3002);
    expect(more).toEqual([]);
    const user = { uid: person.id, type: 'USER', type_id: 1 };
    const session = { uid: expect.stringMatching(/^ses/) };
    expect(started).toMatchObject({
      category_uid: 3,
      activity_id: 1,
      type_uid: 300201,
      status_id: 1,
      user,
      actor: { user },
      session,
      service: { name: 'Tollgate' },
    });
    expect(ended).toMatchObject({ activity_id: 2, type_uid: 300202, status_id: 1, user, actor: { user }, session: started?.session });
    const asked = { uid: 'sign-in', type: 'SYSTEM', type_id: 3 };
    expect(refused).toMatchObject({
      activity_id: 1,
      type_uid: 300201,
      status_id: 2,
      status_detail: 'PASSWORD',
      user,
      actor: { user: asked },
      unmapped: { action: 'session.refused' },
    });
    expect(refused).not.toHaveProperty('session');
    for (const line of [started, ended, refused]) expect(line).not.toHaveProperty('resources');
  });

  it('reports a deleted event at its place, and continues', async () => {
    const { id, secret } = await buildReader(3);
    const all = await linesOf('', secret);
    const deleted = all.at(-2) ?? {};
    await app.database.transaction((tx) => tx.delete(AuditEvent, { id: String(deleted.id) }));
    const { cursor, sequence, hash } = deleted;
    expect(await linesOf('', secret)).toEqual(
      all.map((line) => (line === deleted ? { cursor, chain: id, sequence, hash, missing: true } : line)),
    );
    const lines = await linesOf('?format=ocsf', secret);
    expect(lines).toHaveLength(all.length);
    expect(lines.at(-2)).toEqual({
      cursor,
      metadata: { version: '1.3.0', product: { name: 'Tollgate', vendor_name: 'Tollgate' }, sequence, tenant_uid: id },
      time: expect.any(Number),
      category_uid: 6,
      class_uid: 6003,
      activity_id: 2,
      type_uid: 600302,
      severity_id: 1,
      status_id: 2,
      message: 'The event is missing',
      actor: { user: { uid: 'export', type: 'SYSTEM', type_id: 3 } },
      api: { operation: 'event.read' },
      src_endpoint: { name: 'unknown' },
      unmapped: { hash, missing: true },
    });
  });
});

describe('an export is refused', () => {
  it('without a credential, with a wrong credential, and with a credential that lacks the permission', async () => {
    const { secret } = await buildKey(app, { permissions: ['read.keys'] });
    const plain = await buildKey(app);
    expect(errorOf(await ask(''))).toMatchObject({ http: 401, code: 'MISSING_API_KEY', challenge: 'Bearer realm="tollgate"' });
    expect(errorOf(await ask('', 'nonsense'))).toMatchObject({ http: 401, code: 'INVALID_API_KEY' });
    for (const lacking of [secret, plain.secret])
      expect(errorOf(await ask('', lacking))).toMatchObject({
        http: 403,
        code: 'FORBIDDEN',
        details: { required_permission: 'read.audit' },
      });
  });

  it('for the workspace of another tenant, with the same answer as for an unknown workspace', async () => {
    const { secret } = await buildReader();
    const foreign = await buildReader();
    const answers = await Promise.all(
      [foreign.id, ghostOf(foreign.id)].map(async (id) => errorOf(await ask(`?workspaceId=${id}`, secret))),
    );
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]).toMatchObject({ http: 404, code: 'NOT_FOUND', details: {} });
    expect(errorOf(await ask(`?workspaceId=${ghostOf(foreign.id)}`, app.rootKey))).toEqual(answers[1]);
  });

  it.each([
    ['?after=nonsense', 'after'],
    [`?after=${Buffer.from('["trail",-1,"0123456789ab"]').toString('base64url')}`, 'after'],
    [`?after=${Buffer.from('["api_keys",1,"0123456789ab"]').toString('base64url')}`, 'after'],
    ['?after=', 'after'],
    ['?format=xml', 'format'],
    ['?format=ndjson&format=ocsf', 'format'],
    ['?follow=yes', 'follow'],
    ['?workspaceId=a%20b', 'workspaceId'],
    ['?page=2', 'page'],
  ])('for %s, with the path of the fault', async (query, path) => {
    expect(errorOf(await ask(query, app.rootKey))).toMatchObject({
      http: 400,
      code: 'INVALID_REQUEST',
      details: { issues: [{ path: [path], message: expect.any(String) }] },
    });
  });

  it('for a cursor that is not in this trail, with or without a body, because events would be missed unnoticed', async () => {
    const { id, secret } = await buildReader();
    const [trail, position, hash] = JSON.parse(
      Buffer.from(String((await linesOf('', app.rootKey)).at(-1)?.cursor), 'base64url').toString(),
    ) as [string, number, string];
    expect(hash).toMatch(/^[0-9a-f]{12}$/);
    const afterOf = (...place: unknown[]) => `?after=${Buffer.from(JSON.stringify([trail, ...place])).toString('base64url')}`;
    for (const query of [
      afterOf(position + 1, hash),
      afterOf(position + 1_000, hash),
      afterOf(position, 'a'.repeat(12)),
      afterOf(position, ''),
      afterOf(position - 1, hash),
    ]) {
      for (const more of ['', '&follow=true', `&workspaceId=${id}`]) {
        const issue = { path: ['after'], message: 'is not in this trail, perhaps because a backup was restored. Begin again without it' };
        expect(errorOf(await ask(`${query}${more}`, secret))).toMatchObject({
          http: 400,
          code: 'INVALID_REQUEST',
          details: { issues: [issue] },
        });
      }
      expect((await ask(query, secret, 'HEAD')).status).toBe(400);
    }
    expect(await linesOf(afterOf(position, hash), secret)).toEqual([]);
    expect(await linesOf(afterOf(0, ''), secret)).toEqual(await linesOf('', secret));
  });

  it('with 405 for another method, and Allow names the methods', async () => {
    expect(errorOf(await ask('', app.rootKey, 'POST'))).toMatchObject({ http: 405, code: 'METHOD_NOT_ALLOWED', allow: 'GET, HEAD' });
  });
});
