import { createPublicKey, verify, type JsonWebKey } from 'node:crypto';
import { AuditEvent } from '../src/audit/event.entity';
import { SigningKey } from '../src/oauth/signing-key.entity';
import { createTestApp, PEPPER, type TestApp } from './support/app';
import { buildClient, codeFor, redeem } from './support/oauth';
import { runCli } from './support/process';
import { until } from './support/until';

// The keys that sign ID tokens. The tests move the clock by months, so they have a file of their own.

let app: TestApp;
let other: TestApp;

beforeAll(async () => {
  app = await createTestApp();
  other = await createTestApp({ databaseUrl: app.databaseUrl, config: { publicUrl: app.url } });
});

afterAll(async () => {
  await other.close();
  await app.close();
});

describe('the keys that sign ID tokens', () => {
  /** Returns the id of the key of an ID token. Verifies the signature with the published key of that id. */
  async function signerOf(idToken: string): Promise<string> {
    const [head = '', body = '', signature = ''] = idToken.split('.');
    const { kid } = JSON.parse(Buffer.from(head, 'base64url').toString()) as { kid: string };
    const { keys } = (await (await fetch(`${other.url}/oauth/jwks`)).json()) as { keys: (JsonWebKey & { kid: string })[] };
    const key = createPublicKey({ key: keys.find((one) => one.kid === kid) as JsonWebKey, format: 'jwk' });
    expect(verify('RSA-SHA256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'))).toBe(true);
    return kid;
  }

  const newIdToken = async (): Promise<string> => {
    const built = await buildClient(app); // with a new session
    return (await redeem(app, built, await codeFor(app, built))).body.id_token as string;
  };

  const kidsOf = async (node: TestApp) =>
    ((await (await fetch(`${node.url}/oauth/jwks`)).json()) as { keys: { kid: string; d?: string }[] }).keys.map(({ kid, d }) =>
      d === undefined ? kid : 'a private key',
    );

  it('are replaced by a command at once and on every node, after a leak', async () => {
    const before = await signerOf(await newIdToken());
    expect(await runCli(['oauth-signing-key'], { env: { DATABASE_URL: app.databaseUrl, KEY_PEPPER: PEPPER } })).toMatchObject({
      code: 0,
      stdout: 'A new key signs ID tokens from now on. The previous keys have ended.\n',
    });
    for (const node of [app, other]) await until(async () => !(await kidsOf(node)).includes(before), 'the key to be gone');
    const [after, ...more] = await kidsOf(app);
    expect(more).toEqual([]);
    expect(await signerOf(await newIdToken())).toBe(after);
    expect(await app.database.reader.findOneByOrFail(AuditEvent, { subjectId: 'oauth-key-2' })).toMatchObject({
      action: 'oauth-key.made',
      after: { number: 2, ended: [1] },
    });
  });

  it('rotate: the next key is published before it signs, and the previous one while its ID tokens are valid', async () => {
    const day = 86_400_000;
    /** Returns the keys that both nodes publish, shortly after the given time. */
    const at = async (ms: number, isSo: (kids: string[]) => boolean) => {
      for (const node of [app, other]) node.travel(ms);
      let kids: string[][] = [];
      await until(async () => {
        kids = [await kidsOf(app), await kidsOf(other)];
        return kids.every((ofNode) => isSo(ofNode));
      }, 'both nodes to publish the keys of that time');
      const [here, there] = kids;
      expect(there).toEqual(here);
      return here as string[];
    };
    const first = await at(0, (kids) => kids.length === 1);
    const prepared = await at(90 * day, (kids) => kids.length === 2);
    expect(prepared).toEqual([...first, expect.any(String)]);
    const before = await newIdToken();
    expect(await signerOf(before)).toBe(first[0]);
    const changed = await at(day, (kids) => kids[1] === first[0]);
    expect(changed).toEqual([...prepared].reverse());
    expect(await signerOf(before)).toBe(first[0]);
    expect(await signerOf(await newIdToken())).toBe(prepared[1]);
    expect(await at(day, (kids) => kids.length === 1)).toEqual(prepared.slice(1));
    for (const node of [app, other]) node.travel(-92 * day);
    const rows = await app.database.reader.find(SigningKey);
    expect(rows).toHaveLength(2);
    expect(rows.every(({ sealed }) => !sealed.includes('"kty"'))).toBe(true);
  });
});
