import { ORIGIN, buildKey, buildWorkspace } from './factories';
import type { TestApp } from './app';
import { send } from './http';
import { openLines } from './lines';

export const EXPORT_PATH = '/v1/audit/export';

/** The functions of the tests of exports. `appOf` returns the app that they use. */
export function auditExports(appOf: () => TestApp) {
  const rename = (id: string, name: string) => appOf().services.workspaces.update(ORIGIN, { id, name });

  /** Creates a workspace with some events in its trail, and a key with the permission to read it. */
  async function buildReader(renames = 0) {
    const app = appOf();
    const workspace = await buildWorkspace(app);
    const { key, secret } = await buildKey(app, { workspace, permissions: ['read.audit'] });
    for (let turn = 1; turn <= renames; turn += 1) await rename(workspace.id, `Name ${turn}`);
    await app.sealer.once();
    return { id: workspace.id, key, secret };
  }

  /** Reads all lines of an export that does not follow. */
  async function linesOf(query: string, secret: string, node = appOf()): Promise<Record<string, unknown>[]> {
    const stream = await openLines(node.url, `${EXPORT_PATH}${query}`, secret);
    expect(await stream.ended).toBe(true);
    return stream.lines;
  }

  const ask = (query: string, secret?: string, method = 'GET') =>
    send(appOf().url, { method, path: `${EXPORT_PATH}${query}`, headers: secret === undefined ? {} : { 'x-api-key': secret } });

  return { rename, buildReader, linesOf, ask };
}

/** The cursor of the last line, for `after`. */
export const cursorOf = (lines: Record<string, unknown>[]) => encodeURIComponent(String(lines.at(-1)?.cursor));
