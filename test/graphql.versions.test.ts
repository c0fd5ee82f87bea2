import { buildClientSchema, getIntrospectionQuery, isInputObjectType } from 'graphql';
import { AuditEvent } from '../src/audit/event.entity';
import type { TestApp } from './support/app';
import { buildAction, buildKey, buildProject, buildRoute, buildServiceAccount, buildWorkspace } from './support/factories';
import { mutations, type Mutation } from './support/mutate';
import { closeNodes, createNodes } from './support/nodes';
import { buildPerson } from './support/people';

// Two nodes on one database. If two people edit one object, an edit based on an outdated version is refused.

let app: TestApp;
let other: TestApp;

beforeAll(async () => {
  [app, other] = await createNodes();
});

afterAll(() => closeNodes(other, app));

/** A mutation that takes `expectedVersion`, with an object that is created for it. */
interface Case {
  mutation: string;
  target: Record<string, unknown>;
  /** Two different changes. */
  changes: [Record<string, unknown>, Record<string, unknown>];
  /** The field of the payload that has the object. */
  field: string;
}

async function cases(): Promise<Case[]> {
  const { mutate } = mutations(app);
  const workspace = await buildWorkspace(app);
  const project = await buildProject(app, { workspace });
  const { key } = await buildKey(app, { project });
  const { account } = await buildServiceAccount(app, { projects: [project] });
  const { client } = await mutate(
    'createOAuthClient',
    { workspaceId: workspace.id, name: 'App', confidential: true, redirectUris: ['https://app.example/back'] },
    'client { id }',
  );
  const { role } = await mutate('createRole', { workspaceId: workspace.id, name: 'Own', permissions: [] }, 'role { id }');
  const { person } = await buildPerson(app, { workspace, roleId: 'rol_viewer' });
  const action = await buildAction(app, { upstreamUrl: 'http://127.0.0.1:9/' });
  const route = await buildRoute(app, { actionId: action.id });
  const named: Case['changes'] = [{ name: 'One' }, { name: 'Other' }];
  return [
    { mutation: 'updateWorkspace', target: { id: workspace.id }, changes: named, field: 'workspace' },
    { mutation: 'updateProject', target: { id: project.id }, changes: named, field: 'project' },
    { mutation: 'updateKey', target: { id: key.id }, changes: named, field: 'key' },
    { mutation: 'updateServiceAccount', target: { id: account.id }, changes: named, field: 'serviceAccount' },
    { mutation: 'updateOAuthClient', target: { id: client.id }, changes: named, field: 'client' },
    { mutation: 'updateRole', target: { id: role.id }, changes: named, field: 'role' },
    { mutation: 'updateAction', target: { id: action.id }, changes: [{ timeoutMs: 200 }, { timeoutMs: 300 }], field: 'action' },
    { mutation: 'updateRoute', target: { id: route.id }, changes: [{ host: 'one.example' }, { host: null }], field: 'route' },
    {
      mutation: 'setMemberRole',
      target: { workspaceId: workspace.id, userId: person.id },
      changes: [{ roleId: 'rol_developer' }, { roleId: 'rol_billing' }],
      field: 'membership',
    },
  ];
}

