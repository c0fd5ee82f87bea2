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

/** What the execute route answers a secret with: 200, or the code of its refusal. */
async function tryOut(secret: string): Promise<number | string> {
  const { status, body } = await app.rest({ secret });
  return status === 200 ? 200 : body.error.code;
}

const inMs = async (ms: number): Promise<string> => new Date((await app.database.now()).getTime() + ms).toISOString();

describe('mintKey', () => {
  it('gives a secret of the documented form, its last six characters the CRC-32 of all before them', async () => {
    const project = await buildProject(app, { workspace: await buildWorkspace(app, { keyPrefix: 'blue2' }) });
    const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
    for (const environment of ['LIVE', 'TEST']) {
      const { secret, key } = await mutate('mintKey', { projectId: project.id, name: 'K', environment, permissions: ['demo.echo'] }, 'secret key { hint environment status }');
      expect(secret).toMatch(new RegExp(`^blue2_${environment.toLowerCase()}_[0-9A-Za-z]{38}$`));
      const checksum = [...secret.slice(-6)].reduce((value, digit) => value * 62 + alphabet.indexOf(digit), 0);
      expect(checksum).toBe(crc32(secret.slice(0, -6)));
      expect(key).toEqual({ hint: `blue2_${environment.toLowerCase()}_...${secret.slice(-4)}`, environment, status: 'ACTIVE' });
      expect(await tryOut(secret)).toBe(200);
    }
  });

  it('shows the key as it was asked for, and LIVE without limits where nothing was said', async () => {
    const project = await buildProject(app);
    const all =
      'key { id name environment status permissions allowedIps expiresAt revokedAt revokedReason rotatedAt previousSecretValidUntil lastUsedAt project { id } requestLogs { nodes { id } } }';
    const nothing = { revokedAt: null, revokedReason: null, rotatedAt: null, previousSecretValidUntil: null, lastUsedAt: null, project: { id: project.id }, requestLogs: { nodes: [] } };
    const plain = await mutate('mintKey', { projectId: project.id, name: 'Plain', permissions: [] }, all);
    const id = expect.stringMatching(/^key_[0-9A-Za-z_-]{1,60}$/);
    expect(plain.key).toEqual({ id, name: 'Plain', environment: 'LIVE', status: 'ACTIVE', permissions: [], allowedIps: [], expiresAt: null, ...nothing });
    const rest = { permissions: ['demo.echo', 'demo.*', 'read'], allowedIps: ['10.1.2.3', '10.9.8.7/8', '::1'], expiresAt: await inMs(MINUTE_MS) };
    const full = await mutate('mintKey', { projectId: project.id, name: 'Full', environment: 'TEST', ...rest }, all);
    const allowedIps = ['10.1.2.3/32', '10.0.0.0/8', '::1/128'];
    expect(full.key).toEqual({ id, name: 'Full', environment: 'TEST', status: 'ACTIVE', ...rest, allowedIps, ...nothing });
  });

  it('never shows a secret again: not in the database, not in the log, not in any answer', async () => {
    const { key, secret, project } = await buildKey(app);
    const rotated = await mutate('rotateKey', { id: key.id, graceSeconds: 60 }, 'secret');
    for (const one of [secret, rotated.secret]) await app.rest({ secret: one, body: { action: 'demo.fail' } });
    await app.rest({ secret, raw: '{' });
    await app.graphql('{ viewer { id } }', {}, secret);
    await app.graphql('query ($id: ID!) { key(id: $id) { hint }', { id: secret });
    await mutate('revokeKey', { id: key.id }, '__typename');
    await app.rest({ secret });
    const { data } = await app.graphql('query ($id: ID!) { key(id: $id) { id name hint } node(id: $id) { ... on ApiKey { hint requestLogs { nodes { userAgent } } } } }', { id: key.id });
    const rows = await Promise.all(entities.map((entity) => app.database.reader.find<object>(entity)));
    const everything = JSON.stringify([rows, app.logLines, data]);
    expect(everything).toContain(project.id);
    for (const one of [secret, rotated.secret]) expect(everything).not.toContain(one.slice(-38, -4));
  });

  it('names every part of the input that is wrong, and says NOT_FOUND of a project that never was', async () => {
    const { id: projectId } = await buildProject(app, { budget: 0 });
    const wrong = { projectId, name: '', permissions: [], allowedIps: ['10.0.0.1', '10.0.0.0/33', 'example.com', '0x7f000001'] };
    expect(await issuePaths('mintKey', wrong)).toEqual(['input.allowedIps.1', 'input.allowedIps.2', 'input.allowedIps.3', 'input.name']);
    expect(await issuePaths('mintKey', { projectId, name: 'K', permissions: [], expiresAt: await inMs(-1) })).toEqual(['input.expiresAt']);
    expect(await refusal('mintKey', { projectId: ghostOf('prj'), name: 'K', permissions: [] })).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('updateKey', () => {
  it('disables and enables a key from the next call on', async () => {
    const { key, secret } = await buildKey(app);
    expect(await mutate('updateKey', { id: key.id, enabled: false }, 'key { status }')).toEqual({ key: { status: 'DISABLED' } });
    expect(await tryOut(secret)).toBe('DISABLED_API_KEY');
    expect(await mutate('updateKey', { id: key.id, enabled: true }, 'key { status }')).toEqual({ key: { status: 'ACTIVE' } });
    expect(await tryOut(secret)).toBe(200);
  });

  it('changes permissions and addresses from the next call on, and keeps what is absent', async () => {
    const { key, secret } = await buildKey(app, { permissions: ['demo.echo'] });
    const all = 'key { name permissions allowedIps expiresAt status }';
    const before = { name: 'Key', permissions: ['demo.echo'], allowedIps: [], expiresAt: null, status: 'ACTIVE' };
    expect(await mutate('updateKey', { id: key.id, permissions: ['demo.fail'] }, all)).toEqual({ key: { ...before, permissions: ['demo.fail'] } });
    expect(await tryOut(secret)).toBe('FORBIDDEN');
    await mutate('updateKey', { id: key.id, permissions: ['demo.echo'], allowedIps: ['10.0.0.0/8'] }, all);
    expect(await tryOut(secret)).toBe('IP_NOT_ALLOWED');
    const { key: last } = await mutate('updateKey', { id: key.id, name: 'New', allowedIps: ['127.0.0.1'] }, all);
    expect(last).toEqual({ ...before, name: 'New', allowedIps: ['127.0.0.1/32'] });
    expect(await tryOut(secret)).toBe(200);
    expect(await mutate('updateKey', { id: key.id }, all)).toEqual({ key: last });
  });

  it('ends the key now by an expiresAt in the past; null clears it, and so does no other field', async () => {
    const { key, secret } = await buildKey(app);
    const past = await inMs(-MINUTE_MS);
    expect(await mutate('updateKey', { id: key.id, expiresAt: past }, 'key { status expiresAt }')).toEqual({ key: { status: 'EXPIRED', expiresAt: past } });
    const { status, body } = await app.rest({ secret });
    expect({ status, error: body.error }).toMatchObject({ status: 401, error: { code: 'EXPIRED_API_KEY', details: { key_id: key.id, expired_at: past } } });
    expect(await mutate('updateKey', { id: key.id, expiresAt: null }, 'key { status expiresAt }')).toEqual({ key: { status: 'ACTIVE', expiresAt: null } });
    expect(await tryOut(secret)).toBe(200);
    const nulls = await issuePaths('updateKey', { id: key.id, name: null, permissions: null, allowedIps: null, enabled: null, expiresAt: null });
    expect(nulls).toEqual(['input.allowedIps', 'input.enabled', 'input.name', 'input.permissions']);
  });

  it('lets a key end by the clock, at its expiresAt and not before', async () => {
    const expiresAt = await inMs(10 * MINUTE_MS);
    const { key, secret } = await buildKey(app);
    await mutate('updateKey', { id: key.id, expiresAt }, '__typename');
    expect(await tryOut(secret)).toBe(200);
    app.travel(11 * MINUTE_MS);
    expect(await tryOut(secret)).toBe('EXPIRED_API_KEY');
    const { data } = await app.graphql('query ($id: ID!) { key(id: $id) { status } }', { id: key.id });
    expect(data.key.status).toBe('EXPIRED');
  });

  it('is CONFLICT for a revoked key and NOT_FOUND for one that never was', async () => {
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

  it('replaces the secret at once where no grace is given; the key stays the same', async () => {
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
    expect({ status, error: body.error }).toMatchObject({ status: 401, error: { code: 'REVOKED_API_KEY', details: { key_id: key.id, revoked_at: rotated.key.rotatedAt } } });
    expect(await tryOut(rotated.secret)).toBe(200);
  });

  it('lets both secrets work for graceSeconds, and then the new one alone', async () => {
    const { key, secret } = await buildKey(app);
    const { secret: next, key: rotated } = await mutate('rotateKey', { id: key.id, graceSeconds: 600 }, all);
    expect(Date.parse(rotated.previousSecretValidUntil) - Date.parse(rotated.rotatedAt)).toBe(600_000);
    expect([await tryOut(secret), await tryOut(next)]).toEqual([200, 200]);
    app.travel(601_000);
    expect([await tryOut(secret), await tryOut(next)]).toEqual(['REVOKED_API_KEY', 200]);
    const { data } = await app.graphql('query ($id: ID!) { key(id: $id) { previousSecretValidUntil rotatedAt } }', { id: key.id });
    expect(data.key).toEqual({ previousSecretValidUntil: null, rotatedAt: rotated.rotatedAt });
  });

  it('ends the oldest of three secrets at once, though its grace is not over', async () => {
    const { key, secret: first } = await buildKey(app);
    const { secret: second } = await mutate('rotateKey', { id: key.id, graceSeconds: 3_600 }, all);
    const { secret: third } = await mutate('rotateKey', { id: key.id, graceSeconds: 60 }, all);
    expect([await tryOut(first), await tryOut(second), await tryOut(third)]).toEqual(['REVOKED_API_KEY', 200, 200]);
    const { secret: fourth, key: last } = await mutate('rotateKey', { id: key.id }, all);
    expect([await tryOut(second), await tryOut(third), await tryOut(fourth)]).toEqual(['REVOKED_API_KEY', 'REVOKED_API_KEY', 200]);
    expect(last.previousSecretValidUntil).toBeNull();
  });

  it("keeps no secret alive beyond the key's own expiry", async () => {
    const expiresAt = await inMs(5 * MINUTE_MS);
    const { key, secret } = await buildKey(app, { expiresAt: new Date(expiresAt) });
    const { secret: next, key: rotated } = await mutate('rotateKey', { id: key.id, graceSeconds: 3_600 }, all);
    expect(rotated.previousSecretValidUntil).toBe(expiresAt);
    app.travel(6 * MINUTE_MS);
    expect(await tryOut(secret)).toMatch(/^(REVOKED|EXPIRED)_API_KEY$/);
    expect(await tryOut(next)).toBe('EXPIRED_API_KEY');
    expect(await refusal('rotateKey', { id: key.id })).toMatchObject({ code: 'CONFLICT' });
  });

  it('says nothing of a previous secret that an expiry has ended before its grace', async () => {
    const { key } = await buildKey(app);
    await mutate('rotateKey', { id: key.id, graceSeconds: 3_600 }, all);
    const { key: ended } = await mutate('updateKey', { id: key.id, expiresAt: await inMs(-1) }, 'key { previousSecretValidUntil }');
    expect(ended.previousSecretValidUntil).toBeNull();
  });

  it('refuses a grace outside 0 to 30 days, a revoked key and one that never was', async () => {
    const { key } = await buildKey(app);
    for (const graceSeconds of [-1, 2_592_001, 1.5, '60', null]) expect(await issuePaths('rotateKey', { id: key.id, graceSeconds })).toEqual(['input.graceSeconds']);
    await mutate('rotateKey', { id: key.id, graceSeconds: 2_592_000 }, all);
    await mutate('revokeKey', { id: key.id }, '__typename');
    expect(await refusal('rotateKey', { id: key.id })).toMatchObject({ code: 'CONFLICT' });
    expect(await refusal('rotateKey', { id: NO_KEY })).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('revokeKey', () => {
  const all = 'key { id status revokedAt revokedReason previousSecretValidUntil }';

  it('refuses both secrets at once and for good', async () => {
    const { key, secret } = await buildKey(app);
    const { secret: next } = await mutate('rotateKey', { id: key.id, graceSeconds: 3_600 }, 'secret');
    const { key: revoked } = await mutate('revokeKey', { id: key.id, reason: 'Leaked in a log.' }, all);
    expect(revoked).toEqual({ id: key.id, status: 'REVOKED', revokedAt: expect.stringMatching(/Z$/), revokedReason: 'Leaked in a log.', previousSecretValidUntil: null });
    for (const one of [secret, next]) {
      const { status, body } = await app.rest({ secret: one });
      expect({ status, error: body.error }).toMatchObject({ status: 401, error: { code: 'REVOKED_API_KEY', details: { key_id: key.id, revoked_at: revoked.revokedAt } } });
      expect((await app.graphql('{ viewer { id } }', {}, one)).status).toBe(401);
    }
  });

  it('answers the same when repeated, whatever reason is given then', async () => {
    const { key } = await buildKey(app);
    const first = await mutate('revokeKey', { id: key.id }, all);
    expect(first.key.revokedReason).toBeNull();
    app.travel(1_000);
    expect(await mutate('revokeKey', { id: key.id, reason: 'Second thoughts.' }, all)).toEqual(first);
  });

  it('refuses a reason that is none, and says NOT_FOUND of a key that never was', async () => {
    const { key } = await buildKey(app);
    for (const reason of ['', ' ', 'x'.repeat(501), 'a\u0007b']) expect(await issuePaths('revokeKey', { id: key.id, reason })).toEqual(['input.reason']);
    expect(await refusal('revokeKey', { id: NO_KEY })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await mutate('revokeKey', { id: key.id, reason: '🔑'.repeat(500) }, 'key { status }')).toEqual({ key: { status: 'REVOKED' } });
  });
});

it('shows when a key was last used', async () => {
  const { key, secret } = await buildKey(app);
  await app.rest({ secret });
  const { data } = await app.graphql('query ($id: ID!) { key(id: $id) { lastUsedAt requestLogs { nodes { createdAt key { id } } } } }', { id: key.id });
  const [log] = data.key.requestLogs.nodes;
  expect(data.key.lastUsedAt).toBe(log.createdAt);
  expect(log.key.id).toBe(key.id);
});

describe('changes that come at once', () => {
  const ROUNDS = 12;
  const living = (keyId: string) => app.database.reader.findBy(KeySecret, { keyId, endedAt: IsNull() });

  /** The payload of a mutation, or null where it is refused as CONFLICT. */
  const unlessConflict = async (name: string, input: Record<string, unknown>, selection: string) => {
    try {
      return await mutate(name, input, selection);
    } catch (error) {
      expect((error as Error).message).toContain('"code":"CONFLICT"');
      return null;
    }
  };

  it('bring no revoked key back: whatever is updated beside it, it ends revoked', async () => {
    const { project } = await buildKey(app);
    for (let round = 0; round < ROUNDS; round += 1) {
      const { key, secret } = await buildKey(app, { project });
      const update = (change: Record<string, unknown>) => unlessConflict('updateKey', { id: key.id, ...change }, 'key { status }');
      const revoke = () => mutate('revokeKey', { id: key.id }, 'key { status }');
      const [, , , revoked] = await Promise.all([update({ name: 'One' }), update({ enabled: true, expiresAt: null }), update({ permissions: ['demo.echo'] }), revoke(), update({ enabled: false })]);
      expect(revoked.key.status).toBe('REVOKED');
      const { data } = await app.graphql('query ($id: ID!) { key(id: $id) { status revokedAt } }', { id: key.id });
      expect(data.key).toEqual({ status: 'REVOKED', revokedAt: expect.any(String) });
      expect(await tryOut(secret)).toBe('REVOKED_API_KEY');
    }
  });

  it('leave no secret of a revoked key alive, though it was rotated in the same moment', async () => {
    const { project } = await buildKey(app);
    for (let round = 0; round < ROUNDS; round += 1) {
      const { key, secret } = await buildKey(app, { project });
      const rotate = () => unlessConflict('rotateKey', { id: key.id, graceSeconds: 600 }, 'secret');
      const [one, , other] = await Promise.all([rotate(), mutate('revokeKey', { id: key.id }, '__typename'), rotate()]);
      for (const each of [secret, one?.secret, other?.secret]) if (each) expect(await tryOut(each)).toBe('REVOKED_API_KEY');
      expect(await living(key.id)).toEqual([]);
    }
  });

  it('leave a key two secrets at most, however often it is rotated', async () => {
    for (let round = 0; round < 3; round += 1) {
      const { key, secret } = await buildKey(app);
      const rotated = await Promise.all(Array.from({ length: 6 }, () => mutate('rotateKey', { id: key.id, graceSeconds: 600 }, 'secret')));
      const tried = await Promise.all([secret, ...rotated.map((payload) => payload.secret)].map(tryOut));
      expect(tried.sort()).toEqual([200, 200, ...Array.from({ length: 5 }, () => 'REVOKED_API_KEY')]);
      expect((await living(key.id)).map(({ graceUntil }) => graceUntil === null).sort()).toEqual([false, true]);
    }
  });

  it('leave nothing that works in a project that is archived while keys are minted in it', async () => {
    const project = await buildProject(app);
    const mint = () => unlessConflict('mintKey', { projectId: project.id, name: 'K', permissions: ['demo.*'] }, 'secret');
    const [one, two, , three] = await Promise.all([mint(), mint(), mutate('archiveProject', { id: project.id }, '__typename'), mint(), mint()]);
    for (const minted of [one, two, three]) if (minted) expect(await tryOut(minted.secret)).toBe('DISABLED_API_KEY');
    expect(await mint()).toBeNull();
  });
});
