import { BUILT_IN_ACTIONS } from '../src/actions/built-in';
import { AuditEvent } from '../src/audit/event.entity';
import type { ApiKey } from '../src/keys/key.entity';
import type { Workspace } from '../src/tenancy/workspace.entity';
import { createTestApp, type TestApp } from './support/app';
import { ORIGIN, buildKey, buildWorkspace, ghostOf } from './support/factories';

// Audit events in the admin API, and the permissions to read them.

let app: TestApp;
let workspace: Workspace;
/** A key that may read the trail of the workspace, a key that may not, and a key of another tenant. */
let reader: { key: ApiKey; secret: string };
let keeper: { secret: string };
let stranger: { secret: string };

beforeAll(async () => {
  app = await createTestApp();
  workspace = await buildWorkspace(app);
  reader = await buildKey(app, { workspace, permissions: ['read.audit', 'read.keys'] });
  keeper = await buildKey(app, { workspace, permissions: ['read.keys'] });
  stranger = await buildKey(app, { permissions: ['read'] });
  await app.graphql('mutation ($id: ID!) { updateKey(input: { id: $id, name: "Renamed" }) { key { id } } }', { id: reader.key.id });
  await app.services.actions.create(ORIGIN, {
    service: 'face',
    name: 'face.find',
    permission: 'face.find',
    priceMicroCredits: 1,
    upstreamUrl: 'https://face.example/',
  });
  await app.sealer.once();
});

afterAll(() => app.close());

const FIELDS = 'id workspaceId actorKind actorId action subjectId ip userAgent before after createdAt sequence hash';
const IN_WORKSPACE = `query ($id: ID!, $filter: AuditEventFilter) {
  workspace(id: $id) { auditEvents(first: 100, filter: $filter) { nodes { ${FIELDS} } } }
}`;
type Seen = Omit<AuditEvent, 'createdAt'> & { createdAt: string; sequence: number | null; hash: string | null };

async function eventsIn(filter: Record<string, unknown> = {}, secret = reader.secret): Promise<Seen[]> {
  const { data, errors } = await app.graphql(IN_WORKSPACE, { id: workspace.id, filter }, secret);
  expect(errors).toBeUndefined();
  return data.workspace.auditEvents.nodes;
}

const codesOf = ({ errors }: Awaited<ReturnType<TestApp['graphql']>>) => errors?.map(({ extensions }) => extensions.code);

