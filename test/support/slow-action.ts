import type { TestApp } from './app';
import type { Callers } from './callers';
import { buildAction, buildKey } from './factories';
import { startUpstream } from './upstream';

/** Creates a project, a key, and an action at an upstream that answers only when the test releases it. `call` calls it at a node. */
export async function buildSlowAction(app: TestApp, callers: Callers, values: { budget?: number } = {}) {
  const upstream = await startUpstream();
  const action = await buildAction(app, { upstreamUrl: upstream.url });
  const { secret, project, key } = await buildKey(app, { permissions: ['face.*', 'demo.*'], ...values });
  const call = (url: string, body: Record<string, unknown> = {}) =>
    callers.call({ url, secret, service: 'face', body: { action: action.name, ...body } });
  return { upstream, action, secret, project, key, call };
}
