import { crc32 } from 'node:zlib';
import { IsNull } from 'typeorm';
import { entities } from '../src/entities';
import { KeySecret } from '../src/keys/key.entity';
import { createTestApp, type TestApp } from './support/app';
import { buildKey, buildProject, buildWorkspace, ghostOf } from './support/factories';
import { mutations } from './support/mutate';

let app: TestApp;
let mutate: ReturnType<typeof mutations>['mutate'];
let refusal: ReturnType<typeof mutations>['refusal'];
let issuePaths: ReturnType<typeof mutations>['issuePaths'];

beforeAll(async () => {
  app = await createTestApp();
  ({ mutate, refusal, issuePaths } = mutations(app));
});

afterAll(() => app.close());

const NO_KEY = ghostOf('key');
const MINUTE_MS = 60_000;

/** Calls the execute route with a secret. Returns 200 or the error code. */
async function callWith(secret: string): Promise<number | string> {
  const { status, body } = await app.rest({ secret });
  return status === 200 ? 200 : body.error.code;
}

const inMs = async (ms: number): Promise<string> => new Date((await app.database.now()).getTime() + ms).toISOString();

describe('mintKey', () => {
  it('returns a secret in the documented form, which ends with the CRC-32 of the characters before it', async () => {
    const project = await buildProject(app, { workspace: await buildWorkspace(app, { keyPrefix: 'blue2' }) });
    const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
    for (const environment of ['LIVE', 'TEST']) {
      const { secret, key } = await mutate(
        'mintKey',
        { projectId: project.id, name: 'K', environment, permissions: ['demo.echo'] },
        'secret key { hint environment status }',
      );
      expect(secret).toMatch(new RegExp(`^blue2_${environment.toLowerCase()}_[0-9A-Za-z]{38}$`));
      const checksum = [...secret.slice(-6)].reduce((value, digit) => value * 62 + alphabet.indexOf(digit), 0);
      expect(checksum).toBe(crc32(secret.slice(0, -6)));
      expect(key).toEqual({ hint: `blue2_${environment.toLowerCase()}_...${secret.slice(-4)}`, environment, status: 'ACTIVE' });
      expect(await callWith(secret)).toBe(200);
    }
  });

  it('returns the key with the given properties, or a LIVE key without limits by default', async () => {
    const project = await buildProject(app);
    const all = `
      key {
        id name environment status permissions allowedIps expiresAt revokedAt revokedReason rotatedAt
        previousSecretValidUntil lastUsedAt
        project { id }
        requestLogs { nodes { id } }
      }
    `;
    const unused = {
      revokedAt: null,
      revokedReason: null,
      rotatedAt: null,
      previousSecretValidUntil: null,
      lastUsedAt: null,
      project: { id: project.id },
      requestLogs: { nodes: [] },
    };
    const plain = await mutate('mintKey', { projectId: project.id, name: 'Plain', permissions: [] }, all);
    const id = expect.stringMatching(/^key_[0-9A-Za-z_-]{1,60}$/);
    expect(plain.key).toEqual({
      id,
      name: 'Plain',
      environment: 'LIVE',
      status: 'ACTIVE',
      permissions: [],
      allowedIps: [],
      expiresAt: null,
      ...unused,
    });
    const rest = {
      permissions: ['demo.echo', 'demo.*', 'read'],
      allowedIps: ['10.1.2.3', '10.9.8.7/8', '::1'],
      expiresAt: await inMs(MINUTE_MS),
    };
    const full = await mutate('mintKey', { projectId: project.id, name: 'Full', environment: 'TEST', ...rest }, all);
    const allowedIps = ['10.1.2.3/32', '10.0.0.0/8', '::1/128'];
    expect(full.key).toEqual({ id, name: 'Full', environment: 'TEST', status: 'ACTIVE', ...rest, allowedIps, ...unused });
  });

  it('never shows a secret again: not in the database, the log or an answer', async () => {
    const { key, secret, project } = await buildKey(app);
    const rotated = await mutate('rotateKey', { id: key.id, graceSeconds: 60 }, 'secret');
    const secrets = [secret, rotated.secret];
    for (const each of secrets) await app.rest({ secret: each, body: { action: 'demo.fail' } });
    await app.rest({ secret, raw: '{' });
    await app.graphql('{ viewer { id } }', {}, secret);
    await app.graphql('query ($id: ID!) { key(id: $id) { hint }', { id: secret });
    await mutate('revokeKey', { id: key.id }, '__typename');
    await app.rest({ secret });
    const { data } = await app.graphql(
      'query ($id: ID!) { key(id: $id) { id name hint } node(id: $id) { ... on ApiKey { hint requestLogs { nodes { userAgent } } } } }',
      { id: key.id },
    );
    const rows = await Promise.all(entities.map((entity) => app.database.reader.find<object>(entity)));
    const everything = JSON.stringify([rows, app.logLines, data]);
    expect(everything).toContain(project.id);
    for (const each of secrets) expect(everything).not.toContain(each.slice(-38, -4));
  });

  it('lists every invalid part of the input, and returns NOT_FOUND for a project that does not exist', async () => {
    const { id: projectId } = await buildProject(app, { budget: 0 });
    const wrong = { projectId, name: '', permissions: [], allowedIps: ['10.0.0.1', '10.0.0.0/33', 'example.com', '0x7f000001'] };
    expect(await issuePaths('mintKey', wrong)).toEqual(['input.allowedIps.1', 'input.allowedIps.2', 'input.allowedIps.3', 'input.name']);
    expect(await issuePaths('mintKey', { projectId, name: 'K', permissions: [], expiresAt: await inMs(-1) })).toEqual(['input.expiresAt']);
    expect(await refusal('mintKey', { projectId: ghostOf('prj'), name: 'K', permissions: [] })).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('updateKey', () => {
  it('disables and enables a key, effective from the next call', async () => {
    const { key, secret } = await buildKey(app);
    expect(await mutate('updateKey', { id: key.id, enabled: false }, 'key { status }')).toEqual({ key: { status: 'DISABLED' } });
    expect(await callWith(secret)).toBe('DISABLED_API_KEY');
    expect(await mutate('updateKey', { id: key.id, enabled: true }, 'key { status }')).toEqual({ key: { status: 'ACTIVE' } });
    expect(await callWith(secret)).toBe(200);
  });

  it('changes permissions and addresses from the next call on, and keeps absent fields', async () => {
    const { key, secret } = await buildKey(app, { permissions: ['demo.echo'] });
    const all = 'key { name permissions allowedIps expiresAt status }';
    const before = { name: 'Key', permissions: ['demo.echo'], allowedIps: [], expiresAt: null, status: 'ACTIVE' };
    expect(await mutate('updateKey', { id: key.id, permissions: ['demo.fail'] }, all)).toEqual({
      key: { ...before, permissions: ['demo.fail'] },
    });
    expect(await callWith(secret)).toBe('FORBIDDEN');
    await mutate('updateKey', { id: key.id, permissions: ['demo.echo'], allowedIps: ['10.0.0.0/8'] }, all);
    expect(await callWith(secret)).toBe('IP_NOT_ALLOWED');
    const { key: last } = await mutate('updateKey', { id: key.id, name: 'New', allowedIps: ['127.0.0.1'] }, all);
    expect(last).toEqual({ ...before, name: 'New', allowedIps: ['127.0.0.1/32'] });
    expect(await callWith(secret)).toBe(200);
    expect(await mutate('updateKey', { id: key.id }, all)).toEqual({ key: last });
  });

  it('ends the key at once with an expiresAt in the past; only expiresAt accepts null, which clears it', async () => {
    const { key, secret } = await buildKey(app);
    const past = await inMs(-MINUTE_MS);
    expect(await mutate('updateKey', { id: key.id, expiresAt: past }, 'key { status expiresAt }')).toEqual({
      key: { status: 'EXPIRED', expiresAt: past },
    });
    const { status, body } = await app.rest({ secret });
    expect({ status, error: body.error }).toMatchObject({
      status: 401,
      error: { code: 'EXPIRED_API_KEY', details: { key_id: key.id, expired_at: past } },
    });
    expect(await mutate('updateKey', { id: key.id, expiresAt: null }, 'key { status expiresAt }')).toEqual({
      key: { status: 'ACTIVE', expiresAt: null },
    });
    expect(await callWith(secret)).toBe(200);
    const nulls = await issuePaths('updateKey', {
      id: key.id,
      name: null,
      permissions: null,
      allowedIps: null,
      enabled: null,
      expiresAt: null,
    });
    expect(nulls).toEqual(['input.allowedIps', 'input.enabled', 'input.name', 'input.permissions']);
  });

  it('refuses a key from its expiresAt on, and not before', async () => {
    const expiresAt = await inMs(10 * MINUTE_MS);
    const { key, secret } = await buildKey(app);
    await mutate('updateKey', { id: key.id, expiresAt }, '__typename');
    expect(await callWith(secret)).toBe(200);
    app.travel(11 * MINUTE_MS);
    expect(await callWith(secret)).toBe('EXPIRED_API_KEY');
    const { data } = await app.graphql('query ($id: ID!) { key(id: $id) { status } }', { id: key.id });
    expect(data.key.status).toBe('EXPIRED');
  });

  it('returns CONFLICT for a revoked key, and NOT_FOUND for a key that does not exist', async () => {
    const { key } = await buildKey(app);
    await mutate('revokeKey', { id: key.id }, '__typename');
    for (const change of [{}, { enabled: true }, { expiresAt: null }, { name: 'New' }]) {
      expect(await refusal('updateKey', { id: key.id, ...change })).toMatchObject({ code: 'CONFLICT' });
    }
    expect(await refusal('updateKey', { id: NO_KEY, name: 'New' })).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('rotateKey', () => {
  const all = 'secret key { id name hint rotatedAt previousSecretValidUntil status }';

  it('replaces the secret at once without grace; the key stays the same', async () => {
    const { key, secret } = await buildKey(app);
    const rotated = await mutate('rotateKey', { id: key.id }, all);
    expect(rotated.key).toEqual({
      id: key.id,
      name: 'Key',
      hint: `acme_live_...${rotated.secret.slice(-4)}`,
      rotatedAt: expect.stringMatching(/Z$/),
      previousSecretValidUntil: null,
      status: 'ACTIVE',
    });
    const { status, body } = await app.rest({ secret });
    expect({ status, error: body.error }).toMatchObject({
      status: 401,
      error: { code: 'REVOKED_API_KEY', details: { key_id: key.id, revoked_at: rotated.key.rotatedAt } },
    });
    expect(await callWith(rotated.secret)).toBe(200);
  });

  it('lets both secrets work for graceSeconds, and then only the new one', async () => {
    const { key, secret } = await buildKey(app);
    const { secret: next, key: rotated } = await mutate('rotateKey', { id: key.id, graceSeconds: 600 }, all);
    expect(Date.parse(rotated.previousSecretValidUntil) - Date.parse(rotated.rotatedAt)).toBe(600_000);
    expect([await callWith(secret), await callWith(next)]).toEqual([200, 200]);
    app.travel(601_000);
    expect([await callWith(secret), await callWith(next)]).toEqual(['REVOKED_API_KEY', 200]);
    const { data } = await app.graphql('query ($id: ID!) { key(id: $id) { previousSecretValidUntil rotatedAt } }', { id: key.id });
    expect(data.key).toEqual({ previousSecretValidUntil: null, rotatedAt: rotated.rotatedAt });
  });

  it('ends the oldest of three secrets at once, even if its grace period is not over', async () => {
    const { key, secret: first } = await buildKey(app);
    const { secret: second } = await mutate('rotateKey', { id: key.id, graceSeconds: 3_600 }, all);
    const { secret: third } = await mutate('rotateKey', { id: key.id, graceSeconds: 60 }, all);
    expect([await callWith(first), await callWith(second), await callWith(third)]).toEqual(['REVOKED_API_KEY', 200, 200]);
    const { secret: fourth, key: last } = await mutate('rotateKey', { id: key.id }, all);
    expect([await callWith(second), await callWith(third), await callWith(fourth)]).toEqual(['REVOKED_API_KEY', 'REVOKED_API_KEY', 200]);
    expect(last.previousSecretValidUntil).toBeNull();
  });

  it("ends both secrets at the key's expiry", async () => {
    const expiresAt = await inMs(5 * MINUTE_MS);
    const { key, secret } = await buildKey(app, { expiresAt: new Date(expiresAt) });
    const { secret: next, key: rotated } = await mutate('rotateKey', { id: key.id, graceSeconds: 3_600 }, all);
    expect(rotated.previousSecretValidUntil).toBe(expiresAt);
    app.travel(6 * MINUTE_MS);
    expect(await callWith(secret)).toMatch(/^(REVOKED|EXPIRED)_API_KEY$/);
    expect(await callWith(next)).toBe('EXPIRED_API_KEY');
    expect(await refusal('rotateKey', { id: key.id })).toMatchObject({ code: 'CONFLICT' });
  });

  it('shows no previous secret if the key expired before the grace period ended', async () => {
    const { key } = await buildKey(app);
    await mutate('rotateKey', { id: key.id, graceSeconds: 3_600 }, all);
    const { key: ended } = await mutate('updateKey', { id: key.id, expiresAt: await inMs(-1) }, 'key { previousSecretValidUntil }');
    expect(ended.previousSecretValidUntil).toBeNull();
  });

  it('refuses a grace outside 0 to 30 days, a revoked key and a key that does not exist', async () => {
    const { key } = await buildKey(app);
    for (const graceSeconds of [-1, 2_592_001, 1.5, '60', null])
      expect(await issuePaths('rotateKey', { id: key.id, graceSeconds })).toEqual(['input.graceSeconds']);
    await mutate('rotateKey', { id: key.id, graceSeconds: 2_592_000 }, all);
    await mutate('revokeKey', { id: key.id }, '__typename');
    expect(await refusal('rotateKey', { id: key.id })).toMatchObject({ code: 'CONFLICT' });
    expect(await refusal('rotateKey', { id: NO_KEY })).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('revokeKey', () => {
  const all = 'key { id status revokedAt revokedReason previousSecretValidUntil }';

  it('refuses both secrets at once and for ever', async () => {
    const { key, secret } = await buildKey(app);
    const { secret: next } = await mutate('rotateKey', { id: key.id, graceSeconds: 3_600 }, 'secret');
    const { key: revoked } = await mutate('revokeKey', { id: key.id, reason: 'Leaked in a log.' }, all);
    expect(revoked).toEqual({
      id: key.id,
      status: 'REVOKED',
      revokedAt: expect.stringMatching(/Z$/),
      revokedReason: 'Leaked in a log.',
      previousSecretValidUntil: null,
    });
    for (const each of [secret, next]) {
      const { status, body } = await app.rest({ secret: each });
      expect({ status, error: body.error }).toMatchObject({
        status: 401,
        error: { code: 'REVOKED_API_KEY', details: { key_id: key.id, revoked_at: revoked.revokedAt } },
      });
      expect((await app.graphql('{ viewer { id } }', {}, each)).status).toBe(401);
    }
  });

  it('returns the first answer when repeated, even with another reason', async () => {
    const { key } = await buildKey(app);
    const first = await mutate('revokeKey', { id: key.id }, all);
    expect(first.key.revokedReason).toBeNull();
    app.travel(1_000);
    expect(await mutate('revokeKey', { id: key.id, reason: 'Second thoughts.' }, all)).toEqual(first);
  });

  it('refuses an invalid reason, and returns NOT_FOUND for a key that does not exist', async () => {
    const { key } = await buildKey(app);
    for (const reason of ['', ' ', 'x'.repeat(501), 'a\u0007b'])
      expect(await issuePaths('revokeKey', { id: key.id, reason })).toEqual(['input.reason']);
    expect(await refusal('revokeKey', { id: NO_KEY })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await mutate('revokeKey', { id: key.id, reason: '🔑'.repeat(500) }, 'key { status }')).toEqual({ key: { status: 'REVOKED' } });
  });
});

it('shows when a key was last used', async () => {
  const { key, secret } = await buildKey(app);
  await app.rest({ secret });
  const { data } = await app.graphql('query ($id: ID!) { key(id: $id) { lastUsedAt requestLogs { nodes { createdAt key { id } } } } }', {
    id: key.id,
  });
  const [log] = data.key.requestLogs.nodes;
  expect(data.key.lastUsedAt).toBe(log.createdAt);
  expect(log.key.id).toBe(key.id);
});

describe('concurrent changes', () => {
  const ROUNDS = 12;
  const living = (keyId: string) => app.database.reader.findBy(KeySecret, { keyId, endedAt: IsNull() });

  /** Returns the payload of a mutation, or null if it is refused with CONFLICT. */
  const unlessConflict = async (name: string, input: Record<string, unknown>, selection: string) => {
    try {
      return await mutate(name, input, selection);
    } catch (error) {
      expect((error as Error).message).toContain('"code":"CONFLICT"');
      return null;
    }
  };

  it('never bring a revoked key back, no matter which update runs at the same time', async () => {
    const { project } = await buildKey(app);
    for (let round = 0; round < ROUNDS; round += 1) {
      const { key, secret } = await buildKey(app, { project });
      const update = (change: Record<string, unknown>) => unlessConflict('updateKey', { id: key.id, ...change }, 'key { status }');
      const revoke = () => mutate('revokeKey', { id: key.id }, 'key { status }');
      const [, , , revoked] = await Promise.all([
        update({ name: 'One' }),
        update({ enabled: true, expiresAt: null }),
        update({ permissions: ['demo.echo'] }),
        revoke(),
        update({ enabled: false }),
      ]);
      expect(revoked.key.status).toBe('REVOKED');
      const { data } = await app.graphql('query ($id: ID!) { key(id: $id) { status revokedAt } }', { id: key.id });
      expect(data.key).toEqual({ status: 'REVOKED', revokedAt: expect.any(String) });
      expect(await callWith(secret)).toBe('REVOKED_API_KEY');
    }
  });

  it('leave no working secret of a revoked key that was rotated at the same time', async () => {
    const { project } = await buildKey(app);
    for (let round = 0; round < ROUNDS; round += 1) {
      const { key, secret } = await buildKey(app, { project });
      const rotate = () => unlessConflict('rotateKey', { id: key.id, graceSeconds: 600 }, 'secret');
      const [first, , second] = await Promise.all([rotate(), mutate('revokeKey', { id: key.id }, '__typename'), rotate()]);
      for (const each of [secret, first?.secret, second?.secret]) if (each) expect(await callWith(each)).toBe('REVOKED_API_KEY');
      expect(await living(key.id)).toEqual([]);
    }
  });

  it('leave a key with at most two secrets after many rotations', async () => {
    for (let round = 0; round < 3; round += 1) {
      const { key, secret } = await buildKey(app);
      const rotated = await Promise.all(Array.from({ length: 6 }, () => mutate('rotateKey', { id: key.id, graceSeconds: 600 }, 'secret')));
      const tried = await Promise.all([secret, ...rotated.map((payload) => payload.secret)].map(callWith));
      expect(tried.sort()).toEqual([200, 200, ...Array.from({ length: 5 }, () => 'REVOKED_API_KEY')]);
      expect((await living(key.id)).map(({ graceUntil }) => graceUntil === null).sort()).toEqual([false, true]);
    }
  });

  it('leave no working key in a project that is archived while keys are minted in it', async () => {
    const project = await buildProject(app);
    const mint = () => unlessConflict('mintKey', { projectId: project.id, name: 'K', permissions: ['demo.*'] }, 'secret');
    const [first, second, , third] = await Promise.all([
      mint(),
      mint(),
      mutate('archiveProject', { id: project.id }, '__typename'),
      mint(),
      mint(),
    ]);
    for (const minted of [first, second, third]) if (minted) expect(await callWith(minted.secret)).toBe('DISABLED_API_KEY');
    expect(await mint()).toBeNull();
  });
});
