import { AuditEvent } from '../src/audit/event.entity';
import { outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { buildServiceAccount, buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';

// New secrets for service accounts: how long the replaced secret works, and when a rotation is due.

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

let app: TestApp;
let mutate: ReturnType<typeof mutations>['mutate'];
let refusal: ReturnType<typeof mutations>['refusal'];

beforeAll(async () => {
  app = await createTestApp();
  ({ mutate, refusal } = mutations(app));
});

afterAll(() => app.close());

const eventsOf = (subjectId: string, action: string) => app.database.reader.findBy(AuditEvent, { subjectId, action });

describe('a rotation', () => {
  it('keeps the replaced secret working for exactly 24 hours, and shows its end', async () => {
    const { secret, account } = await buildServiceAccount(app);
    const { secret: next, serviceAccount } = await mutate(
      'rotateServiceAccountKey',
      { id: account.id },
      'secret serviceAccount { hint rotatedAt previousSecretsValidUntil }',
    );
    expect(serviceAccount.hint).toBe(`acme_svc_...${next.slice(-4)}`);
    expect(Date.parse(serviceAccount.previousSecretsValidUntil) - Date.parse(serviceAccount.rotatedAt)).toBe(DAY_MS);
    app.travel(DAY_MS - HOUR_MS);
    for (const one of [secret, next]) expect(outcomeOf(await app.rest({ secret: one }))).toBe('200 ok');
    app.travel(HOUR_MS);
    expect(outcomeOf(await app.rest({ secret }))).toBe('401 REVOKED_API_KEY');
    expect(outcomeOf(await app.rest({ secret: next }))).toBe('200 ok');
  });

  it('never extends an older secret, even with a longer grace', async () => {
    const { secret: first, account } = await buildServiceAccount(app);
    const rotate = async (graceSeconds: number) =>
      (await mutate('rotateServiceAccountKey', { id: account.id, graceSeconds }, 'secret')).secret as string;
    const second = await rotate(60 * 60);
    const third = await rotate(30 * 24 * 60 * 60);
    app.travel(HOUR_MS);
    expect(outcomeOf(await app.rest({ secret: first }))).toBe('401 REVOKED_API_KEY');
    expect(outcomeOf(await app.rest({ secret: second }))).toBe('200 ok');
    const fourth = await rotate(60); // a shorter grace applies to all older secrets
    app.travel(60_000);
    for (const one of [first, second, third]) expect(outcomeOf(await app.rest({ secret: one }))).toBe('401 REVOKED_API_KEY');
    expect(outcomeOf(await app.rest({ secret: fourth }))).toBe('200 ok');
  });

  it('without grace ends all older secrets, even if the clock goes back', async () => {
    const { secret: first, account } = await buildServiceAccount(app);
    const { secret: second } = await mutate('rotateServiceAccountKey', { id: account.id, graceSeconds: 2_592_000 }, 'secret');
    const { secret: third } = await mutate('rotateServiceAccountKey', { id: account.id, graceSeconds: 0 }, 'secret');
    app.travel(-HOUR_MS);
    for (const one of [first, second]) expect(outcomeOf(await app.rest({ secret: one }))).toBe('401 REVOKED_API_KEY');
    expect(outcomeOf(await app.rest({ secret: third }))).toBe('200 ok');
    app.travel(HOUR_MS);
  });

  it('has a grace of at most 30 days', async () => {
    const { account } = await buildServiceAccount(app);
    for (const graceSeconds of [-1, 2_592_001])
      expect((await refusal('rotateServiceAccountKey', { id: account.id, graceSeconds })).code).toBe('INVALID_REQUEST');
  });

  it('that is due does not stop the secret: the status and one event show each due rotation', async () => {
    const workspace = await buildWorkspace(app);
    const { secret, account } = await buildServiceAccount(app, { workspace, rotationDays: 10 });
    const shown = async () => {
      await app.rotations.once();
      await app.rotations.once();
      const query = `query ($id: ID!, $due: ServiceAccountFilter, $over: ServiceAccountFilter, $ok: ServiceAccountFilter) {
        workspace(id: $id) {
          due: serviceAccounts(filter: $due) { nodes { rotationStatus } }
          over: serviceAccounts(filter: $over) { nodes { rotationStatus } }
          ok: serviceAccounts(filter: $ok) { nodes { rotationStatus } }
        }
      }`;
      const { data } = await app.graphql(query, {
        id: workspace.id,
        due: { rotation: ['DUE'] },
        over: { rotation: ['OVERDUE'] },
        ok: { rotation: ['OK'], enabled: true },
      });
      const statuses = [data.workspace.ok, data.workspace.due, data.workspace.over].map(({ nodes }) =>
        nodes.map((node: { rotationStatus: string }) => node.rotationStatus),
      );
      return [...statuses, (await eventsOf(account.id, 'service-account.rotation-due')).length, outcomeOf(await app.rest({ secret }))];
    };
    app.travel(10 * DAY_MS - HOUR_MS);
    expect(await shown()).toEqual([['OK'], [], [], 0, '200 ok']);
    app.travel(HOUR_MS);
    expect(await shown()).toEqual([[], ['DUE'], [], 1, '200 ok']);
    app.travel(7 * DAY_MS);
    expect(await shown()).toEqual([[], [], ['OVERDUE'], 1, '200 ok']);
    await mutate('rotateServiceAccountKey', { id: account.id }, '__typename');
    expect(await shown()).toEqual([['OK'], [], [], 1, '200 ok']);
    app.travel(10 * DAY_MS);
    expect((await shown()).slice(0, 4)).toEqual([[], ['DUE'], [], 2]);
    const [event] = await eventsOf(account.id, 'service-account.rotation-due');
    expect(event).toMatchObject({ actorKind: 'SYSTEM', workspaceId: workspace.id, before: null, after: { name: 'Robot' } });
  });

  it('that becomes due again after a change of the rotation days has a second event', async () => {
    const { account } = await buildServiceAccount(app, { rotationDays: 1 });
    app.travel(DAY_MS);
    await app.rotations.once();
    await mutate('updateServiceAccount', { id: account.id, rotationDays: 3 }, '__typename');
    await app.rotations.once();
    expect(await eventsOf(account.id, 'service-account.rotation-due')).toHaveLength(1);
    app.travel(2 * DAY_MS);
    await app.rotations.once();
    expect(await eventsOf(account.id, 'service-account.rotation-due')).toHaveLength(2);
  });
});
