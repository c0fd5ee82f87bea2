import { createHash } from 'node:crypto';
import { EVENT_COLUMNS } from '../src/audit/event-hash';
import { AuditEvent } from '../src/audit/event.entity';
import { recordEvent } from '../src/audit/record-event';
import { AuditSeal, UnsealedEvent } from '../src/audit/seal.entities';
import { readTrail } from '../src/audit/trail';
import { AuditTrail1764100000000 as MysqlAuditTrail } from '../src/db/migrations/mysql/1764100000000-audit-trail';
import { AuditTrail1764100000000 as SqliteAuditTrail } from '../src/db/migrations/sqlite/1764100000000-audit-trail';
import type { TestApp } from './support/app';
import { ORIGIN, buildKey, buildWorkspace } from './support/factories';
import { closeNodes, createNodes } from './support/nodes';
import { brokenChains, buildChain, sealedEvents, sealsOf } from './support/trail';

// How events get their places in the chains.

jest.setTimeout(90_000); // other test files use the processors too

let app: TestApp;
/** Another server of the same installation. On SQLite it is the same server, because SQLite allows only one. */
let other: TestApp;

beforeAll(async () => {
  [app, other] = await createNodes({ busy: true });
});

afterAll(() => closeNodes(other, app));

/** For tests with two simultaneous writers, which SQLite does not have. */
const onMysql = TEST_DATABASE === 'mysql' ? it : it.skip;

