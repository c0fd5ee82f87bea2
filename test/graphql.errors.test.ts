import { getIntrospectionQuery, buildClientSchema } from 'graphql';
import { createTestApp, type TestApp } from './support/app';
import type { GraphQLAnswer } from './support/clients';
import { ORIGIN, buildKey, buildProject, buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';
import { operationsOf, requestOf } from './support/operations';
import { PASSWORD, tokenOf } from './support/people';

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp();
});

afterAll(() => app.close());

const problemsOf = ({ errors = [] }: GraphQLAnswer) =>
  errors.map(({ path, extensions: { code, issues = [] } }) => ({ path, code, issues: issues.map((issue) => issue.path) }));

describe('variables of the wrong type', () => {
  const ask = (declared: string, variables: Record<string, unknown>) => {
    const used = [...declared.matchAll(/\$(\w+)/g)].map(([variable]) => variable);
    const uses: Record<string, string> = {
      $id: 'node(id: $id) { id }',
      $first: 'workspaces(first: $first) { nodes { id } }',
      $filter: 'project(id: "prj_1") { requestLogs(filter: $filter) { nodes { id } } }',
    };
    return app.graphql(`query (${declared}) { ${used.map((variable) => uses[variable]).join(' ')} }`, variables);
  };

  it('are INVALID_REQUEST, with every problem and its path in one list', async () => {
    const filter = {
      outcome: ['SUCCEEDED', 'NOPE', 5],
      keyId: ['key_1', null, {}],
      environment: 'STAGE',
      from: 'x',
      nope: 1,
      requestId: true,
    };
    const answer = await ask('$id: ID!, $first: Int, $filter: RequestLogFilter', { first: '5', filter });
    expect(answer.status).toBe(400);
    expect(answer.data).toBeUndefined();
    const [error, ...others] = problemsOf(answer);
    expect(others).toEqual([]);
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', path: undefined });
    const inFilter = [['environment'], ['from'], ['keyId', 1], ['keyId', 2], ['nope'], ['outcome', 1], ['outcome', 2], ['requestId']].map(
      (path) => ['filter', ...path],
    );
    expect(error?.issues.map((path) => path.join('.')).sort()).toEqual(
      [['id'], ['first'], ...inFilter].map((path) => path.join('.')).sort(),
    );
    for (const { message } of answer.errors?.[0]?.extensions.issues ?? []) expect(message).toMatch(/\S/);
  });

  it.each([
    ['$id: ID!', {}, ['id']],
    ['$id: ID!', { id: null }, ['id']],
    ['$id: ID!', { id: 1.5 }, ['id']],
    ['$first: Int', { first: 2.5 }, ['first']],
    ['$first: Int', { first: 2 ** 31 }, ['first']],
    ['$first: Int', { first: '10' }, ['first']],
    ['$filter: RequestLogFilter', { filter: 'none' }, ['filter']],
    ['$filter: RequestLogFilter', { filter: { action: [{ 'at "x"; ': 'y' }] } }, ['filter', 'action', 0]],
    ['$filter: RequestLogFilter', { filter: { from: '"; at "filter.to"; ' } }, ['filter', 'from']],
  ])('are refused with their path: %s with %j', async (declared, variables, path) => {
    expect(problemsOf(await ask(declared, variables))).toEqual([{ path: undefined, code: 'INVALID_REQUEST', issues: [path] }]);
  });

  it('are refused with the paths of missing fields', async () => {
    const answer = await app.graphql('mutation ($input: CreateProjectInput!) { createProject(input: $input) { project { id } } }', {
      input: { name: 'P', rateLimit: { burst: 1 } },
    });
    expect(problemsOf(answer)[0]?.issues).toEqual([
      ['input', 'workspaceId'],
      ['input', 'slug'],
      ['input', 'rateLimit', 'sustainedRps'],
    ]);
  });

  it('are INVALID_REQUEST too if a null is found only when the field is executed', async () => {
    const answer = await app.graphql('query ($id: ID = "prj_1") { project(id: $id) { id } viewer { id } }', { id: null });
    expect(answer.data).toEqual({ project: null, viewer: { id: 'viewer_operator' } });
    expect(problemsOf(answer)).toEqual([{ path: ['project'], code: 'INVALID_REQUEST', issues: [[]] }]);
  });

  it('are refused with at most 100 problems', async () => {
    const answer = await ask('$filter: RequestLogFilter', { filter: { keyId: Array.from({ length: 1_000 }, () => ({})) } });
    expect(problemsOf(answer)[0]?.issues).toHaveLength(100);
  });
});

