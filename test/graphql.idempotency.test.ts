import { randomUUID } from 'node:crypto';
import { buildSchema, type GraphQLObjectType } from 'graphql';
import { readFileSync } from 'node:fs';
import { MUTATION_KEPT_MS } from '../src/access/idempotency';
import { IdempotencyKey } from '../src/access/idempotency-key.entity';
import { describeSchema } from '../src/schema';
import { ApiKey } from '../src/keys/key.entity';
import { Project } from '../src/tenancy/project.entity';
import { Workspace } from '../src/tenancy/workspace.entity';
import type { TestApp } from './support/app';
import { buildKey, buildProject, buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';
import { closeNodes, createNodes } from './support/nodes';
import { MUTATIONS_OF_PEOPLE, buildPerson } from './support/people';
import { MINT, idempotency } from './support/idempotency';

// `Idempotency-Key` on a mutation: it runs once, even with retries, several nodes, and crashes.

let app: TestApp;
let other: TestApp;

beforeAll(async () => {
  [app, other] = await createNodes();
});

afterAll(() => closeNodes(other, app));

const { ask, later, countEvents, stored } = idempotency(() => [app, other]);

const CREATE = 'mutation ($input: CreateWorkspaceInput!) { createWorkspace(input: $input) { workspace { id name slug version } } }';
const RENAME = 'mutation ($input: UpdateProjectInput!) { updateProject(input: $input) { project { id name version } } }';

/** Mutations that do not allow an Idempotency-Key. */
const ofSigningIn = MUTATIONS_OF_PEOPLE.filter((name) => !['inviteMember', 'withdrawInvitation', 'withdrawConsent'].includes(name));

const slug = () => `ws-${randomUUID().slice(0, 8)}`;

describe('a mutation with an Idempotency-Key', () => {
  it('runs once, and a retry gets the same answer on each node', async () => {
    const [key, input] = [randomUUID(), { name: 'Once', slug: slug() }];
    const first = await ask(CREATE, { input }, { key });
    expect(first).toMatchObject({ status: 200, replayed: null, errors: undefined, extensions: undefined });
    const events = await countEvents();
    for (const node of [app, other]) {
      expect(await ask(CREATE, { input }, { key, node })).toEqual({ ...first, replayed: 'true', extensions: { idempotencyReplay: true } });
    }
    expect(await ask(CREATE, { input: { slug: input.slug, name: 'Once' } }, { key: `"${key}"` })).toMatchObject({
      replayed: 'true',
      data: first.data,
    }); // a quoted key, and fields in another order
    expect(await countEvents()).toBe(events);
  });

  it('runs once if twenty requests arrive at once on two nodes; the others get IN_PROGRESS or the same answer', async () => {
    for (let round = 0; round < 3; round += 1) {
      const [key, input] = [
        randomUUID(),
        { projectId: (await buildProject(app, { budget: 0 })).id, name: `Race ${round}`, permissions: [] },
      ];
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, index) => ask(MINT, { input }, { key, node: index % 2 === 0 ? app : other })),
      );
      expect(await app.database.reader.countBy(ApiKey, { projectId: input.projectId })).toBe(1);
      const ran = answers.filter(({ data, replayed }) => data && !replayed);
      expect(ran).toHaveLength(1);
      for (const { status, data, reason, replayed, retryAfter } of answers) {
        if (!data) expect([status, reason, retryAfter]).toEqual([409, 'IN_PROGRESS', '1']);
        else expect(data.mintKey.key).toEqual(ran[0]?.data.mintKey.key);
        if (replayed) expect(data.mintKey.secret).toBeNull();
      }
    }
  });

  it('is refused if the key was used for another input, another selection or another operation', async () => {
    const [key, input] = [randomUUID(), { name: 'First', slug: slug() }];
    await ask(CREATE, { input }, { key });
    const events = await countEvents();
    const refused = {
      status: 422,
      data: undefined,
      reason: 'KEY_REUSED',
      errors: [{ message: expect.stringContaining('another request'), extensions: { code: 'CONFLICT', reason: 'KEY_REUSED' } }],
    };
    expect(await ask(CREATE, { input: { ...input, name: 'Second' } }, { key })).toMatchObject(refused);
    expect(await ask(CREATE.replace(' version', ''), { input }, { key })).toMatchObject(refused);
    expect(await ask(RENAME, { input: { id: 'prj_1', name: 'x' } }, { key })).toMatchObject(refused);
    expect(await countEvents()).toBe(events);
  });

  it('stores its answer even if it changed nothing: a retry does not run it later', async () => {
    const [key, project] = [randomUUID(), await buildProject(app, { budget: 0 })];
    const input = { id: project.id, name: project.name };
    const first = await ask(RENAME, { input }, { key });
    await ask(RENAME, { input: { id: project.id, name: 'Another' } });
    expect(await ask(RENAME, { input }, { key })).toMatchObject({ replayed: 'true', data: first.data });
    expect((await app.database.reader.findOneByOrFail(Project, { id: project.id })).name).toBe('Another');
  });

  it('stores its key in the transaction of the change, also for invitations', async () => {
    const { id: workspaceId } = await buildWorkspace(app);
    const done = async (query: string, input: object) => {
      const key = randomUUID();
      const { invitation } = Object.values((await ask(query, { input }, { key })).data)[0] as { invitation: { id: string } };
      expect(await stored(key)).toMatchObject({ subjectId: invitation.id });
      return invitation;
    };
    const invite = () =>
      done('mutation ($input: InviteMemberInput!) { inviteMember(input: $input) { invitation { id } } }', {
        workspaceId,
        email: 'ada@example.com',
        roleId: 'rol_viewer',
      });
    await invite();
    const { id } = await invite();
    await done('mutation ($input: WithdrawInvitationInput!) { withdrawInvitation(input: $input) { invitation { id } } }', { id });
  });

  it('can be retried with the same key after a refusal, because it changed nothing', async () => {
    const [key, input] = [randomUUID(), { name: 'Wanted', slug: slug() }];
    const { data } = await ask(CREATE, { input: { name: 'In the way', slug: input.slug } });
    expect((await ask(CREATE, { input }, { key })).errors?.[0].extensions.code).toBe('CONFLICT');
    expect(await stored(key)).toBeNull();
    await app.database.transaction((tx) => tx.update(Workspace, { id: data.createWorkspace.workspace.id }, { slug: slug() }));
    expect(await ask(CREATE, { input }, { key })).toMatchObject({
      replayed: null,
      data: { createWorkspace: { workspace: { name: 'Wanted' } } },
    });
  });

  it('returns DONE and the id of the changed object if the answer is too large to store', async () => {
    const { id } = (await buildKey(app)).key;
    const [key, allowedIps] = [
      randomUUID(),
      Array.from({ length: 200 }, (_, index) => `2001:db8:aaaa:bbbb:cccc:dddd:eeee:${(0x1000 + index).toString(16)}/128`),
    ];
    const wide = Array.from({ length: 10 }, (_, index) => `n${index}: allowedIps`).join(' ');
    const query = `mutation ($input: UpdateKeyInput!) { updateKey(input: $input) { key { ${wide} } } }`;
    expect((await ask(query, { input: { id, allowedIps } }, { key })).data.updateKey.key.n9).toHaveLength(200);
    const repeat = await ask(query, { input: { id, allowedIps } }, { key });
    expect(repeat).toMatchObject({
      status: 409,
      reason: 'DONE',
      errors: [{ extensions: { code: 'CONFLICT', subjectId: id }, message: expect.stringContaining('not kept') }],
    });
    expect((await app.database.reader.findOneByOrFail(ApiKey, { id })).version).toBe(2);
  });

  it('runs again after 24 hours; the sweep deletes the expired row', async () => {
    const [key, kept, input] = [
      randomUUID(),
      randomUUID(),
      { projectId: (await buildProject(app, { budget: 0 })).id, name: 'Daily', permissions: [] },
    ];
    await ask(MINT, { input }, { key });
    await ask(MINT, { input }, { key: kept });
    await later(MUTATION_KEPT_MS - 60_000, async () => expect(await ask(MINT, { input }, { key })).toMatchObject({ replayed: 'true' }));
    await later(MUTATION_KEPT_MS + 1_000, async () => {
      expect(await ask(MINT, { input }, { key })).toMatchObject({ replayed: null, data: { mintKey: { secret: expect.any(String) } } });
      for (const forgetter of app.forgetters) await forgetter.once();
      expect([await stored(key), await stored(kept)]).toEqual([expect.any(IdempotencyKey), null]);
    });
    expect(await app.database.reader.countBy(ApiKey, { projectId: input.projectId })).toBe(3);
  });
});

