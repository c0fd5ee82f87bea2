import { hashOf, type EventRow, type Link } from '../src/audit/event-hash';
import { AuditEvent } from '../src/audit/event.entity';
import { chainHeads, type ChainHead } from '../src/audit/heads';
import { AuditSeal } from '../src/audit/seal.entities';
import { Sealer } from '../src/audit/sealer';
import { eventsById } from '../src/audit/trail';
import { verifyChain } from '../src/audit/verify';
import { createTestApp, type TestApp } from './support/app';
import { ORIGIN, buildWorkspace } from './support/factories';
import { closeNodes, createNodes } from './support/nodes';
import { brokenChains, buildChain, chainKeys } from './support/trail';

jest.setTimeout(90_000); // other test files use the processors too

let app: TestApp;
/** Another server of the same installation. On SQLite it is the same server, because SQLite allows only one. */
let other: TestApp;

beforeAll(async () => {
  [app, other] = await createNodes({ busy: true });
});

afterAll(() => closeNodes(other, app));

const sql = (text: string, values: unknown[] = []) => app.database.transaction((tx) => tx.query(text, values));

describe('a verification finds and names', () => {
  /** Verifies a chain of five events after `tamper` and returns its faults. Checks that other chains are not affected. */
  async function found(tamper: (seals: AuditSeal[], chain: string) => Promise<unknown>): Promise<string[]> {
    const { id, seals } = await buildChain(app, 5);
    const before = await brokenChains(app);
    await tamper(seals, id);
    const { [id]: faults = [], ...others } = await brokenChains(app);
    expect({ ...others, all: undefined }).toEqual({ ...before, all: undefined }); // `all` counts the seals of every chain
    return faults;
  }
  const eventOf = (seals: AuditSeal[], sequence: number): string => seals[sequence - 1]?.eventId ?? '';

  it.each([
    ['workspace_id', "'ws_other'", 'workspaceId'],
    ['actor_kind', "'SYSTEM2'", 'actorKind'],
    ['actor_id', "'somebody'", 'actorId'],
    ['action', "'workspace.deleted'", 'action'],
    ['subject_id', "'ws_other'", 'subjectId'],
    ['ip', "'10.0.0.1'", 'ip'],
    ['user_agent', "'curl'", 'userAgent'],
    ['before', 'NULL', 'before'],
    ['after', "'{\"name\":\"Other\"}'", 'after'],
    ['after', "'no JSON'", 'after, so that it cannot be read'],
    ['created_at', 'created_at + 1', 'createdAt'],
  ])('a changed %s = %s', async (column, value) => {
    let changed = '';
    const faults = await found(async (seals) => {
      changed = eventOf(seals, 3);
      await sql(`UPDATE audit_events SET \`${column}\` = ${value} WHERE id = ?`, [changed]);
    });
    expect(faults).toEqual([`link 3, event ${changed}: the event and its seal do not match: one of the two was changed`]);
    // Otherwise lists of events fail in later tests
    if (value === "'no JSON'") await sql('UPDATE audit_events SET `after` = NULL WHERE id = ?', [changed]);
  });

  it('a changed hash, and two exchanged hashes', async () => {
    let event = '';
    const changed = await found(async (seals) => {
      event = eventOf(seals, 5);
      await sql('UPDATE audit_seals SET hash = ? WHERE event_id = ?', ['0'.repeat(64), event]);
    });
    expect(changed).toEqual([`link 5, event ${event}: the event and its seal do not match: one of the two was changed`]);
    const swapped = await found(async (seals) => {
      event = eventOf(seals, 2);
      await sql('UPDATE audit_seals SET hash = ? WHERE event_id = ?', [seals[2]?.hash, event]);
      await sql('UPDATE audit_seals SET hash = ? WHERE event_id = ?', [seals[1]?.hash, eventOf(seals, 3)]);
    });
    expect(swapped).toEqual([`link 2, event ${event}: the event and its seal do not match: one of the two was changed`]);
  });

  it('a deleted event', async () => {
    let event = '';
    const faults = await found(async (seals) => {
      event = eventOf(seals, 4);
      await sql('DELETE FROM audit_events WHERE id = ?', [event]);
    });
    expect(faults).toEqual([`link 4, event ${event}: the event is missing`]);
  });

  it.each([
    [1, 'link 1: the seal is missing'],
    [3, 'link 3: the seal is missing'],
    [5, 'link 5: this seal and all later seals are missing'],
  ])('the deleted seal %i, with its event', async (sequence, fault) => {
    const faults = await found(async (seals) => {
      await sql('DELETE FROM audit_events WHERE id = ?', [eventOf(seals, sequence)]);
      await sql('DELETE FROM audit_seals WHERE event_id = ?', [eventOf(seals, sequence)]);
    });
    expect(faults).toEqual([fault]);
  });

  it('a seal that is out of order', async () => {
    let event = '';
    const faults = await found(async (seals) => {
      event = eventOf(seals, 3);
      await sql('UPDATE audit_seals SET position = -position WHERE event_id = ?', [event]);
    });
    expect(faults).toEqual([`link 3, event ${event}: the seal is out of order`]);
  });

  it('an event that is neither sealed nor waiting', async () => {
    let event = '';
    const faults = await found(async (_seals, id) => {
      await app.services.workspaces.update(ORIGIN, { id, name: 'Unseen' });
      event = (await app.database.reader.findOneOrFail(AuditEvent, { where: { workspaceId: id }, order: { id: 'DESC' } })).id;
      await sql('DELETE FROM unsealed_events WHERE event_id = ?', [event]);
    });
    expect(faults).toEqual([`link 6, event ${event}: the event is neither sealed nor waiting to be sealed`]);
  });

  it('a head that was set back, and a deleted head', async () => {
    const back = await found((seals, id) => sql('UPDATE audit_chains SET sequence = 4, hash = ? WHERE id = ?', [seals[3]?.hash, id]));
    expect(back).toEqual(['link 6: the head of the chain was changed']);
    const deleted = await found((_seals, id) => sql('DELETE FROM audit_chains WHERE id = ?', [id]));
    expect(deleted).toEqual(['link 6: the head of the chain is missing']);
  });

  it('a whole deleted chain, and a chain with its end cut off and its head set back', async () => {
    const whole = await buildChain(app, 3);
    const cut = await buildChain(app, 3);
    for (const { eventId } of [...whole.seals, ...cut.seals.slice(1)]) {
      await sql('DELETE FROM audit_events WHERE id = ?', [eventId]);
      await sql('DELETE FROM audit_seals WHERE event_id = ?', [eventId]);
    }
    await sql('DELETE FROM audit_chains WHERE id = ?', [whole.id]);
    await sql('UPDATE audit_chains SET sequence = 1, hash = ? WHERE id = ?', [cut.seals[0]?.hash, cut.id]);
    await buildChain(app, 1); // later events
    const broken = await brokenChains(app);
    expect(broken[whole.id]).toEqual(['the chain and all its events are missing']);
    expect(broken.all).toEqual([expect.stringMatching(/^\d+ of \d+ seals are missing$/)]);
  });

  it('recomputed hashes, also if their macs and the key of the chain were deleted or replaced', async () => {
    const forge = async (seals: AuditSeal[], chain: string) => {
      await sql("UPDATE audit_events SET action = 'no.such' WHERE id = ?", [eventOf(seals, 3)]);
      const events = new Map(
        (
          await eventsById(
            app.database.reader,
            seals.map(({ eventId }) => eventId),
          )
        ).map((event) => [event.id, event]),
      );
      let last: Link = seals[1] as AuditSeal;
      for (const { eventId, sequence } of seals.slice(2)) {
        last = { sequence, hash: hashOf(chain, last, events.get(eventId) as EventRow) };
        await sql('UPDATE audit_seals SET hash = ? WHERE event_id = ?', [last.hash, eventId]);
      }
      await sql('UPDATE audit_chains SET hash = ? WHERE id = ?', [last.hash, chain]);
      return eventOf(seals, 3);
    };
    let event = '';
    const isForged = () => [`link 3, event ${event}: the seal is not authentic: it was made without the key of the chain`];
    expect(await found(async (seals, chain) => (event = await forge(seals, chain)))).toEqual(isForged());
    const without = await found(async (seals, chain) => {
      event = await forge(seals, chain);
      await sql('UPDATE audit_seals SET mac = NULL WHERE chain_id = ?', [chain]);
    });
    expect(without[0]).toContain('the seal is not authentic');
    const other = await buildChain(app, 1);
    for (const key of ['NULL', `(SELECT wrapped_key FROM (SELECT wrapped_key FROM audit_chains WHERE id = '${other.id}') o)`]) {
      const lost = await found(async (seals, chain) => {
        await forge(seals, chain);
        await sql('UPDATE audit_seals SET mac = NULL WHERE chain_id = ?', [chain]);
        await sql(`UPDATE audit_chains SET wrapped_key = ${key} WHERE id = ?`, [chain]);
      });
      expect(lost).toEqual(['link 1: the key of the chain is missing or was changed']);
    }
  });

  it('a chain with its end cut off cleanly, by comparison with its earlier head', async () => {
    const { id, seals } = await buildChain(app, 3);
    const heads: ChainHead[] = [];
    for await (const head of chainHeads(app.database.reader, chainKeys)) if (head.chain === id) heads.push(head);
    expect((await brokenChains(app, heads))[id]).toBeUndefined();
    for (const table of ['audit_seals', 'unsealed_events']) await sql(`DELETE FROM ${table} WHERE event_id = ?`, [eventOf(seals, 3)]);
    await sql('DELETE FROM audit_events WHERE id = ?', [eventOf(seals, 3)]);
    await sql('UPDATE audit_chains SET sequence = 2, hash = ? WHERE id = ?', [seals[1]?.hash, id]);
    expect((await brokenChains(app))[id]).toBeUndefined();
    expect((await brokenChains(app, heads))[id]).toEqual(['link 3 is in the file of heads but not in the chain: the chain was cut off']);
    await app.services.workspaces.update(ORIGIN, { id, name: 'Another' });
    await app.sealer.once();
    expect((await brokenChains(app, heads))[id]).toEqual(['link 3 is not the one in the file of heads: the chain was rewritten']);
  });

  it('an event that was deleted before it was sealed', async () => {
    const { id } = await buildChain(app, 1);
    await app.services.workspaces.update(ORIGIN, { id, name: 'Taken' });
    const event = (await app.database.reader.findOneOrFail(AuditEvent, { where: { workspaceId: id }, order: { id: 'DESC' } })).id;
    await sql('DELETE FROM audit_events WHERE id = ?', [event]);
    await app.sealer.once();
    expect((await brokenChains(app)).installation).toEqual([
      expect.stringContaining(`event ${event}: the event was waiting to be sealed, and is missing`),
    ]);
    await sql('DELETE FROM unsealed_events WHERE event_id = ?', [event]);
  });

  it('no fault while events are written and sealed', async () => {
    const { id } = await buildWorkspace(app);
    const busy = { on: true };
    const sealing = (async () => {
      while (busy.on) await app.sealer.once();
    })();
    const verifying = (async () => {
      while (busy.on) expect((await verifyChain(other.database.reader, chainKeys, id)).firstBroken).toBeNull();
    })();
    for (let turn = 0; turn < 60; turn += 1) await app.services.workspaces.update(ORIGIN, { id, name: `Turn ${turn}` });
    busy.on = false;
    await Promise.all([sealing, verifying]);
  });
});

