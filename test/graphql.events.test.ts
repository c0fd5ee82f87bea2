import { buildClientSchema, getIntrospectionQuery } from 'graphql';
import { IdempotencyKey } from '../src/access/idempotency-key.entity';
import { AuditEvent } from '../src/audit/event.entity';
import { KeySecret } from '../src/keys/key.entity';
import type { Project } from '../src/tenancy/project.entity';
import type { Workspace } from '../src/tenancy/workspace.entity';
import { createTestApp, PEPPER, type TestApp } from './support/app';
import { auditedChanges, type AuditedChange } from './support/audited-changes';
import { buildKey, buildProject, buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';
import { MUTATIONS_OF_PEOPLE } from './support/people';
import { eventsWhile } from './support/trail';

let app: TestApp;
let mutate: ReturnType<typeof mutations>['mutate'];
let refusal: ReturnType<typeof mutations>['refusal'];
let workspace: Workspace;
let project: Project;

beforeAll(async () => {
  app = await createTestApp();
  ({ mutate, refusal } = mutations(app));
  workspace = await buildWorkspace(app);
  project = await buildProject(app, { workspace });
});

afterAll(() => app.close());

const eventsOf = (work: () => Promise<unknown>) => eventsWhile(app, work);

describe('the trail', () => {
  const agent = `tests/1.0 ${'x'.repeat(300)}`;
  let all: AuditedChange[];

  beforeAll(async () => {
    all = await auditedChanges(app, { workspace, project });
  });

  /** Sends a mutation as the operator, with a User-Agent header. */
  const send = async (change: Pick<AuditedChange, 'mutation' | 'selection'>, input: Record<string, unknown>, idempotencyKey?: string) => {
    const inputType = `${change.mutation.charAt(0).toUpperCase()}${change.mutation.slice(1)}Input`;
    const query = `mutation ($input: ${inputType}!) { ${change.mutation}(input: $input) { ${change.selection ?? '__typename'} } }`;
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-api-key': app.rootKey,
        'user-agent': agent,
        ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
      },
      body: JSON.stringify({ query, variables: { input } }),
    });
    return (await response.json()) as Pick<Awaited<ReturnType<TestApp['graphql']>>, 'data' | 'errors'>;
  };

  it('has a test for every mutation', async () => {
    const schema = buildClientSchema((await app.graphql(getIntrospectionQuery())).data);
    expect([...all.map(({ mutation }) => mutation), ...MUTATIONS_OF_PEOPLE].sort()).toEqual(
      Object.keys(schema.getMutationType()?.getFields() ?? {}).sort(),
    );
  });

  it('has one event for each change, with actor, subject, origin and changed properties; it uses up the Idempotency-Key', async () => {
    for (const change of all) {
      let payload: unknown;
      const events = await eventsOf(async () => {
        const { data, errors } = await send(change, change.input, `for-${change.mutation}`);
        expect([change.mutation, errors]).toEqual([change.mutation, undefined]);
        payload = data[change.mutation];
      });
      const [subjectId, workspaceId] = change.subject(payload);
      const { action, before, after } = change;
      const common = { actorKind: 'OPERATOR', actorId: 'operator', ip: '127.0.0.1', userAgent: agent.slice(0, 255) };
      expect(events).toEqual([
        { id: expect.stringMatching(/^evt_/), ...common, action, subjectId, workspaceId, before, after, createdAt: expect.any(Date) },
      ]);
      const used = await app.database.reader.findOneByOrFail(IdempotencyKey, { idempotencyKey: `for-${change.mutation}` });
      expect([change.mutation, used.doneAt, used.subjectId]).toEqual([change.mutation, events[0]?.createdAt, subjectId]);
      expect(Math.abs((events[0]?.createdAt.getTime() ?? 0) - (await app.database.now()).getTime())).toBeLessThan(60_000);
    }
  });

  it('has no event for a repeat that changes nothing, nor for a refused mutation', async () => {
    for (const change of all) {
      const repeated = await eventsOf(async () => {
        const { errors } = change.repeatable ? { errors: undefined } : await send(change, change.input);
        expect([change.mutation, errors?.[0]?.extensions.code]).toEqual([change.mutation, change.repeat]);
      });
      const refused = await eventsOf(() => refusal(change.mutation, change.refused));
      expect([change.mutation, repeated, refused]).toEqual([change.mutation, [], []]);
    }
  });

  it('has no event for a mutation that a key may not run', async () => {
    const { secret } = await buildKey(app);
    const events = await eventsOf(async () => {
      for (const { mutation, input } of all) expect((await refusal(mutation, input, secret)).code).toMatch(/^(FORBIDDEN|NOT_FOUND)$/);
    });
    expect(events).toEqual([]);
  });

  it('rolls back the event and the change together if either fails', async () => {
    const { id } = await buildWorkspace(app);
    await app.database.transaction((tx) => tx.query('ALTER TABLE audit_events RENAME TO audit_events_away'));
    const failed = await mutate('topUpWallet', { workspaceId: id, amount: 5, reference: 'lost' }, '__typename').catch(
      (error: Error) => error.message,
    );
    const renamed = await mutate('updateWorkspace', { id, name: 'Lost' }, '__typename').catch((error: Error) => error.message);
    await app.database.transaction((tx) => tx.query('ALTER TABLE audit_events_away RENAME TO audit_events'));
    for (const message of [failed, renamed]) expect(message).toContain('INTERNAL');
    const { data } = await app.graphql('query ($id: ID!) { workspace(id: $id) { name wallet { balance ledger { nodes { id } } } } }', {
      id,
    });
    expect(data.workspace).toEqual({ name: 'Workspace', wallet: { balance: 0, ledger: { nodes: [] } } });
    expect(await eventsOf(() => mutate('topUpWallet', { workspaceId: id, amount: 5, reference: 'lost' }, '__typename'))).toHaveLength(1);
  });

  it('contains no secret, digest or pepper', async () => {
    const { secret, key } = await buildKey(app);
    const { secret: next } = await mutate('rotateKey', { id: key.id }, 'secret');
    const digests = (await app.database.reader.find(KeySecret)).map(({ digest }) => digest);
    const trail = JSON.stringify(await app.database.reader.find(AuditEvent));
    expect(trail).toContain(key.id);
    for (const text of [secret.slice(-38, -4), next.slice(-38, -4), PEPPER, app.rootKey, ...digests]) expect(trail).not.toContain(text);
  });
});