describe('a request with an Idempotency-Key', () => {
  it.each([
    [
      'two mutations',
      'mutation { a: archiveProject(input: { id: "prj_1" }) { __typename } b: archiveProject(input: { id: "prj_1" }) { __typename } }',
      randomUUID(),
    ],
    [
      'two mutations in a fragment',
      'mutation { ...F } fragment F on Mutation ' +
        '{ a: archiveProject(input: { id: "prj_1" }) { __typename } b: archiveProject(input: { id: "prj_1" }) { __typename } }',
      randomUUID(),
    ],
    ['no mutation', 'mutation { __typename }', randomUUID()],
    ['a key with a blank', 'mutation { archiveProject(input: { id: "prj_1" }) { __typename } }', 'a b'],
    ['a key that is too long', 'mutation { archiveProject(input: { id: "prj_1" }) { __typename } }', 'k'.repeat(256)],
  ])('needs exactly one mutation and a key of 1 to 255 visible characters: %s is INVALID_REQUEST', async (_what, query, key) => {
    expect(await ask(query, {}, { key })).toMatchObject({
      status: 400,
      data: undefined,
      errors: [{ extensions: { code: 'INVALID_REQUEST', issues: [{ path: ['Idempotency-Key'], message: expect.any(String) }] } }],
    });
  });

  it('can be a query, which ignores the key', async () => {
    const key = randomUUID();
    expect(await ask('{ viewer { id } }', {}, { key })).toMatchObject({
      status: 200,
      replayed: null,
      data: { viewer: { id: 'viewer_operator' } },
    });
    expect(await stored(key)).toBeNull();
  });

  it('is refused for mutations that sign in or out, or prove an identity', async () => {
    const { cookie } = (await buildPerson(app)).cookie;
    const schema = buildSchema(readFileSync('schema.graphql', 'utf8'));
    for (const name of ofSigningIn) {
      const input = schema.getMutationType()?.getFields()[name]?.args.length ? `(input: $input)` : '';
      const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
      const texts = ['token', 'password', 'code', 'email', 'currentPassword', 'newPassword', 'id'];
      const fields = input
        ? Object.keys((schema.getType(type) as unknown as { getFields(): object }).getFields()).filter((field) => texts.includes(field))
        : [];
      const query = `mutation ${input ? `($input: ${type}!) ` : ''}{ ${name}${input} { __typename } }`;
      const answer = await ask(query, { input: Object.fromEntries(fields.map((field) => [field, 'x'])) }, { headers: { cookie } });
      expect([name, answer.status, answer.errors?.[0].extensions.issues?.[0].message]).toEqual([
        name,
        400,
        expect.stringContaining(`is not allowed for ${name}`),
      ]);
    }
  });

  it('is refused with 401 if it has no credential, as without the key', async () => {
    expect(await ask('mutation { archiveProject(input: { id: "prj_1" }) { __typename } }', {}, { headers: {} })).toMatchObject({
      status: 401,
    });
  });
});