describe('an input with several problems', () => {
  it('is refused once, with all problems', async () => {
    const { id: projectId } = await buildProject(app, { budget: 0 });
    const { issuePaths } = mutations(app);
    const wrong = { projectId, name: ' K', permissions: ['nope'], allowedIps: ['x', '10.0.0.1', 'y'] };
    expect(await issuePaths('mintKey', wrong)).toEqual(['input.allowedIps.0', 'input.allowedIps.2', 'input.name']);
    expect(await issuePaths('updateProject', { id: projectId, name: '', rateLimit: { sustainedRps: 0, burst: 1_000_001 } })).toEqual([
      'input.name',
      'input.rateLimit',
      'input.rateLimit.burst',
      'input.rateLimit.sustainedRps',
    ]);
    expect(await issuePaths('topUpWallet', { workspaceId: 'ws_1', amount: 0, reference: ' ' })).toEqual([
      'input.amount',
      'input.reference',
    ]);
  });
});

describe('names and reasons', () => {
  const INVISIBLE: Record<string, string> = {
    'zero-width characters': '\u200b\u200d\u200c',
    'soft hyphens': '\u00ad\u00ad',
    'a word joiner': '\u2060',
    'combining marks': '\u0301\u0308',
    'variation selectors': '\ufe0f',
    'blanks between zero-width characters': '\u200b \u3000\u200b',
    'Hangul fillers': '\u3164\u115f\uffa0',
    'a braille blank': '\u2800',
    'tags': '\u{e0061}\u{e007f}',
  };

  it.each(Object.entries(INVISIBLE))('must hold a visible character: a text of only %s is refused', async (_characters, text) => {
    const { issuePaths } = mutations(app);
    const { key, project } = await buildKey(app, { budget: 0 });
    const { id: projectId, workspaceId } = project;
    const email = `${projectId.toLowerCase()}@example.com`;
    const { link } = await app.people.invitations.invite(ORIGIN, { workspaceId, email, roleId: 'rol_viewer' });
    const named: Record<string, object> = {
      createWorkspace: { slug: 'invisible' },
      updateWorkspace: { id: workspaceId },
      createProject: { workspaceId, slug: 'invisible', rateLimit: { sustainedRps: 1, burst: 1 } },
      updateProject: { id: projectId },
      mintKey: { projectId, permissions: [] },
      updateKey: { id: key.id },
      createRole: { workspaceId, permissions: [] },
      createServiceAccount: { workspaceId, permissions: [], projectIds: [projectId], rotationDays: 1 },
      createOAuthClient: { workspaceId, confidential: true, redirectUris: ['https://a.example/'] },
      acceptInvitation: { token: tokenOf(link ?? ''), password: PASSWORD },
    };
    for (const [mutation, input] of Object.entries(named)) {
      expect([mutation, await issuePaths(mutation, { ...input, name: text })]).toEqual([mutation, ['input.name']]);
    }
    expect(await issuePaths('revokeKey', { id: key.id, reason: text })).toEqual(['input.reason']);
    expect(await issuePaths('adjustBalance', { projectId, delta: 1, reason: text, reference: 'r' })).toEqual(['input.reason']);
  });

  it('may be in any script, or only emoji', async () => {
    const names = ['é', 'e\u0301', '山', 'हिन्दी', 'שלום', '한글', '🙂', '👩\u200d💻', '1\ufe0f\u20e3', '-', '٣', 'می\u200cخواهم'];
    for (const name of names) expect(await buildWorkspace(app, { name })).toMatchObject({ name });
  });
});

it.each(['\u0007', '\u2028', '\u2029', '\u202a', '\u202e', '\u2066', '\u2069'])(
  'a name with %j is refused, because it could look like another name',
  async (character) => {
    const { issuePaths, mutate } = mutations(app);
    const { id: projectId } = await buildProject(app);
    const name = (inside: string) => ({ id: projectId, name: `Shop${inside}pohS` });
    expect(await issuePaths('updateProject', name(character))).toEqual(['input.name']);
    await mutate('updateProject', name('\u200f\u05d0'), '__typename'); // a Hebrew letter with its direction mark
  },
);

describe('several mutations in one request', () => {
  it('are independent: a failed mutation is null with an error at its path, and the others succeed', async () => {
    const project = await buildProject(app, { budget: 100 });
    const allocate = (alias: string, amount: number) =>
      `${alias}: allocateBudget(input: { projectId: "${project.id}", amount: ${amount} }) { entry { balanceAfter } }`;
    const answer = await app.graphql(
      `mutation {
        ${allocate('one', -10)}
        ${allocate('two', -1_000)}
        ${allocate('three', 0)}
        four: archiveProject(input: { id: "prj_1" }) { __typename }
        ${allocate('five', 5)}
      }`,
    );
    expect(answer.status).toBe(200);
    expect(answer.data).toEqual({
      one: { entry: { balanceAfter: 90 } },
      two: null,
      three: null,
      four: null,
      five: { entry: { balanceAfter: 95 } },
    });
    expect(problemsOf(answer)).toEqual([
      { path: ['two'], code: 'INSUFFICIENT_FUNDS', issues: [] },
      { path: ['three'], code: 'INVALID_REQUEST', issues: [['input', 'amount']] },
      { path: ['four'], code: 'NOT_FOUND', issues: [] },
    ]);
  });

  it('see the changes of the mutations before them', async () => {
    const { key } = await buildKey(app);
    const { data } = await app.graphql(
      `mutation ($id: ID!) {
        a: updateKey(input: { id: $id, enabled: false }) { key { status } }
        b: rotateKey(input: { id: $id, graceSeconds: 60 }) { key { status previousSecretValidUntil } }
        c: revokeKey(input: { id: $id }) { key { status previousSecretValidUntil } }
        d: updateKey(input: { id: $id, enabled: true }) { key { status } }
      }`,
      { id: key.id },
    );
    expect(data).toEqual({
      a: { key: { status: 'DISABLED' } },
      b: { key: { status: 'DISABLED', previousSecretValidUntil: expect.any(String) } },
      c: { key: { status: 'REVOKED', previousSecretValidUntil: null } },
      d: null,
    });
  });
});