const send = (
  { graphql }: Pick<TestApp, 'graphql'>,
  { mutation, field, target }: Case,
  input: Record<string, unknown>,
): ReturnType<Mutation> => {
  const inputType = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}Input`;
  return graphql(`mutation ($input: ${inputType}!) { ${mutation}(input: $input) { ${field} { version } } }`, {
    input: { ...target, ...input },
  });
};

const versionIn = ({ mutation, field }: Case, { data, errors }: Awaited<ReturnType<Mutation>>): number => {
  expect([mutation, errors]).toEqual([mutation, undefined]);
  return data[mutation][field].version;
};

const countEvents = () => app.database.reader.count(AuditEvent);

it('expectedVersion is an argument of every mutation that edits an object, and of no other', async () => {
  const schema = buildClientSchema((await app.graphql(getIntrospectionQuery())).data);
  const takes = Object.values(schema.getTypeMap())
    .filter(isInputObjectType)
    .filter((type) => 'expectedVersion' in type.getFields())
    .map(({ name }) => name);
  const edits = Object.keys(schema.getMutationType()?.getFields() ?? {}).filter(
    (name) => name.startsWith('update') || name === 'setMemberRole',
  );
  expect(takes.sort()).toEqual(edits.map((name) => `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`).sort());
  expect((await cases()).map(({ mutation }) => mutation).sort()).toEqual(edits.sort());
});

it('a change of the current version succeeds and increases it by one; a change without a difference does not increase it', async () => {
  for (const one of await cases()) {
    expect(versionIn(one, await send(app, one, { ...one.changes[0], expectedVersion: 1 }))).toBe(2);
    expect(versionIn(one, await send(other, one, { ...one.changes[0], expectedVersion: 2 }))).toBe(2);
    expect(versionIn(one, await send(other, one, { ...one.changes[1], expectedVersion: null }))).toBe(3);
    expect(versionIn(one, await send(app, one, one.changes[0]))).toBe(4);
  }
});

it('another expectedVersion is CONFLICT with the current version; neither a change nor an event is written', async () => {
  for (const one of await cases()) {
    await send(app, one, one.changes[0]);
    const events = await countEvents();
    for (const expectedVersion of [1, 3]) {
      const { data, errors } = await send(other, one, { ...one.changes[1], expectedVersion });
      expect([one.mutation, data[one.mutation], errors?.length]).toEqual([one.mutation, null, 1]);
      expect(errors?.[0]?.extensions).toEqual({ code: 'CONFLICT', currentVersion: 2 });
      expect(errors?.[0]?.message).toContain('it is at version 2');
    }
    expect([one.mutation, await countEvents()]).toEqual([one.mutation, events]);
    expect(versionIn(one, await send(app, one, { ...one.changes[0], expectedVersion: 2 }))).toBe(2); // its properties did not change
  }
});

it('exactly one of two concurrent changes on two nodes succeeds if both expect the same version', async () => {
  for (const one of await cases()) {
    for (let version = 1; version <= 5; version += 1) {
      const changes = version % 2 === 1 ? one.changes : ([{ ...one.changes[1] }, { ...one.changes[0] }] as Case['changes']);
      const before = await countEvents();
      const answers = await Promise.all([
        send(app, one, { ...changes[0], expectedVersion: version }),
        send(other, one, { ...changes[0], expectedVersion: version }),
      ]);
      const won = answers.filter(({ errors }) => errors === undefined);
      const lost = answers.filter(({ errors }) => errors !== undefined);
      expect([one.mutation, version, won.length, lost.length]).toEqual([one.mutation, version, 1, 1]);
      expect(versionIn(one, won[0] as (typeof won)[0])).toBe(version + 1);
      expect(lost[0]?.errors?.[0]?.extensions).toEqual({ code: 'CONFLICT', currentVersion: version + 1 });
      expect([one.mutation, await countEvents()]).toEqual([one.mutation, before + 1]);
    }
  }
});

it('rotating or revoking a key and archiving a project increase the version, but a repeat does not', async () => {
  const { mutate } = mutations(app);
  const { key, project } = await buildKey(app);
  expect((await mutate('rotateKey', { id: key.id }, 'key { version }')).key.version).toBe(2);
  expect((await mutate('revokeKey', { id: key.id }, 'key { version }')).key.version).toBe(3);
  expect((await mutate('revokeKey', { id: key.id }, 'key { version }')).key.version).toBe(3);
  expect((await mutate('archiveProject', { id: project.id }, 'project { version }')).project.version).toBe(2);
  expect((await mutate('archiveProject', { id: project.id }, 'project { version }')).project.version).toBe(2);
});

it('expectedVersion must be a whole number of 1 or more', async () => {
  const { issuePaths } = mutations(app);
  const { id } = await buildWorkspace(app);
  expect(await issuePaths('updateWorkspace', { id, expectedVersion: 0 })).toEqual(['input.expectedVersion']);
  expect(await issuePaths('updateWorkspace', { id, expectedVersion: 1.5 })).toEqual(['input.expectedVersion']);
});

it('the version of an object is hidden from callers that may not see or change it', async () => {
  const { mutate, refusal } = mutations(app);
  const { project } = await buildKey(app);
  const { secret } = await mutate('mintKey', { projectId: project.id, name: 'Administers', permissions: ['admin'] }, 'secret');
  const foreign = await buildProject(app);
  expect(await refusal('updateProject', { id: foreign.id, name: 'Mine', expectedVersion: 7 }, secret)).toMatchObject({ code: 'NOT_FOUND' });
  const { secret: reader } = await mutate('mintKey', { projectId: project.id, name: 'Reads', permissions: ['read'] }, 'secret');
  expect(await refusal('updateProject', { id: project.id, name: 'Mine', expectedVersion: 7 }, reader)).toMatchObject({ code: 'FORBIDDEN' });
});
