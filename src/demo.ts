import { systemAuthority, type Authority } from './access/authority';
import type { Services } from './services';
import type { Database } from './db/database';
import { TollgateError } from './errors';
import { Environment } from './tenancy/environment';
import { Workspace } from './tenancy/workspace.entity';
import { LedgerKind } from './wallet/ledger-entry.entity';

const BUDGET_MICRO_CREDITS = 1_000_000;

/** Creates a workspace with a project, a budget and a key. Returns the key's secret, or undefined if a workspace exists already. */
export async function seedDemo(database: Database, { workspaces, projects, keys, wallets }: Services): Promise<string | undefined> {
  if (await database.reader.existsBy(Workspace, {})) return undefined;
  const origin = systemAuthority('demo');
  const workspaceId = await createWorkspace(workspaces, origin);
  if (workspaceId === undefined) return undefined;
  const { id: projectId } = await projects.create(origin, { workspaceId, name: 'First project', slug: 'first' });
  await wallets.topUp(origin, { workspaceId, amount: 10 * BUDGET_MICRO_CREDITS, kind: LedgerKind.BONUS, reference: 'demo' });
  await wallets.allocate(origin, { projectId, amount: BUDGET_MICRO_CREDITS, reference: 'demo' });
  const { secret } = await keys.mint(origin, { projectId, name: 'First key', environment: Environment.LIVE, permissions: ['demo.*'] });
  return secret;
}

/** Creates the demo workspace. If several processes start together, one creates it and the others get undefined. */
async function createWorkspace(workspaces: Services['workspaces'], origin: Authority): Promise<string | undefined> {
  try {
    return (await workspaces.create(origin, { name: 'Demo', slug: 'demo' })).id;
  } catch (error) {
    if (error instanceof TollgateError && error.code === 'CONFLICT') return undefined;
    throw error;
  }
}

/** A shell command that makes a call. */
export function curlLine(url: string, secret: string): string {
  const body = '{"action":"demo.echo","params":{"hello":"world"}}';
  return `curl -sS ${url}/v1/demo/execute -H 'X-Api-Key: ${secret}' -H 'Content-Type: application/json' -d '${body}'`;
}