const sql = (text: string, values: unknown[] = []) => app.database.transaction((tx) => tx.query(text, values));
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe('sealing', () => {
  it('writes exactly one event for a revocation, and no event for its repeat', async () => {
    const { key } = await buildKey(app);
    for (let times = 0; times < 2; times += 1) await app.services.keys.revoke(ORIGIN, { id: key.id });
    await app.sealer.once();
    const events = (await sealedEvents(app, key.workspaceId)).filter(({ subjectId }) => subjectId === key.id);
    expect(events.map(({ action }) => action)).toEqual(['key.minted', 'key.revoked']);
  });

  it('gives each event one place in its chain and in the trail, without gaps, while two nodes seal and others write', async () => {
    const workspaces = await Promise.all([buildWorkspace(app), buildWorkspace(other), buildWorkspace(app)]);
    const busy = { on: true };
    const sealers = [app, other].map(async ({ sealer }) => {
      while (busy.on) await sealer.once();
    });
    const writers = workspaces.flatMap(({ id }, place) =>
      [app, other].map(async ({ services }, node) => {
        for (let turn = 0; turn < 20; turn += 1) await services.workspaces.update(ORIGIN, { id, name: `${place} ${node} ${turn}` });
      }),
    );
    await Promise.all(writers);
    busy.on = false;
    await Promise.all(sealers);
    await app.sealer.once();

    for (const { id } of workspaces) {
      const seals = await sealsOf(app, id);
      expect(seals.map(({ sequence }) => sequence)).toEqual(upTo(41));
      expect(new Set(seals.map(({ eventId }) => eventId)).size).toBe(41);
    }
    const all = await app.database.reader.find(AuditSeal, { order: { position: 'ASC' } });
    expect(all.map(({ position }) => position)).toEqual(upTo(await app.database.reader.count(AuditEvent)));
    expect(await app.database.reader.count(UnsealedEvent)).toBe(0);
    expect(await brokenChains(app)).toEqual({});
  });

  it('seals an event after all events that were committed before its transaction began, on any node', async () => {
    const { id } = await buildWorkspace(app);
    const names = upTo(30).map((turn) => `Step ${turn}`);
    const busy = { on: true };
    const sealing = (async () => {
      while (busy.on) await other.sealer.once();
    })();
    for (const [turn, name] of names.entries()) await (turn % 2 === 0 ? app : other).services.workspaces.update(ORIGIN, { id, name });
    busy.on = false;
    await sealing;
    await app.sealer.once();
    const sealed = (await sealedEvents(app, id)).slice(1).map(({ after }) => (JSON.parse(after ?? '') as { name: string }).name);
    expect(sealed).toEqual(names);
  });

  it('lets a reader by position get each event exactly once while others write and seal', async () => {
    const { id } = await buildWorkspace(app);
    const busy = { on: true };
    const read: string[] = [];
    const reading = (async () => {
      for (let after = 0, last = false; !last; ) {
        last = !busy.on;
        if (last) await app.sealer.once();
        for (;;) {
          const page = await readTrail(other.database.reader, { chainId: id, after, limit: 5 });
          read.push(...page.map((event) => event.id));
          if (page.length === 0) break;
          after = page.at(-1)?.position ?? after;
        }
      }
    })();
    const sealing = [app, other].map(async ({ sealer }) => {
      while (busy.on) await sealer.once();
    });
    await Promise.all(
      upTo(6).map(async (writer) => {
        for (let turn = 0; turn < 15; turn += 1)
          await (writer % 2 ? app : other).services.workspaces.update(ORIGIN, { id, name: `${writer} ${turn}` });
      }),
    );
    busy.on = false;
    await Promise.all([...sealing, reading]);
    const written = await app.database.reader.find(AuditEvent, { select: { id: true }, where: { workspaceId: id } });
    expect(read).toHaveLength(91);
    expect([...read].sort()).toEqual(written.map((event) => event.id).sort());
  });

  it('seals no event that was rolled back or is not committed yet', async () => {
    const { id } = await buildWorkspace(app);
    const draft = { ...ORIGIN, action: 'workspace.tested', subject: { id, workspaceId: id }, at: new Date() };
    const undone = app.database.transaction(async (tx) => {
      await recordEvent(tx, draft);
      if (other !== app) await other.sealer.once();
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    await app.sealer.once();
    expect((await sealedEvents(app, id)).map(({ action }) => action)).toEqual(['workspace.created']);
  });

  it('computes the hash over every column of an event, as docs/exports-and-audit-trail.md says', async () => {
    const { id } = await buildChain(app, 2);
    const [first, second] = await sealedEvents(app, id);
    if (!first || !second) throw new Error('They are not sealed.');
    const expected = (sequence: number, previous: string, event: typeof first) => {
      const { workspaceId, actorKind, actorId, action, subjectId, ip, userAgent, before, after, createdAt } = event;
      const text = JSON.stringify([
        id,
        sequence,
        previous,
        event.id,
        workspaceId,
        actorKind,
        actorId,
        action,
        subjectId,
        ip,
        userAgent,
        before,
        after,
        createdAt,
      ]);
      return createHash('sha256').update(text).digest('hex');
    };
    expect([first.hash, second.hash]).toEqual([expected(1, '', first), expected(2, first.hash, second)]);
    const columns = app.database.reader.connection.getMetadata(AuditEvent).columns.map(({ propertyName }) => propertyName);
    expect([...columns].sort()).toEqual([...EVENT_COLUMNS].sort());
  });

  it('adds events from before the trail existed, in order of time, and adds none when the migration is repeated', async () => {
    const { id } = await buildWorkspace(app);
    await app.sealer.once();
    const old = ['b', 'a', 'c'].map((name, index) => ({ id: `evt_old_${name}_${id}`, createdAt: new Date(1_000 + (index > 0 ? 5 : 0)) }));
    const rest = {
      workspaceId: id,
      actorKind: 'OPERATOR',
      actorId: 'operator',
      action: 'workspace.updated',
      subjectId: id,
      ip: null,
      userAgent: null,
      before: null,
      after: null,
    };
    await app.database.transaction(async (tx) => {
      await tx.insert(AuditEvent, old.map((event) => ({ ...event, ...rest })));
      const migration = TEST_DATABASE === 'mysql' ? new MysqlAuditTrail() : new SqliteAuditTrail();
      for (let times = 0; times < 2; times += 1) await migration.up(tx.queryRunner ?? tx.connection.createQueryRunner());
    });
    await app.sealer.once();
    expect((await sealedEvents(app, id)).slice(1).map((event) => event.id)).toEqual(['b', 'a', 'c'].map((name) => `evt_old_${name}_${id}`));
    expect(await brokenChains(app)).toEqual({});
  });
});

describe('the sealer', () => {
  onMysql('does not wait for events that are not committed yet', async () => {
    const { id } = await buildWorkspace(app);
    const committed = await Promise.all(upTo(4).map(() => buildWorkspace(other)));
    let finish = (): void => undefined;
    let begun = (): void => undefined;
    const hasBegun = new Promise<void>((resolve) => (begun = resolve));
    const open = app.database.transaction(async (tx) => {
      await recordEvent(tx, { ...ORIGIN, action: 'workspace.slow', subject: { id, workspaceId: id }, at: await app.database.now(tx) });
      begun();
      await new Promise<void>((resolve) => (finish = resolve));
    });
    await hasBegun;
    await other.sealer.once();
    for (const workspace of committed) expect(await sealsOf(app, workspace.id)).toHaveLength(1);
    finish();
    await open;
    await app.sealer.once();
    expect(await sealsOf(app, id)).toHaveLength(2);
  });

  it('continues after an event that is in the queue twice or already sealed', async () => {
    const { seals } = await buildChain(app, 2);
    const { id } = await buildWorkspace(app);
    const [waiting] = await app.database.reader.findBy(AuditEvent, { workspaceId: id });
    for (const eventId of [seals[0]?.eventId, waiting?.id]) await sql('INSERT INTO unsealed_events (event_id) VALUES (?)', [eventId]);
    await app.sealer.once();
    expect(await sealsOf(app, id)).toHaveLength(1);
    expect(await app.database.reader.count(UnsealedEvent)).toBe(0);
  });
});
