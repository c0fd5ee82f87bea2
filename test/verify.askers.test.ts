import { mintSecret } from '../src/access/secret';
import { RefusalCount } from '../src/gate/gate.entities';
import { RequestLog } from '../src/requests/request-log.entity';
import type { Workspace } from '../src/tenancy/workspace.entity';
import { errorOf } from './support/answers';
import type { TestApp } from './support/app';
import { accountOf } from './support/books';
import { ORIGIN, buildKey, buildServiceAccount, buildWorkspace } from './support/factories';
import { closeNodes, createNodes } from './support/nodes';
import { VISION, buildVisionAction, post } from './support/verify';

// Who may verify, and what an asker learns about the credentials of other tenants.

jest.setTimeout(60_000);

let app: TestApp;
let other: TestApp;
let workspace: Workspace;
let asker: string;

beforeAll(async () => {
  [app, other] = await createNodes();
  await buildVisionAction(app);
  workspace = await buildWorkspace(app);
  asker = (await buildKey(app, { workspace, permissions: ['verify.keys'] })).secret;
});
afterAll(() => closeNodes(app, other));

const verify = (body: unknown, secret: string | undefined = asker, node = app) => post(node.url, '/v1/keys/verify', secret, body);
const buildCaller = (values: Parameters<typeof buildKey>[1] = {}) =>
  buildKey(app, { workspace, permissions: ['vision.*'], ...values });

const logsOf = (projectId: string) => app.database.reader.findBy(RequestLog, { projectId });

/** An answer without the parts that differ between two requests. */
const bytesOf = ({ status, body }: { status: number; body: unknown }) => `${status} ${JSON.stringify(body).replace(/[0-9a-f-]{36}/g, '')}`;

describe('the asker', () => {
  it('is the operator, a key or a service account with verify.keys, of its own or of its role', async () => {
    const { secret } = await buildCaller();
    const robot = await buildServiceAccount(app, { workspace, permissions: ['verify.keys'] });
    const owner = await buildKey(app, { workspace, permissions: [], roleId: 'rol_owner' });
    const token = await buildKey(app, { workspace, permissions: ['verify.*'] });
    for (const one of [app.rootKey, robot.secret, owner.secret, token.secret]) {
      for (let times = 0; times < 2; times += 1) expect((await verify({ ...VISION, key: secret }, one)).body.valid).toBe(true);
    }
  });

  it('needs the permission, and is refused as a whole', async () => {
    const { secret } = await buildCaller();
    const weak = await buildKey(app, { workspace, permissions: ['vision.*', 'read', 'write', 'webhook'] });
    const body = { ...VISION, key: secret };
    const needed = { http: 403, code: 'FORBIDDEN', details: { required_permission: 'verify.keys' } };
    expect(errorOf(await verify(body, weak.secret))).toMatchObject(needed);
    expect(errorOf(await verify({ verifications: [body] }, weak.secret))).toMatchObject(needed);
    const none = await post(app.url, '/v1/keys/verify', undefined, body);
    expect(errorOf(none)).toMatchObject({ http: 401, code: 'MISSING_API_KEY' });
    expect(errorOf(await verify(body, 'garbage'))).toMatchObject({ http: 401, code: 'INVALID_API_KEY' });
  });

  it.each(['a key', 'a service account'])('verifies nothing more once it is revoked: %s', async (kind) => {
    const caller = await buildCaller();
    const isKey = kind === 'a key';
    const own = await buildKey(app, { workspace, permissions: ['verify.keys'] });
    const robot = await buildServiceAccount(app, { workspace, permissions: ['verify.keys'] });
    const secret = isKey ? own.secret : robot.secret;
    const ask = (values = {}) => verify({ ...VISION, key: caller.secret, ...values }, secret, other);
    expect((await ask()).body.valid).toBe(true);
    if (isKey) await app.services.keys.revoke(ORIGIN, { id: own.key.id });
    else await app.services.serviceAccounts.disable(ORIGIN, { id: robot.account.id });
    const code = isKey ? 'REVOKED_API_KEY' : 'DISABLED_API_KEY';
    for (const values of [{}, { mode: 'peek' }, { mode: 'hold' }, { key: mintSecret('acme', 'LIVE') }, { key: 'malformed' }]) {
      expect(errorOf(await ask(values))).toMatchObject({ http: 401, code });
    }
    expect(errorOf(await verify({ verifications: [{ ...VISION, key: caller.secret }] }, secret, other))).toMatchObject({ http: 401, code });
    expect(await logsOf(caller.project.id)).toHaveLength(1);
  });

  it('loses the permission at once', async () => {
    const { secret } = await buildCaller();
    const own = await buildKey(app, { workspace, permissions: ['verify.keys'] });
    expect((await verify({ key: secret }, own.secret)).body.valid).toBe(true);
    await app.services.keys.update(ORIGIN, { id: own.key.id, permissions: ['read'] });
    expect(errorOf(await verify({ key: secret }, own.secret))).toMatchObject({ code: 'FORBIDDEN' });
  });
});

