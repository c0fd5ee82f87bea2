import { setTimeout as wait } from 'node:timers/promises';
import { Pool, type Dispatcher } from 'undici';
import { CREATE_ACTION, MINT_KEY, type AdminClient } from './admin-client';
import { startApi, type Api } from './api';
import type { WaysEvidence } from './evidence-ways';
import { HoldUsers } from './load-holds';
import { RouteCallers } from './load-routes';
import type { Random } from './random';
import { mustHave, type ProjectState, type SecretState, type World } from './world';

// Load by routes and verifications, beside the load by execute. See evidence-ways.ts for what it records.

const CREATE_ROUTE = 'mutation ($input: CreateRouteInput!) { createRoute(input: $input) { route { id } } }';

/** Every action of these ways has this service. Its calls are checked by verify-ways.ts. */
export const WAYS_SERVICE = 'ways';
/** What each action costs: a flat price, and so much for each token. */
export const WAY_PRICES = {
  flat: { flat: 700, perToken: 0, most: null },
  metered: { flat: 100, perToken: 10, most: 500 },
  replayable: { flat: 900, perToken: 0, most: null },
  streamed: { flat: 0, perToken: 20, most: 1_000 },
  verified: { flat: 200, perToken: 10, most: 400 },
} as const;
export type WayAction = keyof typeof WAY_PRICES;
export const ROUTES = ['flat', 'metered', 'replayable', 'streamed'] as const;
/** The hold of a route lasts so long from its admission or its last renewal. */
export const ROUTE_HOLD_MS = 90_000;

const BUDGET = 10_000_000_000;
/** Small enough to be spent during a run. */
const SMALL_BUDGET = 300_000;
const ANSWER_TIMEOUT_MS = 120_000;
const REFUSED_PAUSE_MS = 150;

/** One answer over HTTP, read to its end. Status 0: no answer, or none that came to its end. */
export interface Told {
  status: number;
  text: string;
  headers: Record<string, string | string[] | undefined>;
}

export interface WaysDeps {
  admin: AdminClient;
  world: World;
  urls: readonly string[];
  random: Random;
  clients: number;
  thinkMs: number;
  /** Whether some answers last so long that their holds are renewed. */
  lastsLong: boolean;
  stopped(): boolean;
}

/** What the clients of these ways share. */
export interface Shared extends WaysDeps {
  secrets: { rich: SecretState; poor: SecretState; test: SecretState };
  asker: string;
  evidence: WaysEvidence;
  nextId(): number;
  send(node: number, request: Omit<Dispatcher.RequestOptions, 'method'>): Promise<Told>;
}

export class Ways {
  private constructor(
    private readonly deps: WaysDeps,
    private readonly shared: Shared,
    private readonly api: Api,
    private readonly pools: Pool[],
  ) {}

  get evidence(): WaysEvidence {
    return this.shared.evidence;
  }

  /** Creates the actions, routes and keys. */
  static async build(deps: WaysDeps): Promise<Ways> {
    const { admin, world, urls, random, clients } = deps;
    const served: WaysEvidence['served'] = [];
    const api = await startApi(random.fork('api'), served, deps.lastsLong);
    for (const [name, { flat, perToken, most }] of Object.entries(WAY_PRICES)) {
      const unitPrices = perToken > 0 ? [{ unit: 'tokens', microCredits: perToken, per: 1 }] : [];
      const input = { service: WAYS_SERVICE, name, permission: `ways.${name}`, priceMicroCredits: flat, unitPrices, timeoutMs: 2_500 };
      const created = await admin.insist<{ createAction: { action: { id: string } } }>(0, CREATE_ACTION, {
        ...input,
        ...(most === null ? {} : { maxChargeMicroCredits: most }),
      });
      if (name === 'verified') continue;
      const usage = perToken > 0 ? [{ unit: 'tokens', pointer: '/usage/tokens' }] : [];
      const { id: actionId } = mustHave(created).createAction.action;
      const route = { actionId, path: `/ways/${name}`, methods: ['POST'], upstreamUrl: api.url, usage, replayable: name === 'replayable' };
      mustHave(await admin.insist(0, CREATE_ROUTE, route));
    }
    const workspace = world.workspaces[0] as string;
    const rich = await world.buildProject('ways', workspace, BUDGET);
    const poor = await world.buildProject('ways', workspace, SMALL_BUDGET);
    const mint = async (project: ProjectState, environment: 'LIVE' | 'TEST', permissions = ['ways.*']) => {
      const minted = await admin.insist<{ mintKey: { secret: string; key: { id: string } } }>(0, MINT_KEY, {
        ...{ projectId: project.id, name: 'Key', environment, permissions },
      });
      const { secret, key } = mustHave(minted).mintKey;
      return world.addSecret(secret, key.id, project, environment);
    };
    const secrets = { rich: await mint(rich, 'LIVE'), poor: await mint(poor, 'LIVE'), test: await mint(rich, 'TEST') };
    const asker = (await mint(rich, 'LIVE', ['verify.keys'])).secret;
    const options = { connections: 2 * clients, pipelining: 1, headersTimeout: ANSWER_TIMEOUT_MS, bodyTimeout: ANSWER_TIMEOUT_MS };
    const pools = urls.map((url) => new Pool(url, options));
    let ids = 0;
    const send: Shared['send'] = async (node, request) => {
      try {
        const answer = await (pools[node % pools.length] as Pool).request({ ...request, method: 'POST' });
        return { status: answer.statusCode, text: await answer.body.text(), headers: answer.headers };
      } catch {
        await wait(REFUSED_PAUSE_MS);
        return { status: 0, text: '', headers: {} };
      }
    };
    const evidence: WaysEvidence = { routeCalls: [], served, questions: [], ends: [] };
    return new Ways(deps, { ...deps, secrets, asker, evidence, nextId: () => (ids += 1), send }, api, pools);
  }

  /** Runs all clients until `stopped` returns true. */
  async run(): Promise<void> {
    const { clients, random, stopped, thinkMs, urls } = this.deps;
    await Promise.all(
      Array.from({ length: clients }, async (_, number) => {
        const own = random.fork(`way ${number}`);
        const client = number % 2 === 0 ? new RouteCallers(this.shared, own) : new HoldUsers(this.shared, own);
        while (!stopped()) {
          await client.act(number % urls.length);
          await wait(own.between(0, 2 * thinkMs));
        }
      }),
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.pools.map((pool) => pool.destroy()));
    await this.api.close();
  }
}

/** Most calls spend much, some a small budget, and some are TEST calls. */
export function pickSecret({ secrets }: Pick<Shared, 'secrets'>, random: Random): SecretState {
  return random.chance(0.15) ? secrets.poor : random.chance(0.06) ? secrets.test : secrets.rich;
}