describe('a verification in parts', () => {
  it('continues after the previous part, and reports the last part as complete', async () => {
    const { id, seals } = await buildChain(app, 5);
    const part = (after: number) => verifyChain(app.database.reader, chainKeys, id, { after, first: 2 });
    expect([await part(0), await part(2), await part(4)]).toEqual([
      { checked: 2, verifiedTo: 2, keyedFrom: 1, complete: false, firstBroken: null },
      { checked: 2, verifiedTo: 4, keyedFrom: 1, complete: false, firstBroken: null },
      { checked: 1, verifiedTo: 5, keyedFrom: 1, complete: true, firstBroken: null },
    ]);
    await sql('UPDATE audit_events SET action = ? WHERE id = ?', ['no.such', seals[3]?.eventId]);
    expect(await part(2)).toMatchObject({
      checked: 1,
      verifiedTo: 3,
      complete: true,
      firstBroken: { sequence: 4, eventId: seals[3]?.eventId },
    });
  });
});

describe('chains of the previous version, which has no keys,', () => {
  let older: TestApp;
  beforeAll(async () => {
    older = await createTestApp();
  });
  afterAll(() => older.close());

  const at = (text: string, values: unknown[] = []) => older.database.transaction((tx) => tx.query(text, values));
  const warned: string[] = [];
  const log = { warn: (_properties: object, message: string) => void warned.push(message) };
  /** The sealer of a process of this version that has just started. */
  const started = () => new Sealer({ database: older.database, keys: chainKeys, log: log as never });
  const verified = (id: string) => verifyChain(older.database.reader, chainKeys, id);
  /** Writes and seals an event as the previous version does. */
  const sealAsBefore = async (id: string, name: string) => {
    await older.services.workspaces.update(ORIGIN, { id, name });
    await older.sealer.once();
    await at('UPDATE audit_seals SET mac = NULL WHERE chain_id = ? AND sequence = (SELECT sequence FROM audit_chains WHERE id = ?)', [
      id,
      id,
    ]);
  };

  it('continue for a day beside processes of that version, and afterwards every seal must be authentic', async () => {
    const [{ id }, { id: quiet }] = [await buildWorkspace(older), await buildWorkspace(older)];
    await older.services.workspaces.update(ORIGIN, { id, name: 'Old' });
    await older.sealer.once();
    await at('UPDATE audit_seals SET mac = NULL');
    await at('UPDATE audit_chains SET wrapped_key = NULL');
    expect(await verified(id)).toMatchObject({ verifiedTo: 2, keyedFrom: null, firstBroken: null });

    await started().once();
    expect(warned).toContainEqual(expect.stringContaining('seals without a secret are taken over'));
    for (const chain of [id, quiet]) expect(await verified(chain)).toMatchObject({ keyedFrom: chain === id ? 2 : 1, firstBroken: null });
    await sealAsBefore(id, 'Beside');
    expect(await brokenChains(older)).toEqual({});
    await started().once();
    expect(await verified(id)).toMatchObject({ verifiedTo: 3, keyedFrom: 3, firstBroken: null });

    older.travel(24 * 60 * 60_000);
    await started().once();
    warned.length = 0;
    await older.services.workspaces.update(ORIGIN, { id, name: 'After' });
    await started().once();
    expect(await brokenChains(older)).toEqual({});
    await sealAsBefore(id, 'Too late');
    await started().once();
    expect(warned).toEqual([]);
    expect((await verified(id)).firstBroken).toMatchObject({ sequence: 5, reason: expect.stringContaining('not authentic') });
    await at("UPDATE audit_events SET action = 'no.such' WHERE workspace_id = ?", [quiet]);
    expect((await verified(quiet)).firstBroken).toMatchObject({ sequence: 1 });
  });
});