describe('a secret', () => {
  it('is only in the first answer, under each alias; a retry lists the withheld fields', async () => {
    const [key, again] = [randomUUID(), randomUUID()];
    const { key: apiKey, project } = await buildKey(app);
    const mint =
      'mutation ($input: MintKeyInput!) ' +
      '{ made: mintKey(input: $input) { ...F one: secret ... on MintKeyPayload { two: secret } key { secret: id } } } ' +
      'fragment F on MintKeyPayload { secret }';
    const input = { projectId: project.id, name: 'Secret', permissions: [] };
    const { data } = await ask(mint, { input }, { key });
    const { secret, one, two, key: minted } = data.made;
    expect([one, two]).toEqual([secret, secret]);
    const repeat = await ask(mint, { input }, { key });
    expect(repeat.data).toEqual({ made: { secret: null, one: null, two: null, key: minted } });
    expect(repeat.extensions).toEqual({ idempotencyReplay: true, withheld: [['made', 'secret'], ['made', 'one'], ['made', 'two']] });

    const rotate = 'mutation ($input: RotateKeyInput!) { rotateKey(input: $input) { secret key { id hint } } }';
    const rotated = await ask(rotate, { input: { id: apiKey.id } }, { key: again });
    expect(await ask(rotate, { input: { id: apiKey.id } }, { key: again })).toMatchObject({
      data: { rotateKey: { secret: null, key: rotated.data.rotateKey.key } },
      extensions: { withheld: [['rotateKey', 'secret']] },
    });
    expect((await app.rest({ secret: rotated.data.rotateKey.secret })).status).toBe(200); // it was rotated only once
    const rows = JSON.stringify(await app.database.reader.find(IdempotencyKey));
    for (const text of [secret, rotated.data.rotateKey.secret]) expect(rows).not.toContain(text.slice(-38, -4));
  });

  it('in a link is withheld too', async () => {
    const key = randomUUID();
    const { id } = await buildWorkspace(app);
    const invite = 'mutation ($input: InviteMemberInput!) { inviteMember(input: $input) { link invitation { id } } }';
    const input = { workspaceId: id, email: 'ada@example.com', roleId: 'rol_viewer' };
    const { data } = await ask(invite, { input }, { key });
    expect(data.inviteMember.link).toContain('/invitation?token=');
    expect(await ask(invite, { input }, { key })).toMatchObject({
      data: { inviteMember: { link: null, invitation: data.inviteMember.invitation } },
      extensions: { withheld: [['inviteMember', 'link']] },
    });
    expect(JSON.stringify(await stored(key))).not.toContain('token=');
  });

  it('is marked as ShownOnce in the payload of each mutation that allows an Idempotency-Key', () => {
    const mutationsOf = Object.values(describeSchema().getMutationType()?.getFields() ?? {}).filter(
      ({ name }) => !ofSigningIn.includes(name),
    );
    const suspicious = mutationsOf.flatMap(({ name, type }) =>
      Object.values((type as GraphQLObjectType).getFields())
        .filter((field) => /secret|link|token|code|password|ur[il]/i.test(field.name))
        .map((field) => [`${name}.${field.name}`, field.extensions.shownOnce]),
    );
    expect(suspicious.length).toBeGreaterThan(2);
    expect(suspicious.filter(([, isMarked]) => isMarked !== true)).toEqual([]);
  });
});