describe('the events of a workspace', () => {
  it('are listed newest first, with actor, action, origin, changes and their place in the chain', async () => {
    const events = await eventsIn();
    expect(events[0]).toEqual({
      id: expect.stringMatching(/^evt_/),
      workspaceId: workspace.id,
      actorKind: 'OPERATOR',
      actorId: 'operator',
      action: 'key.updated',
      subjectId: reader.key.id,
      ip: '127.0.0.1',
      userAgent: expect.any(String),
      before: { name: 'Key' },
      after: { name: 'Renamed' },
      createdAt: expect.stringMatching(/Z$/),
      sequence: events.length,
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(events.map(({ createdAt }) => createdAt)).toEqual(events.map(({ createdAt }) => createdAt).sort().reverse());
    expect(events.at(-1)).toMatchObject({ action: 'workspace.created', sequence: 1 });
  });

  it('are visible before they are sealed, without a place in the chain', async () => {
    await app.services.workspaces.update(ORIGIN, { id: workspace.id, name: 'Not yet' });
    expect((await eventsIn())[0]).toMatchObject({ after: { name: 'Not yet' }, sequence: null, hash: null });
    await app.sealer.once();
    expect((await eventsIn())[0]).toMatchObject({ after: { name: 'Not yet' }, sequence: expect.any(Number), hash: expect.any(String) });
  });

  it('can be filtered by action, actor, subject and time', async () => {
    const all = await eventsIn();
    const expectOnly = async (filter: Record<string, unknown>, holds: (event: Seen) => boolean) => {
      const found = await eventsIn(filter);
      expect(found).toEqual(all.filter(holds));
      expect(found.length).toBeGreaterThan(0);
      expect(found.length).toBeLessThan(all.length);
    };
    await expectOnly({ action: ['key.updated', 'key.minted'] }, ({ action }) => action.startsWith('key.'));
    await expectOnly({ actorId: ['operator'] }, ({ actorId }) => actorId === 'operator');
    await expectOnly({ subjectId: [reader.key.id] }, ({ subjectId }) => subjectId === reader.key.id);
    const at = all[0]?.createdAt ?? '';
    await expectOnly({ from: at }, ({ createdAt }) => createdAt >= at);
    await expectOnly({ to: at }, ({ createdAt }) => createdAt < at);
    expect(await eventsIn({ action: [] })).toEqual([]);
  });

  it('need read.audit: other members get FORBIDDEN, and other tenants do not see the workspace', async () => {
    const denied = await app.graphql(IN_WORKSPACE, { id: workspace.id }, keeper.secret);
    expect([denied.data.workspace.auditEvents, codesOf(denied)]).toEqual([null, ['FORBIDDEN']]);
    expect((await app.graphql(IN_WORKSPACE, { id: workspace.id }, stranger.secret)).data).toEqual({ workspace: null });
  });
});

it('the events of a key are the events with this key as their subject', async () => {
  const query = `query ($id: ID!) { key(id: $id) { auditEvents { nodes { ${FIELDS} } } } }`;
  const { data } = await app.graphql(query, { id: reader.key.id }, reader.secret);
  expect(data.key.auditEvents.nodes.map(({ action }: Seen) => action)).toEqual(['key.updated', 'key.minted']);
  expect(codesOf(await app.graphql(query, { id: reader.key.id }, keeper.secret))).toEqual(['FORBIDDEN']);
});

it('only the operator can read all events, including events of the installation', async () => {
  const query = `{ auditEvents(first: 100) { nodes { ${FIELDS} } } }`;
  const { data } = await app.graphql(query);
  const nodes = data.auditEvents.nodes as Seen[];
  const ofInstallation = nodes
    .filter(({ workspaceId }) => workspaceId === null)
    .map(({ action, actorId, sequence }) => [action, actorId, sequence]);
  expect(ofInstallation).toEqual([
    ['action.created', 'tests', 3],
    ['action.created', 'installation', 2],
    ['action.created', 'installation', 1],
  ]);
  expect(new Set(nodes.map(({ workspaceId }) => workspaceId)).size).toBe(3);
  expect(codesOf(await app.graphql(query, {}, reader.secret))).toEqual(['FORBIDDEN']);
});

it('each built-in action has exactly one creation event, even if several nodes start', async () => {
  const again = await createTestApp({ databaseUrl: app.databaseUrl });
  await again.close();
  const events = await app.database.reader.find(AuditEvent, {
    where: { action: 'action.created', actorId: 'installation' },
    order: { subjectId: 'ASC' },
  });
  expect(events.map(({ actorId, subjectId, workspaceId, after }) => ({ actorId, subjectId, workspaceId, after }))).toEqual(
    BUILT_IN_ACTIONS.map(({ id, service, name, priceMicroCredits, permission, timeoutMs }) => ({
      actorId: 'installation',
      subjectId: id,
      workspaceId: null,
      after: { service, name, priceMicroCredits, permission, timeoutMs },
    })),
  );
});

it('an event can be read by its id with read.audit, and is null for other tenants', async () => {
  const node = async (id: string | undefined, secret: string) =>
    app.graphql('query ($id: ID!) { node(id: $id) { id ... on AuditEvent { action } } }', { id }, secret);
  const [event] = await eventsIn();
  expect((await node(event?.id, reader.secret)).data.node).toEqual({ id: event?.id, action: event?.action });
  expect((await node(event?.id, stranger.secret)).data.node).toBeNull();
  expect(codesOf(await node(event?.id, keeper.secret))).toEqual(['FORBIDDEN']);
  const { data } = await app.graphql('{ auditEvents(filter: { action: ["action.created"] }) { nodes { id } } }');
  const { id } = data.auditEvents.nodes[0];
  expect((await node(id, app.rootKey)).data.node).toEqual({ id, action: 'action.created' });
  expect((await node(id, reader.secret)).data.node).toBeNull();
});

describe('a chain', () => {
  const CHAIN = `query ($id: ID, $after: Int, $first: Int) {
    auditChain(workspaceId: $id) {
      length headHash
      verify(after: $after, first: $first) { checked verifiedTo complete firstBroken { sequence eventId reason } }
    }
  }`;

  it('can be verified as a whole or in parts', async () => {
    const events = await eventsIn();
    const length = events.length;
    const { data } = await app.graphql(CHAIN, { id: workspace.id }, reader.secret);
    expect(data.auditChain).toEqual({
      length,
      headHash: events[0]?.hash,
      verify: { checked: length, verifiedTo: length, complete: true, firstBroken: null },
    });
    const part = await app.graphql(CHAIN, { id: workspace.id, after: 1, first: 1 }, reader.secret);
    expect(part.data.auditChain.verify).toEqual({ checked: 1, verifiedTo: 2, complete: false, firstBroken: null });
  });

  it('of the installation is for the operator only; the chain of an unknown workspace is null', async () => {
    expect((await app.graphql(CHAIN)).data.auditChain).toMatchObject({ length: 3, verify: { complete: true, firstBroken: null } });
    expect(codesOf(await app.graphql(CHAIN, {}, reader.secret))).toEqual(['FORBIDDEN']);
    expect(codesOf(await app.graphql(CHAIN, { id: workspace.id }, keeper.secret))).toEqual(['FORBIDDEN']);
    for (const id of [workspace.id, ghostOf(workspace.id)])
      expect((await app.graphql(CHAIN, { id }, stranger.secret)).data.auditChain).toBeNull();
    expect((await app.graphql(CHAIN, { id: ghostOf(workspace.id) })).data.auditChain).toBeNull();
  });

  it('that was broken reports the place and the reason', async () => {
    const { id } = await buildWorkspace(app);
    await app.sealer.once();
    await app.database.transaction((tx) => tx.query("UPDATE audit_events SET actor_id = 'nobody' WHERE subject_id = ?", [id]));
    const { data } = await app.graphql(CHAIN, { id });
    expect(data.auditChain.verify).toEqual({
      checked: 0,
      verifiedTo: 0,
      complete: true,
      firstBroken: { sequence: 1, eventId: expect.stringMatching(/^evt_/), reason: expect.stringContaining('do not match') },
    });
  });

  it.each([
    [{ after: -1 }, 'after'],
    [{ after: 1_000_000 }, 'after'],
    [{ first: 0 }, 'first'],
    [{ first: 10_001 }, 'first'],
  ])('refuses %j, and names the argument', async (args, path) => {
    const { errors } = await app.graphql(CHAIN, { id: workspace.id, ...args });
    expect(errors?.map(({ extensions }) => extensions)).toEqual([
      { code: 'INVALID_REQUEST', issues: [{ path: [path], message: expect.any(String) }] },
    ]);
  });
});