describe('an internal failure', () => {
  const INSIDE = /\bat \/|\.ts\b|node_modules|SELECT|UPDATE|INSERT|sql|errno|driver|column|table|libsql|mysql|typeorm|stack/i;

  it('hides the cause if a statement fails: the answer is INTERNAL with a fixed message, and the log has the cause', async () => {
    const broken = await createTestApp();
    try {
      const { key, project } = await buildKey(broken);
      await broken.database.transaction(async (tx) => {
        for (const table of ['request_logs', 'api_keys', 'ledger_references', 'audit_events'])
          await tx.query(`ALTER TABLE ${table} RENAME TO ${table}_gone`);
      });
      const answers = [
        await broken.graphql('query ($id: ID!) { key(id: $id) { id } viewer { id } }', { id: key.id }),
        await broken.graphql('query ($id: ID!) { project(id: $id) { id requestLogs { nodes { id } } } }', { id: project.id }),
        await broken.graphql('mutation ($id: ID!) { updateProject(input: { id: $id, name: "New" }) { project { id } } }', {
          id: project.id,
        }),
        await broken.graphql(
          'mutation ($id: ID!) { topUpWallet(input: { workspaceId: $id, amount: 1, reference: "x" }) { entry { id } } }',
          { id: project.workspaceId },
        ),
      ];
      for (const { status, errors } of answers) {
        expect(status).toBe(200);
        expect(errors).toEqual([
          {
            message: 'An internal error occurred. If it happens again, report the request id to the operator.',
            locations: expect.any(Array),
            path: expect.any(Array),
            extensions: { code: 'INTERNAL' },
          },
        ]);
      }
      expect(answers[0]?.data).toEqual({ key: null, viewer: { id: 'viewer_operator' } });
      expect(answers[1]?.data).toEqual({ project: { id: project.id, requestLogs: null } });
      expect(broken.logLines.filter((line) => line.includes('graphql: an operation failed'))).toHaveLength(4);
    } finally {
      await broken.close();
    }
  });

  it('is SERVICE_UNAVAILABLE with a fixed message if the database is closed, for everything that needs a credential', async () => {
    const { data } = await app.graphql(getIntrospectionQuery(), {}, null);
    const closed = await createTestApp();
    const { secret } = await buildKey(closed);
    await closed.database.close();
    try {
      const operations = operationsOf(buildClientSchema(data), 'ws_1').map((operation) => requestOf([operation]));
      for (const { query, variables } of [...operations, { query: '{ __typename }', variables: {} }]) {
        for (const credential of [closed.rootKey, secret]) {
          const answer = await closed.graphql(query, variables, credential);
          expect([answer.status, answer.headers.get('retry-after'), answer.headers.get('cache-control')]).toEqual([503, '1', 'no-store']);
          expect(answer.errors).toEqual([
            { message: expect.stringMatching(/^Not available right now/), extensions: { code: 'SERVICE_UNAVAILABLE' } },
          ]);
          expect(JSON.stringify(answer.errors)).not.toMatch(INSIDE);
        }
      }
      expect((await closed.graphql('{ __typename }', {}, null)).data).toEqual({ __typename: 'Query' });
      expect(closed.logLines.join('')).not.toContain(secret.slice(-38, -4));
    } finally {
      await closed.server.close();
    }
  });

  it('never writes a secret into an error or into the log', async () => {
    const { secret, key } = await buildKey(app);
    const answers = [
      await app.graphql('query ($id: ID!) { node(id: $id) { id } }', { id: { secret } }, null),
      await app.graphql('{ viewer { id } }', {}, `${secret}x`),
      await app.graphql('mutation ($id: ID!) { archiveProject(input: { id: $id }) { project { id } } }', { id: secret }),
      await app.graphql('mutation ($id: ID!, $name: String) { updateKey(input: { id: $id, name: $name }) { key { id } } }', {
        id: key.id,
        name: `${secret}\n`,
      }),
      await app.graphql('{ viewer { id } }', {}, app.rootKey.slice(0, -1)),
    ];
    for (const { errors } of answers) expect(errors).toHaveLength(1);
    const written = JSON.stringify([answers.map(({ errors }) => errors), app.logLines]);
    for (const text of [secret.slice(-38, -4), app.rootKey.slice(0, -1)]) expect(written).not.toContain(text);
  });
});
