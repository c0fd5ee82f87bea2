import { createTestApp, type TestApp } from './support/app';
import { buildKey, ghostOf } from './support/factories';
import { mutations } from './support/mutate';
import { startUpstream } from './support/upstream';

let app: TestApp;
let mutate: ReturnType<typeof mutations>['mutate'];
let refusal: ReturnType<typeof mutations>['refusal'];
let issuePaths: ReturnType<typeof mutations>['issuePaths'];
let upstreamUrl: string;

beforeAll(async () => {
  app = await createTestApp();
  ({ mutate, refusal, issuePaths } = mutations(app));
  const upstream = await startUpstream();
  upstream.release();
  upstreamUrl = upstream.url;
});

afterAll(() => app.close());

const ACTION = 'action { id service name priceMicroCredits permission upstreamUrl timeoutMs passStatuses enabled }';

let made = 0;

/** Creates an action of the service `face` with an upstream that returns success, and a key that may run it. */
async function buildFaceAction(values: Record<string, unknown> = {}) {
  const name = `face.made-${(made += 1)}`;
  const input = { service: 'face', name, priceMicroCredits: 10, permission: name, upstreamUrl, ...values };
  const { action } = await mutate('createAction', input, ACTION);
  const caller = await buildKey(app, { permissions: [action.permission] });
  const call = async () => {
    const { status, body } = await app.rest({ secret: caller.secret, service: 'face', body: { action: name } });
    return status === 200 ? body.billing.chargedMicroCredits : body.error.code;
  };
  return { action, call, ...caller };
}

describe('createAction', () => {
  it('creates an action that calls may run at once, with a default time limit of 30 seconds', async () => {
    const { action, call } = await buildFaceAction();
    expect(action).toEqual({
      id: expect.stringMatching(/^act_[0-9A-Za-z_-]{1,60}$/),
      service: 'face',
      name: expect.stringMatching(/^face\.made-/),
      priceMicroCredits: 10,
      permission: action.name,
      upstreamUrl,
      timeoutMs: 30_000,
      passStatuses: [],
      enabled: true,
    });
    expect(await call()).toBe(10);
    const { data } = await app.graphql('query ($id: ID!) { node(id: $id) { __typename ... on Action { name } } }', { id: action.id });
    expect(data.node).toEqual({ __typename: 'Action', name: action.name });
  });

  it('accepts an action with a price of 0', async () => {
    const { call } = await buildFaceAction({ priceMicroCredits: 0 });
    expect(await call()).toBe(0);
  });

  it('refuses a name that is taken in its service with CONFLICT, and accepts it in another service', async () => {
    const input = { service: 'voice', name: 'Same.Name', priceMicroCredits: 1, permission: 'voice.same', upstreamUrl };
    await mutate('createAction', input, ACTION);
    expect(await refusal('createAction', input)).toMatchObject({ code: 'CONFLICT' });
    await mutate('createAction', { ...input, service: 'voice-2' }, ACTION);
    await mutate('createAction', { ...input, name: 'same.name' }, ACTION); // names are compared byte by byte
    expect(await refusal('createAction', { ...input, service: 'demo', name: 'demo.echo' })).toMatchObject({ code: 'CONFLICT' });
  });

  it('refuses administrative permissions and invalid names of permissions', async () => {
    const input = { service: 'face', name: 'face.never', priceMicroCredits: 1, upstreamUrl };
    for (const permission of [
      'read',
      'write',
      'admin',
      'webhook',
      'verify.keys',
      'read.logs',
      'admin.x.y',
      '',
      '*',
      'face.*',
      'face.',
      '.face',
      'face detect',
      'Face',
      'x'.repeat(129),
      'openid',
      'profile',
      'email',
      'offline_access',
    ]) {
      expect(await issuePaths('createAction', { ...input, permission })).toEqual(['input.permission']);
    }
    await mutate('createAction', { ...input, permission: 'reader.read' }, ACTION);
    await mutate('createAction', { ...input, name: 'face.mail', permission: 'email.send' }, ACTION);
  });

  it('refuses reserved services and invalid names of services', async () => {
    const input = { name: 'face.never', priceMicroCredits: 1, permission: 'face.never', upstreamUrl };
    for (const service of [
      'keys',
      'holds',
      'audit',
      'export',
      'forward-auth',
      'secret-scanning',
      '',
      'Face',
      '1face',
      'fa_ce',
      'x'.repeat(64),
    ]) {
      expect(await issuePaths('createAction', { ...input, service })).toEqual(['input.service']);
    }
  });

  it('lists every invalid part of the input', async () => {
    const wrong = { service: 'Face', name: '1', priceMicroCredits: -1, permission: 'admin', upstreamUrl: 'ftp://x', timeoutMs: 99 };
    expect(await issuePaths('createAction', wrong)).toEqual(Object.keys(wrong).map((field) => `input.${field}`).sort());
    const right = { service: 'face', name: 'face.never', priceMicroCredits: 1, permission: 'face.never', upstreamUrl };
    for (const url of ['', 'x', '//x', 'javascript:1', 'https://user:password@x', 'https://x/#y', `https://x/${'y'.repeat(2000)}`]) {
      expect(await issuePaths('createAction', { ...right, upstreamUrl: url })).toEqual(['input.upstreamUrl']);
    }
    expect(await issuePaths('createAction', { ...right, passStatuses: [404, 401, 200, 500] })).toEqual([
      'input.passStatuses.1',
      'input.passStatuses.2',
      'input.passStatuses.3',
    ]);
    for (const timeoutMs of [99, 300_001, null, 100.5])
      expect(await issuePaths('createAction', { ...right, timeoutMs })).toEqual(['input.timeoutMs']);
  });
});

