import type { TestApp } from './support/app';
import type { Credential } from './support/clients';
import { ORIGIN, buildKey, buildProject, buildServiceAccount, buildWorkspace, ghostOf } from './support/factories';
import { send } from './support/http';
import { closeNodes, createNodes } from './support/nodes';
import { buildPerson } from './support/people';
import { BUDGETS, LOGGED, WAYS, following, logIds, untilOpen, type Followed } from './support/streams';
import { until } from './support/until';

jest.setTimeout(120_000); // other test files use the processors too

// Subscriptions, mostly to changes on another node. With SQLite one server plays both nodes.

let a: TestApp;
let b: TestApp;
const open: Followed[] = [];

beforeAll(async () => {
  [a, b] = await createNodes({ busy: true });
  a.sealer.start();
});
afterEach(() => open.splice(0).forEach((stream) => stream.stop()));
afterAll(() => closeNodes(b, a));

const KEYS = `subscription ($workspaceId: ID!, $filter: KeyChangeFilter, $after: String) {
  keyChanged(workspaceId: $workspaceId, filter: $filter, after: $after) { cursor action key { id name status } }
}`;
const EVENTS = `subscription ($workspaceId: ID, $filter: AuditEventFilter, $after: String) {
  auditEventAdded(workspaceId: $workspaceId, filter: $filter, after: $after) { cursor auditEvent { id action subjectId sequence } }
}`;

const rename = (id: string, name: string) => b.services.workspaces.update(ORIGIN, { id, name });

/** The number of events before the stream was open. Does not count the first in the chain, the creation of the workspace. */
const untold = ({ events }: Followed): number => events[0].auditEventAdded.auditEvent.sequence - 2;

