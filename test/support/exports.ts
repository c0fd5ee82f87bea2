import { LOOK_BACK_MS } from '../../src/requests/request-log.feed';
import { Environment } from '../../src/tenancy/environment';
import type { TestApp } from './app';
import type { RestAnswer } from './clients';
import { ORIGIN, buildKey, buildWorkspace } from './factories';
import { send } from './http';
import { mutations } from './mutate';

/** A line of NDJSON. */
export type Line = Record<string, unknown>;

/** Permissions to read every table. */
export const READS = ['read.logs', 'read.keys', 'read.wallet'];

/** Requests an export of a table, for example `keys?format=csv`. */
export const ask = ({ url }: TestApp, path: string, secret?: string, method = 'GET'): Promise<RestAnswer> =>
  send(url, { method, path: `/v1/export/${path}`, headers: secret === undefined ? {} : { 'x-api-key': secret } });

/** Returns the text of an export. Fails if it is refused. */
export async function bodyOf({ url }: TestApp, path: string, secret: string): Promise<string> {
  const response = await fetch(`${url}/v1/export/${path}`, { headers: { 'x-api-key': secret } });
  const text = await response.text();
  expect([path, response.status, response.status === 200 ? '' : text]).toEqual([path, 200, '']);
  return text;
}

/** Returns the lines of an export in NDJSON. Fails if it is refused. */
export async function linesOf(app: TestApp, path: string, secret: string): Promise<Line[]> {
  return (await bodyOf(app, path, secret)).split('\n').filter(Boolean).map((line) => JSON.parse(line) as Line);
}

/** Builds a workspace with billed and refused calls, keys in every state, and a key that may read every table. */
export async function buildExportedTenant(app: TestApp) {
  const workspace = await buildWorkspace(app);
  const { key: reader, secret } = await buildKey(app, { workspace, permissions: READS, budget: 5_000 });
  const calling = await buildKey(app, { workspace, budget: 2_500 });
  const { key, project } = calling;
  for (let turn = 0; turn < 3; turn += 1) await app.rest({ secret: calling.secret }); // the last is refused: 402
  await app.rest({ secret: calling.secret, body: { action: 'demo.fail' } });
  const disabled = await buildKey(app, { project, environment: Environment.TEST });
  await app.rest({ secret: disabled.secret });
  await app.services.keys.update(ORIGIN, { id: disabled.key.id, enabled: false, allowedIps: ['192.0.2.0/24', '2001:db8::1'] });
  const revoked = await buildKey(app, { project, permissions: ['demo.echo', 'demo.fail'] });
  await app.services.keys.revoke(ORIGIN, { id: revoked.key.id, reason: 'Left, "quoted"' });
  const rotated = await buildKey(app, { project, expiresAt: new Date(Date.now() + 3_600_000) });
  await app.services.keys.rotate(ORIGIN, { id: rotated.key.id, graceSeconds: 600 });
  const { mutate } = mutations(app);
  await mutate('adjustBalance', { projectId: project.id, delta: -5, reason: 'A correction', reference: 'ref-1' }, 'entry { id }');
  app.travel(LOOK_BACK_MS); // after this time no call is recorded late
  return { workspace, reader, secret, key, project, secrets: [secret, calling.secret, disabled.secret, revoked.secret, rotated.secret] };
}