describe('updateAction', () => {
  it('changes the statuses that reach callers; removes duplicates and sorts them', async () => {
    const { action } = await buildFaceAction({ passStatuses: [429, 404, 404] });
    expect(action.passStatuses).toEqual([404, 429]);
    const all = [400, 403, 404, 409, 410, 422, 429];
    for (const passStatuses of [all, []]) {
      expect(await mutate('updateAction', { id: action.id, passStatuses }, ACTION)).toEqual({ action: { ...action, passStatuses } });
    }
    expect(await issuePaths('updateAction', { id: 'act_demo_fail', passStatuses: [404] })).toEqual(['input.passStatuses']);
  });

  it('changes a price, effective from the next call', async () => {
    const { action, call } = await buildFaceAction();
    expect(await call()).toBe(10);
    expect(await mutate('updateAction', { id: action.id, priceMicroCredits: 25 }, ACTION)).toEqual({
      action: { ...action, priceMicroCredits: 25 },
    });
    expect(await call()).toBe(25);
    await mutate('updateAction', { id: action.id, priceMicroCredits: 0 }, ACTION);
    expect(await call()).toBe(0);
  });

  it('disables and enables an action, effective from the next call', async () => {
    const { action, call } = await buildFaceAction();
    await mutate('updateAction', { id: action.id, enabled: false }, ACTION);
    expect(await call()).toBe('UNKNOWN_ACTION');
    await mutate('updateAction', { id: action.id, enabled: true }, ACTION);
    expect(await call()).toBe(10);
  });

  it('changes the required permission, effective from the next call', async () => {
    const { action, call, key } = await buildFaceAction();
    const permission = `${action.permission}.again`;
    await mutate('updateAction', { id: action.id, permission }, ACTION);
    expect(await call()).toBe('FORBIDDEN');
    await mutate('updateKey', { id: key.id, permissions: [permission] }, '__typename');
    expect(await call()).toBe(10);
  });

  it('keeps absent fields, and refuses null for any field', async () => {
    const { action } = await buildFaceAction();
    expect(await mutate('updateAction', { id: action.id }, ACTION)).toEqual({ action });
    const changes = { upstreamUrl: `${upstreamUrl}v2`, timeoutMs: 100 };
    expect(await mutate('updateAction', { id: action.id, ...changes }, ACTION)).toEqual({ action: { ...action, ...changes } });
    const nulls = { priceMicroCredits: null, permission: null, upstreamUrl: null, timeoutMs: null, enabled: null };
    expect(await issuePaths('updateAction', { id: action.id, ...nulls })).toEqual(
      Object.keys(nulls)
        .map((field) => `input.${field}`)
        .sort(),
    );
    expect(await issuePaths('updateAction', { id: action.id, permission: 'write' })).toEqual(['input.permission']);
    expect(await refusal('updateAction', { id: ghostOf('act'), enabled: true })).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('changes the price of a built-in action, but refuses an upstreamUrl for it', async () => {
    const { data } = await app.graphql('{ actions { nodes { id service name upstreamUrl priceMicroCredits permission } } }');
    const builtIns = data.actions.nodes.filter(({ service }: { service: string }) => service === 'demo');
    expect(builtIns.map(({ id: _id, ...action }: { id: string }) => action)).toEqual([
      { service: 'demo', name: 'demo.echo', upstreamUrl: null, priceMicroCredits: 1000, permission: 'demo.echo' },
      { service: 'demo', name: 'demo.fail', upstreamUrl: null, priceMicroCredits: 1000, permission: 'demo.fail' },
    ]);
    expect(await issuePaths('updateAction', { id: builtIns[0].id, upstreamUrl })).toEqual(['input.upstreamUrl']);
    const { secret } = await buildKey(app);
    await mutate('updateAction', { id: builtIns[0].id, priceMicroCredits: 7 }, ACTION);
    expect((await app.rest({ secret })).body.billing.chargedMicroCredits).toBe(7);
  });
});

describe('the permissions of a key', () => {
  it('are names from Query.permissions, or a prefix of a name followed by .*', async () => {
    const { action, project } = await buildFaceAction({ permission: 'face.detect.all-of_it' });
    const { data } = await app.graphql('{ permissions { name description } }');
    const names: string[] = data.permissions.map(({ name }: { name: string }) => name);
    expect(names).toEqual(expect.arrayContaining(['demo.echo', 'demo.fail', 'read', 'write', 'admin', 'webhook', action.permission]));
    expect(new Set(names).size).toBe(names.length);
    for (const { description } of data.permissions) expect(description).toMatch(/\S/);
    const granted = [...names, 'demo.*', 'face.*', 'face.detect.*'];
    const { key } = await mutate('mintKey', { projectId: project.id, name: 'All', permissions: granted }, 'key { permissions }');
    expect(key.permissions).toEqual(granted);
  });

  it('are refused otherwise, with the position of each invalid one', async () => {
    const { project, key } = await buildKey(app);
    const permissions = [
      'demo.echo',
      '*',
      'demo.echo',
      '.*',
      'demo',
      'demo.ech.*',
      'demo.echo.*',
      'Demo.*',
      'demo.* ',
      'nothing',
      'read.nothing',
      '**',
      '',
    ];
    const wrong = permissions.flatMap((name, index) => (name === 'demo.echo' ? [] : [`input.permissions.${index}`])).sort();
    expect(await issuePaths('mintKey', { projectId: project.id, name: 'K', permissions })).toEqual(wrong);
    expect(await issuePaths('updateKey', { id: key.id, permissions })).toEqual(wrong);
  });

  it('are stored without duplicates, and a wildcard covers all names with its prefix', async () => {
    const { project } = await buildFaceAction({ permission: 'face.detect.one' });
    const input = { projectId: project.id, name: 'K', permissions: ['demo.*', 'face.detect.one', 'demo.*'] };
    const { key, secret } = await mutate('mintKey', input, 'secret key { permissions }');
    expect(key.permissions).toEqual(['demo.*', 'face.detect.one']);
    expect((await app.rest({ secret })).status).toBe(200);
    const { secret: reader } = await mutate('mintKey', { ...input, permissions: ['read', 'admin'] }, 'secret');
    expect((await app.rest({ secret: reader })).body.error).toMatchObject({
      code: 'FORBIDDEN',
      details: { required_permission: 'demo.echo' },
    });
  });

  it('can still be granted to a key that has them, even if no action requires them any more', async () => {
    const { action, key } = await buildFaceAction();
    await mutate('updateAction', { id: action.id, permission: 'face.renamed' }, ACTION);
    await mutate('updateKey', { id: key.id, permissions: [action.permission, 'face.renamed'] }, '__typename');
    const { key: other } = await buildKey(app);
    expect(await issuePaths('updateKey', { id: other.id, permissions: [action.permission] })).toEqual(['input.permissions.0']);
  });
});

describe('the catalogue', () => {
  it('is ordered by service and name, byte by byte', async () => {
    for (const [service, name] of [['aa', 'b'], ['a-b', 'x'], ['a', 'z'], ['a', 'Z'], ['a', 'a.b'], ['a', 'a-b'], ['a', 'a_b']]) {
      await mutate('createAction', { service, name, priceMicroCredits: 1, permission: 'a.b', upstreamUrl }, ACTION);
    }
    const { data } = await app.graphql('{ actions(first: 100) { nodes { service name } pageInfo { hasNextPage } } }');
    const listed: string[] = data.actions.nodes.map(({ service, name }: { service: string; name: string }) => `${service}\0${name}`);
    expect(listed.slice(0, 7)).toEqual(['a\0Z', 'a\0a-b', 'a\0a.b', 'a\0a_b', 'a\0z', 'a-b\0x', 'aa\0b']);
    expect(listed).toEqual([...listed].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))));
  });

  it('is visible to a key, except the upstreamUrl', async () => {
    const { secret, action } = await buildFaceAction();
    const query = `query ($id: ID!) {
      node(id: $id) { ... on Action { name priceMicroCredits upstreamUrl } }
      actions(first: 100) { nodes { upstreamUrl } }
      permissions { name }
    }`;
    const { data, errors } = await app.graphql(query, { id: action.id }, secret);
    expect(errors).toBeUndefined();
    expect(data.node).toEqual({ name: action.name, priceMicroCredits: 10, upstreamUrl: null });
    expect(new Set(data.actions.nodes.map((node: { upstreamUrl: string | null }) => node.upstreamUrl))).toEqual(new Set([null]));
    expect(data.permissions.length).toBeGreaterThan(4);
    expect((await app.graphql(query, { id: action.id })).data.node.upstreamUrl).toBe(upstreamUrl);
  });
});

describe('viewer', () => {
  it('is the operator, with all permissions', async () => {
    const { data } = await app.graphql('{ viewer { kind id actorId name permissions } }');
    expect(data.viewer).toEqual({ kind: 'OPERATOR', id: 'viewer_operator', actorId: 'operator', name: 'Operator', permissions: ['*'] });
  });

  it('is a key, with its granted permissions', async () => {
    const { key, secret } = await buildKey(app, { permissions: ['demo.*', 'read'] });
    const { data } = await app.graphql('{ viewer { kind id actorId name permissions } }', {}, secret);
    expect(data.viewer).toEqual({ kind: 'API_KEY', id: `viewer_${key.id}`, actorId: key.id, name: 'Key', permissions: ['demo.*', 'read'] });
  });
});