describe('the owner of an Idempotency-Key', () => {
  const keyWith = async (project: { id: string }, permissions: string[]) =>
    (await mutations(app).mutate('mintKey', { projectId: project.id, name: 'Asks', permissions }, 'secret key { id }')) as {
      secret: string;
      key: { id: string };
    };

  it('is one principal: the same key of another tenant is independent', async () => {
    const key = randomUUID();
    const answers = [];
    for (const name of ['Mine', 'Theirs']) {
      const project = await buildProject(app, { budget: 0 });
      const { secret } = await keyWith(project, ['write.projects']);
      answers.push(await ask(RENAME, { input: { id: project.id, name } }, { key, headers: { 'x-api-key': secret } }));
    }
    for (const { replayed, data } of answers) expect([replayed, data.updateProject.project.version]).toEqual([null, 2]);
    expect(await app.database.reader.countBy(IdempotencyKey, { idempotencyKey: key })).toBe(2);
  });

  it('does not see the stored answer after losing a permission, and the mutation does not run again', async () => {
    const { mutate } = mutations(app);
    const key = randomUUID();
    const project = await buildProject(app, { budget: 5_000 });
    const asks = await keyWith(project, ['write.projects', 'read.wallet']);
    const headers = { 'x-api-key': asks.secret };
    const query = 'mutation ($input: UpdateProjectInput!) { updateProject(input: $input) { project { name budget { balance } } } }';
    const input = { id: project.id, name: 'Seen' };
    expect((await ask(query, { input }, { key, headers })).data.updateProject.project.budget).toEqual({ balance: 5_000 });
    await mutate('updateKey', { id: asks.key.id, permissions: ['write.projects', 'read.wallet', 'read.logs'] }, '__typename');
    expect(await ask(query, { input }, { key, headers })).toMatchObject({ replayed: 'true' });
    await mutate('updateKey', { id: asks.key.id, permissions: ['write.projects', 'read.logs'] }, '__typename');
    const events = await countEvents();
    const repeat = await ask(query, { input }, { key, headers });
    expect(repeat).toMatchObject({
      status: 409,
      data: undefined,
      reason: 'DONE',
      errors: [{ message: expect.stringContaining('no longer have the permissions') }],
    });
    expect(JSON.stringify(repeat)).not.toContain('5000');
    expect(await countEvents()).toBe(events);
    await mutate('revokeKey', { id: asks.key.id }, '__typename');
    expect(await ask(query, { input }, { key, headers })).toMatchObject({ status: 401 });
  });

  it('can be a person with all their sessions, until their membership ends', async () => {
    const { mutate } = mutations(app);
    const { cookie, person, workspace } = await buildPerson(app);
    await buildPerson(app, { workspace });
    const [key, input] = [randomUUID(), { workspaceId: workspace.id, name: 'Shop', slug: 'shop' }];
    const query = 'mutation ($input: CreateProjectInput!) { createProject(input: $input) { project { id } } }';
    const first = await ask(query, { input }, { key, headers: cookie });
    const { token } = await app.database.transaction(async (tx) =>
      app.people.sessions.open(tx, person.id, { ip: null, userAgent: null }, await app.database.now(tx)),
    );
    expect(await ask(query, { input }, { key, headers: { cookie: `tollgate_session=${token}` } })).toMatchObject({
      replayed: 'true',
      data: first.data,
    });
    await mutate('removeMember', { workspaceId: workspace.id, userId: person.id }, '__typename');
    expect(await ask(query, { input }, { key, headers: cookie })).toMatchObject({ status: 409, data: undefined, reason: 'DONE' });
  });
});
