import { AuditEvent } from '../src/audit/event.entity';
import { createTestApp, type TestApp } from './support/app';
import { buildKey, buildProject, buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';
import { buildPerson } from './support/people';

// Security faults that were found in other products of this kind.

let app: TestApp;
let mutate: ReturnType<typeof mutations>['mutate'];
let refusal: ReturnType<typeof mutations>['refusal'];

beforeAll(async () => {
  app = await createTestApp();
  ({ mutate, refusal } = mutations(app));
});

afterAll(() => app.close());

describe('security faults of other products', () => {
  it('a key is never accepted as the root key, whatever its permissions, and the root key is never accepted as a key', async () => {
    for (const permissions of [['demo.*'], ['admin'], ['admin', 'admin.*', 'write.*', 'read.*', 'demo.*']]) {
      const { secret } = await buildKey(app, { permissions });
      const { data } = await app.graphql('{ viewer { kind permissions } }', {}, secret);
      expect(data.viewer).toEqual({ kind: 'API_KEY', permissions });
      const workspace = { name: 'Mine', slug: `mine-${permissions.length}` };
      expect(await refusal('createWorkspace', workspace, secret)).toMatchObject({ code: 'FORBIDDEN' });
      const topUp = { workspaceId: 'ws_any', amount: 1, reference: 'mine' };
      expect(await refusal('topUpWallet', topUp, secret)).toMatchObject({ code: 'FORBIDDEN' });
    }
    expect(await app.rest({ secret: app.rootKey })).toMatchObject({ status: 401, body: { error: { code: 'INVALID_API_KEY' } } });
  });

  it('a caller cannot rotate, change or revoke a key of another tenant by its id', async () => {
    const { key, secret: theirs } = await buildKey(app);
    const { cookie } = await buildPerson(app);
    const { secret: ours } = await buildKey(app, { permissions: ['admin', 'demo.*'] });
    for (const credential of [cookie, ours]) {
      for (const mutation of ['rotateKey', 'updateKey', 'revokeKey']) {
        expect(await refusal(mutation, { id: key.id }, credential)).toMatchObject({ code: 'NOT_FOUND' });
      }
    }
    expect((await app.rest({ secret: theirs })).status).toBe(200);
  });

  it('the actor is the owner of the credential; ids in the body cannot change it', async () => {
    const workspace = await buildWorkspace(app);
    const project = await buildProject(app, { workspace });
    const { cookie, person } = await buildPerson(app, { workspace });
    const others = { userId: 'usr_somebody', ownerId: 'usr_somebody', actorId: 'operator' };
    const input = { projectId: project.id, name: 'Minted', permissions: [], ...others };
    const { errors } = await app.graphql('mutation ($input: MintKeyInput!) { mintKey(input: $input) { __typename } }', { input }, cookie);
    expect(errors?.[0]?.extensions.code).toBe('INVALID_REQUEST');
    const { key } = await mutate('mintKey', { projectId: project.id, name: 'Minted', permissions: [] }, 'key { id }', cookie);
    expect(await app.database.reader.findBy(AuditEvent, { subjectId: key.id })).toMatchObject([{ actorKind: 'USER', actorId: person.id }]);
  });

  it('each tenant gets only its own answer when requests of several tenants alternate', async () => {
    const people = await Promise.all([1, 2, 3].map(() => buildPerson(app)));
    const ask = '{ workspaces { nodes { id } } viewer { id } }';
    for (let round = 0; round < 10; round += 1) {
      const answers = await Promise.all(people.map(({ cookie }) => app.graphql(ask, {}, cookie)));
      const expected = people.map(({ workspace, person }) => ({
        workspaces: { nodes: [{ id: workspace.id }] },
        viewer: { id: `viewer_${person.id}` },
      }));
      expect(answers.map(({ data }) => data)).toEqual(expected);
    }
  });

  it('a revoked key cannot be changed, rotated or enabled again', async () => {
    const { key, secret } = await buildKey(app);
    await mutate('revokeKey', { id: key.id }, '__typename');
    for (const input of [{ name: 'Alive' }, { enabled: true }, { expiresAt: null }, { permissions: ['demo.*'] }]) {
      expect(await refusal('updateKey', { id: key.id, ...input })).toMatchObject({ code: 'CONFLICT' });
    }
    expect(await refusal('rotateKey', { id: key.id })).toMatchObject({ code: 'CONFLICT' });
    expect((await app.rest({ secret })).status).toBe(401);
  });

  it('every caller is refused while the tables that authenticate them are missing', async () => {
    const { cookie } = await buildPerson(app);
    const { secret } = await buildKey(app, { permissions: ['admin', 'demo.*'] });
    expect((await app.rest({ secret })).status).toBe(200); // fills the caches of this process
    const tables = ['sessions', 'key_secrets', 'settings'];
    const rename = (from: string, to: string) => app.database.transaction((tx) => tx.query(`ALTER TABLE ${from} RENAME TO ${to}`));
    for (const table of tables) await rename(table, `${table}_away`);
    try {
      for (const credential of [cookie, secret, app.rootKey]) {
        const { status, data } = await app.graphql('{ viewer { id } }', {}, credential);
        expect([status, data?.viewer]).toEqual([503, undefined]);
      }
      expect((await app.rest({ secret })).status).toBeGreaterThanOrEqual(500);
    } finally {
      for (const table of tables) await rename(`${table}_away`, table);
    }
  });
});
