import { openInstallation } from '../src/access/installation';
import { createServices } from '../src/services';
import { systemAuthority } from '../src/access/authority';
import { loadConfig } from '../src/config';
import { Database } from '../src/db/database';
import { migrations } from '../src/db/migrations';
import { entities } from '../src/entities';
import { Environment } from '../src/tenancy/environment';
import type { Stage } from './targets';

/** The secrets of the keys that the bench uses. Their projects have more credits than the bench can spend. */
export interface Furniture {
  hot: string;
  /** One secret for each of many projects. */
  many: string[];
  /** The rate limit of its project is one call in 1,000 seconds. */
  exhausted: string;
  /** May call the slow action, `bench.slow` of the service `bench`. */
  slow: string;
  locked: { secret: string; projectId: string };
  /** The secret of a service account that verifies the keys of others. */
  asker: string;
}

/** The action with the slow upstream. */
export const SLOW_ACTION = { service: 'bench', name: 'bench.slow' };

/** The action of the routes. Each call by a route costs as much as `demo.echo`. */
const ROUTED_ACTION = { service: 'bench', name: 'bench.routed' };

const ORIGIN = systemAuthority('bench');
const BUDGET_MICRO_CREDITS = 1_000_000_000_000;
const UNLIMITED = { sustainedRps: 1_000_000, burst: 1_000_000 };
const ONCE = { sustainedRps: 0.001, burst: 1 };
const AT_ONCE = 20;

/** Migrates a database and fills it, through the services that administrators use. */
export async function furnish(
  environment: Record<string, string>,
  { projectCount, slowUpstreamUrl, upstream }: Pick<Stage, 'projectCount' | 'slowUpstreamUrl' | 'upstream'>,
): Promise<Furniture> {
  const config = loadConfig(environment);
  const database = await Database.open(config.database, { entities, migrations });
  try {
    const { digest } = await openInstallation(config, database);
    const { actions, routes, workspaces, projects, keys, serviceAccounts, wallets } = createServices(database, digest);
    await actions.ensureBuiltIns();
    const { service, name } = SLOW_ACTION;
    const priceMicroCredits = 1_000;
    await actions.create(ORIGIN, { service, name, permission: name, priceMicroCredits, upstreamUrl: slowUpstreamUrl, timeoutMs: 30_000 });
    const routed = await actions.create(ORIGIN, { ...ROUTED_ACTION, permission: ROUTED_ACTION.name, priceMicroCredits });
    const [first, second] = upstream.urls;
    await routes.create(ORIGIN, { path: '/bench/*', actionId: routed.id, upstreamUrl: first });
    await routes.create(ORIGIN, { path: '/second/bench/*', actionId: routed.id, upstreamUrl: second, upstreamPath: '/bench/*' });
    const { id: workspaceId } = await workspaces.create(ORIGIN, { name: 'Bench', slug: 'bench' });
    await wallets.topUp(ORIGIN, { workspaceId, amount: BUDGET_MICRO_CREDITS * (projectCount + 10), reference: 'bench' });

    const project = async (slug: string, rateLimit = UNLIMITED) => {
      const { id: projectId } = await projects.create(ORIGIN, { workspaceId, name: slug, slug, rateLimit });
      await wallets.allocate(ORIGIN, { projectId, amount: BUDGET_MICRO_CREDITS });
      const { secret } = await keys.mint(ORIGIN, {
        projectId,
        name: slug,
        environment: Environment.LIVE,
        permissions: ['demo.*', 'bench.*'],
      });
      return { projectId, secret };
    };
    const many: string[] = [];
    for (let from = 0; from < projectCount; from += AT_ONCE) {
      const slugs = Array.from({ length: Math.min(AT_ONCE, projectCount - from) }, (_, index) => `many-${from + index}`);
      for (const { secret } of await Promise.all(slugs.map((slug) => project(slug)))) many.push(secret);
    }
    const asker = { workspaceId, name: 'asker', permissions: ['verify.keys'], projectIds: [], rotationDays: 90 };
    return {
      many,
      hot: (await project('hot')).secret,
      exhausted: (await project('exhausted', ONCE)).secret,
      slow: (await project('slow')).secret,
      locked: await project('locked'),
      asker: (await serviceAccounts.create(ORIGIN, asker)).secret,
    };
  } finally {
    await database.close();
  }
}