describe('tenancy', () => {
  it('answers a foreign key, an unknown one and a malformed one with the same bytes, and leaves no trace', async () => {
    const foreign = await buildKey(app, { permissions: ['vision.*'] });
    const own = await buildKey(app, { workspace, permissions: ['verify.keys'] });
    const before = await app.database.reader.count(RequestLog);
    const answers = [];
    for (const mode of ['charge', 'hold', 'peek']) {
      for (const key of [foreign.secret, mintSecret('acme', 'LIVE'), 'malformed']) {
        answers.push(bytesOf(await verify({ ...VISION, key, mode }, own.secret)));
      }
    }
    for (const key of [foreign.secret, mintSecret('acme', 'LIVE'), '']) answers.push(bytesOf(await verify({ key }, own.secret)));
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toContain('"code":"INVALID_API_KEY"');
    expect(await app.database.reader.count(RequestLog)).toBe(before);
    expect(await accountOf(app, foreign.project.id)).toMatchObject({ balance: 1_000_000, held: 0, holds: 0 });
    await app.gate['flushCounts']();
    expect(await app.database.reader.countBy(RefusalCount, { credentialId: foreign.key.id })).toBe(0);
    // The operator may verify every key, also after the process has seen it
    expect((await verify({ ...VISION, key: foreign.secret }, app.rootKey)).body.valid).toBe(true);
    expect(bytesOf(await verify({ ...VISION, key: foreign.secret }, own.secret))).toBe(answers[0]);
  });

  it('throttles an asker that tries more than 60 unknown keys a minute, and still answers about its own keys', async () => {
    const caller = await buildCaller();
    const own = await buildKey(app, { workspace, permissions: ['verify.keys'] });
    const unknown = Array.from({ length: 61 }, () => ({ ...VISION, key: mintSecret('acme', 'LIVE') }));
    const { body } = await verify({ verifications: unknown }, own.secret);
    const codes = body.verifications.map(({ code }: { code: string }) => code);
    expect(codes.filter((code: string) => code === 'INVALID_API_KEY')).toHaveLength(60);
    expect(codes.filter((code: string) => code === 'RATE_LIMITED')).toHaveLength(1);
    const refused = await verify({ ...VISION, key: mintSecret('acme', 'LIVE') }, own.secret);
    expect(errorOf(refused)).toMatchObject({ http: 429, code: 'RATE_LIMITED', details: { violated_policies: ['unknown_keys'] } });
    expect((await verify({ ...VISION, key: caller.secret }, own.secret)).body.valid).toBe(true);
    expect((await verify({ ...VISION, key: mintSecret('acme', 'LIVE') })).body.code).toBe('INVALID_API_KEY'); // another asker
  });
});