describe.each(WAYS)('over %s', (_way, way) => {
  const follow = following(way, open, () => a);

  it('requestLogged sends each call that matches the filter once, with its key and project', async () => {
    const workspace = await buildWorkspace(a);
    const { key, secret, project } = await buildKey(a, { workspace });
    const other = await buildKey(a, { workspace });
    const stream = follow(LOGGED, { workspaceId: workspace.id, filter: { keyId: [key.id], outcome: ['FAILED', 'SUCCEEDED'] } });
    await untilOpen(stream, () => b.rest({ secret }));
    await b.rest({ secret: other.secret });
    await b.rest({ secret, body: { action: 'demo.fail' } });
    await until(() => stream.events.some(({ requestLogged }) => requestLogged.requestLog.outcome === 'FAILED'), 'the call that failed');
    expect(new Set(logIds(stream)).size).toBe(stream.events.length);
    for (const { requestLogged } of stream.events)
      expect(requestLogged.requestLog).toMatchObject({ key: { name: 'Key', status: 'ACTIVE' }, project: { id: project.id } });
    expect(stream.errors).toEqual([]);
  });

  it('budgetChanged begins with the current budgets, and sends the newest state of each changed budget', async () => {
    const workspace = await buildWorkspace(a);
    const { secret, project } = await buildKey(a, { workspace, budget: 10_000 });
    const other = await buildProject(a, { workspace, budget: 5_000 });
    const stream = follow(BUDGETS, { workspaceId: workspace.id });
    await stream.arrived(2);
    const states = Object.fromEntries(stream.events.map(({ budgetChanged }) => [budgetChanged.project.id, budgetChanged.budget.balance]));
    expect(states).toEqual({ [project.id]: 10_000, [other.id]: 5_000 });
    for (let call = 0; call < 3; call += 1) await b.rest({ secret });
    await until(
      () => stream.events.at(-1).budgetChanged.budget.balance === 7_000 && stream.events.at(-1).budgetChanged.budget.held === 0,
      'the newest state',
    );
    expect(stream.events.at(-1).budgetChanged).toMatchObject({ project: { id: project.id }, newestEntryId: expect.stringMatching(/_4$/) });
    const chosen = follow(BUDGETS, { workspaceId: workspace.id, filter: { projectId: [other.id, (await buildProject(a)).id] } });
    await chosen.arrived(1);
    expect(chosen.events).toEqual([
      expect.objectContaining({ budgetChanged: expect.objectContaining({ project: { id: other.id, name: 'Project' } }) }),
    ]);
  });

  it('keyChanged sends the changes of keys, and continues after a cursor', async () => {
    const workspace = await buildWorkspace(a);
    const { key } = await buildKey(a, { workspace });
    const first = follow(KEYS, { workspaceId: workspace.id, filter: { keyId: [key.id] } });
    await untilOpen(first, () => b.services.keys.update(ORIGIN, { id: key.id, name: `Name ${Math.random()}` }));
    first.stop();
    await until(
      async () => Number((await a.database.reader.query('SELECT COUNT(*) AS waiting FROM unsealed_events'))[0].waiting) === 0,
      'all to be sealed',
    );
    const { cursor } = first.events.at(-1).keyChanged;
    const seen = first.events.length;
    await b.services.keys.rotate(ORIGIN, { id: key.id });
    await b.services.keys.revoke(ORIGIN, { id: key.id });
    const second = follow(KEYS, { workspaceId: workspace.id, filter: { keyId: [key.id] }, after: cursor }, b.rootKey, b);
    await until(() => second.events.at(-1)?.keyChanged.action === 'key.revoked', 'the revocation');
    expect(second.events.slice(-2).map(({ keyChanged }) => keyChanged.action)).toEqual(['key.rotated', 'key.revoked']);
    expect(second.events.at(-1).keyChanged.key).toMatchObject({ id: key.id, status: 'REVOKED' });
    expect(seen).toBeGreaterThan(0);
  });

  it('auditEventAdded misses and repeats no event if a second reader continues at the cursor of the first', async () => {
    const workspace = await buildWorkspace(a);
    const scope = { workspaceId: workspace.id, filter: { action: ['workspace.updated'] } };
    const first = follow(EVENTS, scope);
    let name = 0;
    await untilOpen(first, () => rename(workspace.id, `Name ${(name += 1)}`));
    first.stop();
    const before = [...first.events]; // an event may still arrive after the cursor was read
    const missed = untold(first);
    for (let turn = 0; turn < 5; turn += 1) await rename(workspace.id, `Name ${(name += 1)}`);
    const second = follow(EVENTS, { ...scope, after: before.at(-1).auditEventAdded.cursor }, b.rootKey, b);
    await rename(workspace.id, 'The last');
    await until(() => before.length + second.events.length >= name + 1 - missed, 'every event');
    const told = [...before, ...second.events].map(({ auditEventAdded }) => auditEventAdded.auditEvent.sequence as number);
    expect(told).toEqual(told.map((_, index) => (told[0] as number) + index));
    expect(second.events.length).toBeGreaterThanOrEqual(6);
  });

  it('is refused without a credential, for unknown or forbidden workspaces, for other operations, and for a wrong cursor', async () => {
    const workspace = await buildWorkspace(a);
    const { secret } = await buildKey(a, { workspace, permissions: ['read.keys'] });
    const foreign = await buildWorkspace(a);
    const codeOf = async (query: string, variables: Record<string, unknown>, credential: Credential = secret) => {
      const stream = follow(query, variables, credential);
      await stream.over();
      expect(stream.events).toEqual([]);
      return stream.errors[0]?.code ?? `${stream.ended?.code ?? stream.ended?.reason}`;
    };
    expect(await codeOf(KEYS, { workspaceId: workspace.id }, null)).toMatch(/4401|UNAUTHENTICATED|Unauthorized/);
    expect(await codeOf(KEYS, { workspaceId: foreign.id })).toBe('NOT_FOUND');
    expect(await codeOf(KEYS, { workspaceId: ghostOf(workspace.id) }, a.rootKey)).toBe('NOT_FOUND');
    expect(await codeOf(LOGGED, { workspaceId: workspace.id })).toBe('FORBIDDEN');
    expect(await codeOf(EVENTS, {})).toBe('FORBIDDEN');
    expect(await codeOf('{ viewer { id } }', {})).toBe('INVALID_REQUEST');
    expect(await codeOf('subscription { nothing', {})).toBe('GRAPHQL_PARSE_FAILED');
    expect(await codeOf('subscription { nothing }', {})).toBe('GRAPHQL_VALIDATION_FAILED');
    const circle = Array.from({ length: 199 }, (_, index) => `fragment F${index} on Subscription { ...F${(index + 1) % 199} }`).join(' ');
    expect(await codeOf(`subscription { ...F0 ...F100 } ${circle}`, {})).toBe('GRAPHQL_VALIDATION_FAILED');
    expect(await codeOf(KEYS, {})).toBe('INVALID_REQUEST');
    for (const after of ['nonsense', Buffer.from('["trail",999999999,"x"]').toString('base64url')]) {
      expect(await codeOf(KEYS, { workspaceId: workspace.id, after })).toBe('INVALID_REQUEST');
      expect(await codeOf(LOGGED, { workspaceId: workspace.id, after }, a.rootKey)).toBe('INVALID_REQUEST');
    }
  });

  interface Tools {
    keyId: string;
    projectId: string;
    personId: string;
    accountId: string;
    workspaceId: string;
    cookie: Credential;
  }
  const lowerRole = async ({ personId: userId, workspaceId }: Tools) => {
    const role = await b.services.roles.create(ORIGIN, { workspaceId, name: 'Looks at keys', permissions: ['read.keys'] });
    await b.services.members.setRole(ORIGIN, { userId, workspaceId, roleId: role.id });
  };
  const endings: [string, (tools: Tools) => Promise<unknown>, 'key' | 'person' | 'account'][] = [
    ['a key is revoked', ({ keyId }) => b.services.keys.revoke(ORIGIN, { id: keyId }), 'key'],
    ['a key loses the permission', ({ keyId }) => b.services.keys.update(ORIGIN, { id: keyId, permissions: ['read.keys'] }), 'key'],
    ['the project of a key is archived', ({ projectId: id }) => b.services.projects.archive(ORIGIN, { id }), 'key'],
    ['a member is removed', ({ personId: userId, workspaceId }) => b.services.members.remove(ORIGIN, { userId, workspaceId }), 'person'],
    ['a member gets a lesser role', lowerRole, 'person'],
    ['a session ends', ({ cookie }) => b.graphql('mutation { signOut { session { id } } }', {}, cookie), 'person'],
    ['a service account is disabled', ({ accountId: id }) => b.services.serviceAccounts.disable(ORIGIN, { id }), 'account'],
    [
      'a service account gets a new secret without grace',
      ({ accountId: id }) => b.services.serviceAccounts.rotate(ORIGIN, { id, graceSeconds: 0 }),
      'account',
    ],
  ];
  it.each(endings)('ends when %s on another node', async (_what, end, kind) => {
    const workspace = await buildWorkspace(a);
    await buildPerson(a, { workspace }); // an owner remains
    const { person, cookie } = await buildPerson(a, { workspace });
    const permissions = ['read.wallet', 'read.keys'];
    const { key, secret, project: keys } = await buildKey(a, { workspace, permissions });
    const { account, secret: ofAccount } = await buildServiceAccount(a, { workspace, permissions });
    const project = await buildProject(a, { workspace });
    const stream = follow(BUDGETS, { workspaceId: workspace.id }, { key: secret, person: cookie, account: ofAccount }[kind]);
    await stream.arrived(1);
    await end({ keyId: key.id, projectId: keys.id, personId: person.id, accountId: account.id, workspaceId: workspace.id, cookie });
    const told = stream.events.length;
    await stream.over();
    expect(String(stream.errors[0]?.code ?? stream.ended?.code)).toMatch(/^(FORBIDDEN|NOT_FOUND|UNAUTHENTICATED|4401)$/);
    await b.services.wallets.allocate(ORIGIN, { projectId: project.id, amount: -1 });
    expect(stream.events.length).toBe(told);
  });
});

it('a subscription sent as a plain request is refused with the address for streams', async () => {
  const { status, errors } = await a.graphql(EVENTS);
  expect([status, errors?.[0]?.extensions.code, errors?.[0]?.extensions.issues?.[0]?.message]).toEqual([
    400,
    'INVALID_REQUEST',
    expect.stringContaining('/graphql/stream'),
  ]);
});

it('a page of another site cannot open a stream with the cookie of a person', async () => {
  const { cookie, workspace } = await buildPerson(a);
  const query = `subscription { budgetChanged(workspaceId: "${workspace.id}") { newestEntryId } }`;
  const path = `/graphql/stream?query=${encodeURIComponent(query)}`;
  expect(await send(a.url, { path, headers: { accept: 'text/event-stream', ...cookie, origin: 'https://evil.example' } })).toMatchObject({
    status: 403,
  });
  expect(await send(a.url, { path, headers: { accept: 'application/json', ...cookie } })).toMatchObject({
    status: 400,
    body: { errors: [{ extensions: { code: 'INVALID_REQUEST' } }] },
  });
});
